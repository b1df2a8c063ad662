# SPDX-License-Identifier: Apache-2.0
"""Images after they came in: listing, names, removal, pruning, checking."""
import ctypes
import functools
import gzip
import json
import os
import pty
import re
import shutil
import subprocess

import pytest

import test_load
from conftest import Home
from images import archive, builtin_layer, family, files, layer, listed, names, sha
from library import Call, CallError, Library

IMAGE = 2  # MSB_IMAGE


@pytest.fixture
def home(tmp_path):
    """An empty store for each test."""
    return Home(tmp_path / "home")


def load(home, data, *args):
    r = home.run("load", *args, input=data, text=False)
    assert r.returncode == 0, r.stderr
    return r.stdout.decode().split()


def stored(home, digest, kind="layers/{}.tar"):
    return home.path / "images" / kind.format(digest.removeprefix("sha256:"))


A, B, TOP = (layer({f"etc/{n}": os.urandom(5000)}) for n in ("a", "b", "top"))


@pytest.fixture
def two(home):
    """one = [A, B], two = [A, TOP]."""
    load(home, archive([A, B], "x/one:1"))
    load(home, archive([A, TOP], "x/two:1"))
    return home


def test_ls_tells_what_is_shared(two):
    one, other = listed(two)
    assert [one["reference"], other["name"]] == ["docker.io/x/one:1", "x/two:1"]
    assert one["layers"] == [f"sha256:{sha(x)}" for x in (A, B)]
    assert one["size_bytes"] == len(A) + len(B) and one["shared_bytes"] == len(A)
    assert one["platform"] == "linux/amd64" and one["used_by"] == 0 and one["used_at"] is None
    table = two.run("image", "ls").stdout.splitlines()
    assert table[0].split() == ["REFERENCE", "DIGEST", "SIZE", "USED-BY", "CREATED"]
    assert table[1].split() == ["x/one:1", one["digest"][:19], "20.0", "KiB", "0",
                                "2026-01-02T03:04:05Z"]
    assert two.run("image", "ls", "-q").stdout == "x/one:1\nx/two:1\n"


def test_inspect(two):
    shown = json.loads(two.run("image", "inspect", "x/one:1", "--format", "json").stdout)
    assert shown["references"] == ["docker.io/x/one:1"]
    assert [(x["digest"], x["size_bytes"]) for x in shown["layers"]] == \
        [(f"sha256:{sha(x)}", len(x)) for x in (A, B)]
    assert shown["config"]["config"]["Cmd"] == ["/bin/sh"] and shown["sandboxes"] == []
    assert shown["manifest"]["schemaVersion"] == 2 and shown["signature"] == "not-checked"
    text = two.run("image", "inspect", "x/one:1").stdout
    assert "signature   not checked\n" in text and "cmd         /bin/sh\n" in text
    assert shown["digest"] in text


def test_a_name_is_removed_by_any_spelling(home):
    data = archive([A], "python")
    for spelling in ("python", "python:latest", "docker.io/library/python", "index.docker.io/python"):
        load(home, data)
        r = home.run("image", "rm", spelling)
        assert r.returncode == 0, r.stderr
        assert names(home) == [] and files(home) == {}


def test_removal_frees_what_nothing_else_needs(two):
    before = files(two)
    shared = {n for n in before if sha(A) in n}
    assert two.run("image", "rm", "x/one:1").returncode == 0
    left = files(two)
    assert names(two) == ["docker.io/x/two:1"]
    assert shared < set(left) and not any(sha(B) in n for n in left)
    assert two.run("image", "rm", "x/two:1").returncode == 0
    assert files(two) == {}
    load(two, archive([A, B], "x/one:1"))  # and all of it comes back
    assert json.loads(two.run("image", "verify", "x/one:1", "--format", "json").stdout)["good"]


def test_tags(two):
    one = listed(two)[0]["digest"]
    assert two.run("image", "tag", "x/one:1", "mine").returncode == 0
    assert two.run("image", "tag", one[:19], "mine:2").returncode == 0
    assert two.run("image", "tag", "x/two:1", "mine:2").returncode == 0  # the name moves
    assert {i["name"]: i["digest"] == one for i in listed(two)} == \
        {"mine:latest": True, "mine:2": False, "x/one:1": True, "x/two:1": False}
    # The image goes with its last name only; a digest stands for all names.
    assert two.run("image", "rm", "x/one:1").returncode == 0
    assert two.run("image", "verify", "mine").returncode == 0
    assert two.run("rmi", one).returncode == 0
    assert sorted(i["name"] for i in listed(two)) == ["mine:2", "x/two:1"]
    assert not any(sha(B) in n for n in files(two))
    r = two.run("image", "tag", "x/two:1", "a@" + one)
    assert r.returncode == 2 and "has a digest, which no name can change" in r.stderr


def test_digests_may_be_short(two):
    one = listed(two)[0]
    for text in (one["digest"], one["digest"][:19], one["image_id"], one["image_id"][:19]):
        assert one["digest"] in two.run("image", "inspect", text).stdout
    r = two.run("image", "inspect", one["digest"][:18])
    assert r.returncode == 2
    assert r.stderr == (f"error: '{one['digest'][:18]}' is no digest; write sha256: and at least 12 "
                        "of its 64 digits\n")
    r = two.run("image", "rm", "sha256:" + "0" * 12)
    assert r.returncode == 1 and "no image 'sha256:000000000000'" in r.stderr


def test_an_ambiguous_digest_lists_the_images(home, monkeypatch):
    """One config in two manifests: they differ by how the layer was compressed."""
    load(home, test_load.oci_archive([A], name="x/one:1"))
    config = listed(home)[0]["image_id"]
    monkeypatch.setattr(test_load.gzip, "compress", functools.partial(gzip.compress, compresslevel=1))
    load(home, test_load.oci_archive([A], name="x/two:2"))
    assert len({i["digest"] for i in listed(home)}) == 2
    r = home.run("image", "inspect", config)
    assert r.returncode == 2
    assert f"'{config}' stands for 2 images: " in r.stderr
    assert "(x/one:1)" in r.stderr and "(x/two:2)" in r.stderr


def test_several_are_tried_and_each_gets_a_line(two):
    r = two.run("image", "rm", "x/one:1", "nope", "x/two:1")
    assert r.returncode == 1 and names(two) == []
    assert "no image 'nope'" in r.stderr and r.stderr.count("✓ Removed") == 2
    assert two.run("image", "rm").returncode == 2


def test_prune(two):
    whole = sum(os.stat(two.path / "images" / f).st_blocks * 512 for f in files(two))
    r = two.run("image", "prune")
    assert r.returncode == 2 and "--yes" in r.stderr and len(names(two)) == 2
    dry = json.loads(two.run("image", "prune", "--dry-run", "--format", "json").stdout)
    assert [i["name"] for i in dry["removed"]] == ["x/one:1", "x/two:1"]
    assert dry["bytes"] == whole and len(names(two)) == 2
    young = json.loads(two.run("image", "prune", "-y", "--older-than", "1h", "--format", "json").stdout)
    assert young["removed"] == [] and young["bytes"] == 0
    r = two.run("image", "prune", "-y")
    assert r.stdout == "x/one:1\nx/two:1\n" and "2 images removed" in r.stderr
    assert files(two) == {} and names(two) == []
    assert "No unused images." in two.run("image", "prune", "-y").stderr


def test_prune_asks_on_a_terminal(two):
    for answer, left in (("n", 2), ("y", 0)):
        main, side = pty.openpty()
        p = subprocess.Popen([two.msb, "image", "prune"], stdin=side, stdout=subprocess.DEVNULL,
                             stderr=side, env=two.env)
        os.close(side)
        seen = b""
        while b"[y/N]" not in seen:
            seen += os.read(main, 1000)
        assert b"Remove 2 unused images (" in seen
        os.write(main, answer.encode() + b"\n")
        assert p.wait(timeout=60) == 0
        os.close(main)
        assert len(names(two)) == left


def test_what_a_crash_left_is_swept(two):
    """Files that no record needs, old unfinished downloads, temporary files of dead runs."""
    images = two.path / "images"
    good = files(two)
    loose = ["layers/" + "1" * 64 + ".tar", "layers/1/" + "1" * 64 + ".erofs",
             "blobs/sha256/" + "2" * 64, "merged/1/" + "3" * 64 + ".erofs"]
    partial = {"partial/" + "4" * 64: 8, "partial/" + "5" * 64: 6}
    for name in [*loose, *partial, "tmp/123abc-0"]:
        (images / name).write_bytes(b"x" * 10)
    for name, days in partial.items():
        age = (images / name).stat().st_mtime - days * 86400
        os.utime(images / name, (age, age))
    load(two, archive([A, B], "x/one:1"))
    assert set(files(two)) == set(good) | {"partial/" + "5" * 64}


def test_the_calls(two):
    lib = Library()
    m = lib.open(two)
    brief = json.loads(lib.text("list", m, IMAGE, b'{"brief":true}'))
    assert [i["name"] for i in brief] == ["x/one:1", "x/two:1"] and "layers" not in brief[0]
    for call in (lambda: lib.text("list", m, IMAGE, b'{"breif":true}'),
                 lambda: lib.text("prune", m, IMAGE, b'{"older_than":1}', None),
                 lambda: lib.text("inspect", m, 9, b"x/one:1"),
                 lambda: lib("remove", m, IMAGE, b"x/one:1", 64, None),
                 lambda: lib("image_tag", m, b"x/one:1", b"UPPER")):
        with pytest.raises(CallError) as e:
            call()
        assert e.value.code == 200
    cancel = lib.new("cancel")
    lib.lib.msb_cancel_fire(cancel)
    with pytest.raises(CallError) as e:
        lib.text("verify", m, IMAGE, b"x/one:1", ctypes.byref(Call(cancel=cancel)))
    assert e.value.code == 1100
    assert json.loads(lib.text("verify", m, IMAGE, b"x/one:1", None))["good"]
    lib("image_tag", m, b"x/one:1", b"three")
    gone = json.loads(lib.text("prune", m, IMAGE, None, None))
    assert sorted(i["name"] for i in gone["removed"]) == ["three:latest", "x/two:1"]
    lib.lib.msb_cancel_free(cancel)
    lib.lib.msb_close(m)


# ---- damage ------------------------------------------------------------------------------------


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def verify(home, name):
    r = home.run("image", "verify", name, "--format", "json")
    result = json.loads(r.stdout)
    return r, {f["file"].split("/")[0] + "/" + f["kind"]: f["state"] for f in result["files"]
               if f["state"] != "good"}


def test_verify_finds_a_flipped_bit(two):
    r, found = verify(two, "x/one:1")
    assert r.returncode == 0 and found == {}
    bad = stored(two, sha(B))
    flip(bad)
    r, found = verify(two, "x/one:1")
    assert r.returncode == 1 and found == {"layers/layer": "bad"}
    assert f"layer sha256:{sha(B)} is bad; it was moved to images/bad" in r.stderr
    assert "msb pull -f x/one:1" in r.stderr
    assert not bad.exists() and (two.path / "images/bad" / bad.name).exists()
    r, found = verify(two, "x/one:1")
    assert r.returncode == 1 and found == {"layers/layer": "missing"}
    load(two, archive([A, B], "x/one:1"))
    r, found = verify(two, "x/one:1")
    assert r.returncode == 0 and found == {}


@pytest.mark.parametrize("kind", ["layers/1/{}.erofs", "merged"])
@pytest.mark.parametrize("how", [flip, lambda p: p.unlink(), lambda p: p.write_bytes(b"")])
def test_verify_makes_metadata_anew(two, kind, how):
    if kind == "merged":
        path = next(p for p in (two.path / "images/merged/1").iterdir())
    else:
        path = stored(two, sha(A), kind)
    before = path.read_bytes()
    how(path)
    for name in ("x/one:1", "x/two:1"):
        assert two.run("image", "verify", name).returncode == 0
    assert path.read_bytes() == before


def test_a_bad_document(two):
    one = listed(two)[0]
    flip(stored(two, one["image_id"], "blobs/sha256/{}"))
    r, found = verify(two, "x/one:1")
    assert r.returncode == 1 and found == {"blobs/config": "bad"}
    load(two, archive([A, B], "x/one:1"))
    assert verify(two, "x/one:1")[1] == {}


# ---- with sandboxes ------------------------------------------------------------------------------


def test_sandboxes_keep_their_images(home, tmp_path):
    archives = family(tmp_path, ["old", "new"])
    load(home, archives["old"].read_bytes())
    assert home.run("image", "tag", "test/old:1", "app").returncode == 0
    r = home.run("run", "--name", "web", "app", "--", "cat", "/which")
    assert r.stdout == "old\n", r.stderr
    assert home.run("run", "--name", "db", "app", "--", "true").returncode == 0
    old = listed(home)[0]
    assert old["used_by"] == 2 and old["used_at"]
    assert json.loads(home.run("image", "inspect", "app", "--format", "json").stdout)["sandboxes"] == \
        ["db", "web"]
    lib = Library()
    assert [i["image_digest"] for i in json.loads(lib.text("list", lib.open(home), 1, None))] == \
        [old["digest"]] * 2
    # The name means another image now; a sandbox keeps the one it was created with.
    load(home, archives["new"].read_bytes())
    assert home.run("image", "tag", "test/new:1", "app").returncode == 0
    assert home.run("run", "--name", "web", "app", "--", "cat", "/which").stdout == "old\n"
    assert home.run("run", "app", "--", "cat", "/which").stdout == "new\n"
    # It is in use: removal says by whom, -f takes the name only.
    r = home.run("image", "rm", "test/old:1")
    assert r.returncode == 1
    assert r.stderr == ("error: image test/old:1 is used by 2 sandboxes: db, web\n"
                        "  → remove them first, or only the name: msb image rm -f test/old:1\n")
    with pytest.raises(CallError) as e:
        lib = Library()
        lib("remove", lib.open(home), IMAGE, old["digest"].encode(), 0, None)
    assert e.value.code == 606
    assert home.run("image", "rm", "-f", "test/old:1").returncode == 0
    assert [i["digest"] for i in listed(home) if not i["reference"]] == [old["digest"]]
    assert home.run("image", "prune", "-y").returncode == 0
    assert [i["digest"] for i in listed(home)] == [old["digest"]]
    assert home.run("run", "--name", "web", "app", "--", "cat", "/which").stdout == "old\n"
    # Once nobody keeps it, it goes.
    lib = Library()
    for name in (b"web", b"db"):
        lib("remove", lib.open(home), 1, name, 0, None)
    assert home.run("image", "prune", "-y").returncode == 0
    assert files(home) == {} and names(home) == []


def test_a_start_sees_what_changed(home, tmp_path):
    """Size, inode number and mtime against the record; what differs is read."""
    path = family(tmp_path, ["one"])["one"]
    load(home, path.read_bytes())
    base = stored(home, sha(builtin_layer()))
    ask = ["run", "test/one:1", "--", "cat", "/which"]
    os.utime(base, (1, 1))  # the content is good
    assert home.run(*ask).stdout == "one\n"
    for tree in (home.path / "images/layers/1").iterdir():
        flip(tree)
    assert home.run(*ask).stdout == "one\n"
    assert home.run("image", "verify", "test/one:1").returncode == 0
    flip(base)
    r = home.run(*ask)
    assert r.returncode == 125 and "is damaged; it was moved to images/bad" in r.stderr
    assert "→ bring it in again" in r.stderr
    load(home, path.read_bytes())
    assert home.run(*ask).stdout == "one\n"


def test_a_home_can_be_moved_and_copied(home, tmp_path):
    load(home, family(tmp_path, ["one"])["one"].read_bytes())
    ask = ["run", "--name", "box", "test/one:1", "--", "sh", "-c", "cat /which; echo x >> /n; wc -l < /n"]
    assert home.run(*ask).stdout == "one\n1\n"
    moved = Home(tmp_path / "elsewhere/deeper")
    moved.path.parent.mkdir()
    home.path.rename(moved.path)
    assert moved.run(*ask).stdout == "one\n2\n"
    shutil.copytree(moved.path, tmp_path / "copy", symlinks=True)
    copied = Home(tmp_path / "copy")
    assert copied.run(*ask).stdout == "one\n3\n"
    assert copied.run("image", "verify", "test/one:1").returncode == 0


def test_the_terminal_shows_ages(two):
    main, side = pty.openpty()
    p = subprocess.Popen([two.msb, "image", "ls"], stdin=subprocess.DEVNULL, stdout=side,
                         stderr=subprocess.DEVNULL, env=two.env)
    os.close(side)
    seen = b""
    while True:
        try:
            data = os.read(main, 4000)
        except OSError:
            break
        seen += data
    assert p.wait(timeout=60) == 0
    os.close(main)
    assert re.search(rb"x/one:1 .* \d+[dhms] ago", seen)


# ---- room -----------------------------------------------------------------------------------------


def limit(home, **images):
    home.path.mkdir(exist_ok=True, mode=0o700)
    (home.path / "config.json").write_text(json.dumps({"images": images}))


def big(name):
    return archive([layer({"data": os.urandom(1_000_000)})], f"x/{name}:1")


def test_the_least_recently_used_make_room(home):
    limit(home, max_size=2_500_000)
    load(home, big("one"))
    load(home, big("two"))
    r = home.run("load", input=big("three"), text=False)
    assert r.returncode == 0 and r.stdout == b"docker.io/x/three:1\n"
    assert re.search(r"! removed x/one:1 to make room \(\d+\.\d KiB\)\n".encode(), r.stderr)
    assert [i["name"] for i in listed(home)] == ["x/three:1", "x/two:1"]
    assert not any("tmp" in f for f in files(home)) and len(files(home)) == 2 * 5
    assert home.run("image", "verify", "x/two:1", "x/three:1").returncode == 0
    # What has just come in stays, whatever it takes; names that are to be kept stay, too.
    limit(home, max_size=1000, keep=["x/two:1"])
    load(home, big("four"))
    assert [i["name"] for i in listed(home)] == ["x/four:1", "x/two:1"]
    assert home.run("image", "prune", "-y").returncode == 0
    assert [i["name"] for i in listed(home)] == ["x/two:1"]
    limit(home, max_size=0)
    load(home, big("five"))
    assert len(listed(home)) == 2


def test_room_is_made_among_images_in_use(home, tmp_path):
    limit(home, max_size=1000)
    load(home, family(tmp_path, ["one"])["one"].read_bytes())
    assert home.run("run", "--name", "box", "test/one:1", "--", "true").returncode == 0
    load(home, big("two"))
    load(home, big("three"))
    assert [i["name"] for i in listed(home)] == ["test/one:1", "x/three:1"]
    assert home.run("run", "--name", "box", "test/one:1", "--", "cat", "/which").stdout == "one\n"
