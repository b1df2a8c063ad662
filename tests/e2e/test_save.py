# SPDX-License-Identifier: Apache-2.0
"""msb save: what is written, who can read it, and what load makes of it elsewhere."""
import gzip
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile

import pytest

from conftest import Home, eventually, link, listed
from test_load import add, docker_archive, layer, oci_archive, sha

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import mkimg  # noqa: E402
from registry import Registry  # noqa: E402

BUILTIN = pathlib.Path(os.environ["MSB"]).parent / "libexec/microsandbox/images/busybox.tar"
LAYERS = [layer({"etc/a": b"first\n", "etc/b": b"lower\n" * 5000}), layer({"etc/b": b"upper\n", "etc/.wh.a": b""})]


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def other(tmp_path):
    return Home(tmp_path / "other")


def ok(result):
    assert result.returncode == 0, result.stderr
    return result


def loaded(home, data):
    ok(home.run("load", input=data, text=False))
    return images(home)


def images(home):
    return {i["reference"]: i for i in json.loads(home.run("image", "ls", "--format", "json").stdout)}


def saved(home, *args):
    return ok(home.run("save", *args, text=False)).stdout


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}


def manifest_of(data):
    found = members(data)
    index = json.loads(found["index.json"])
    return json.loads(found["blobs/sha256/" + index["manifests"][0]["digest"][7:]])


def diff_ids(data):
    found = members(data)
    config = json.loads(found[json.loads(found["manifest.json"])[0]["Config"]])
    return config["rootfs"]["diff_ids"]


# ---- the table of the formats ------------------------------------------------------------


def test_docker_archives_come_back_as_they_were(home, other):
    before = loaded(home, docker_archive(LAYERS))
    data = saved(home, "test/image:1", "--format", "docker")
    found = members(data)
    entry = json.loads(found["manifest.json"])[0]
    assert [found[x] for x in entry["Layers"]] == LAYERS
    assert entry["RepoTags"] == ["test/image:1"]
    assert sha(found[entry["Config"]]) == entry["Config"].removesuffix(".json")
    after = loaded(other, data)
    for key in ("digest", "image_id", "size_bytes"):
        assert after["docker.io/test/image:1"][key] == before["docker.io/test/image:1"][key]


def test_an_oci_archive_with_plain_layers_is_unchanged(home, other):
    before = loaded(home, docker_archive(LAYERS))["docker.io/test/image:1"]
    r = ok(home.run("save", "test/image:1", "--exact", text=False))
    assert b"digest changes" not in r.stderr
    assert loaded(other, r.stdout)["docker.io/test/image:1"]["digest"] == before["digest"]


@pytest.mark.parametrize("compress", [None, "gzip", "zstd", "none"])
def test_layers_that_are_not_kept_are_compressed_anew(home, other, compress):
    before = loaded(home, oci_archive(LAYERS))["docker.io/oci/image:2"]
    r = ok(home.run("save", "oci/image:2", *(["--compress", compress] if compress else []), text=False))
    types = {None: ".tar+gzip", "gzip": ".tar+gzip", "zstd": ".tar+zstd", "none": ".tar"}
    manifest = manifest_of(r.stdout)
    assert all(x["mediaType"] == "application/vnd.oci.image.layer.v1" + types[compress] for x in manifest["layers"])
    after = loaded(other, r.stdout)["docker.io/oci/image:2"]
    assert after["image_id"] == before["image_id"]
    assert after["digest"] != before["digest"]
    assert f"digest changes: {before['digest']} -> {after['digest']}\n" in r.stderr.decode()
    assert diff_ids(r.stdout) == [f"sha256:{sha(x)}" for x in LAYERS]


def test_what_was_saved_once_is_saved_again_without_a_change(home, other):
    loaded(home, oci_archive(LAYERS))
    first = saved(home, "oci/image:2")
    loaded(other, first)
    r = ok(other.run("save", "--exact", "oci/image:2", text=False))
    assert r.stdout == first and b"digest changes" not in r.stderr


def test_exact_is_an_error_where_the_digest_would_change(home, tmp_path):
    before = loaded(home, oci_archive(LAYERS))["docker.io/oci/image:2"]
    for compress in ([], ["--compress", "none"], ["--compress", "zstd"]):
        r = home.run("save", "--exact", "oci/image:2", "-o", tmp_path / "x.tar", *compress)
        assert r.returncode == 1
        assert "digest" in r.stderr and "images.keep_blobs" in r.stderr
        assert not list(tmp_path.glob("x.tar*"))
    assert images(home)["docker.io/oci/image:2"]["digest"] == before["digest"]


def test_the_same_bytes_on_every_run(home, tmp_path):
    loaded(home, oci_archive([layer({"big": os.urandom(1 << 20) + b"text " * 2_000_000})]))
    for compress in ("gzip", "zstd", "none"):
        first = saved(home, "oci/image:2", "--compress", compress)
        one_cpu = subprocess.run(["taskset", "-c", "0", home.msb, "save", "oci/image:2", "--compress", compress],
                                 env=home.env, capture_output=True, timeout=60, check=True).stdout
        assert first == one_cpu


def test_gzip_is_one_member_that_others_read(home):
    content = layer({"big": bytes(range(256)) * 40_000})
    loaded(home, oci_archive([content]))
    data = saved(home, "oci/image:2")
    blob = members(data)["blobs/sha256/" + manifest_of(data)["layers"][0]["digest"][7:]]
    assert gzip.decompress(blob) == content
    assert subprocess.run(["gzip", "-dc"], input=blob, capture_output=True, check=True).stdout == content


@pytest.fixture
def keeping(home):
    """A store that keeps compressed layers."""
    home.path.mkdir(exist_ok=True)
    (home.path / "config.json").write_text('{"images": {"keep_blobs": true}}')
    return home


def test_layers_that_are_kept_are_saved_byte_for_byte(keeping, other):
    data = oci_archive(LAYERS)
    before = loaded(keeping, data)["docker.io/oci/image:2"]
    r = ok(keeping.run("save", "oci/image:2", "--exact", text=False))
    assert b"digest changes" not in r.stderr
    blobs = {k: v for k, v in members(data).items() if k.startswith("blobs/")}
    assert {k: v for k, v in members(r.stdout).items() if k.startswith("blobs/")} == blobs
    assert loaded(other, r.stdout)["docker.io/oci/image:2"]["digest"] == before["digest"]
    # the same compression is kept too, another one is not
    assert saved(keeping, "oci/image:2", "--compress", "gzip") == r.stdout
    r = ok(keeping.run("save", "oci/image:2", "--compress", "zstd", text=False))
    assert f"digest changes: {before['digest']} -> ".encode() in r.stderr


def test_a_pulled_image_is_saved_as_the_registry_has_it(keeping, other, tmp_path):
    with Registry(tmp_path / "registry") as there:
        there.push_layers(LAYERS, "app:1")
        name = f"{there.host}/app:1"
        ok(keeping.run("pull", "-q", name))
        before = images(keeping)[name]["digest"]
    r = ok(keeping.run("save", "--exact", name, text=False))
    assert before[7:] in str(members(r.stdout).keys())
    assert loaded(other, r.stdout)[name]["digest"] == before


def test_plain_layers_are_not_kept_twice(keeping):
    loaded(keeping, docker_archive(LAYERS))
    names = [p.name for p in (keeping.path / "images/blobs/sha256").iterdir()]
    assert not {sha(x) for x in LAYERS} & set(names) and len(names) == 2


def test_a_kept_layer_that_is_damaged(keeping, tmp_path):
    data = oci_archive(LAYERS)
    loaded(keeping, data)
    blob = keeping.path / "images/blobs/sha256" / manifest_of(data)["layers"][0]["digest"][7:]
    before = blob.stat()
    raw = bytearray(blob.read_bytes())
    raw[-1] ^= 1
    blob.write_bytes(raw)
    os.utime(blob, ns=(before.st_atime_ns, before.st_mtime_ns))
    r = keeping.run("save", "oci/image:2", "-o", tmp_path / "x.tar")
    assert r.returncode == 1 and blob.name in r.stderr
    assert not list(tmp_path.glob("x.tar*"))


def test_annotations_of_the_manifest_stay(home):
    data = oci_archive(LAYERS)
    found = members(data)
    index = json.loads(found["index.json"])
    manifest = json.loads(found["blobs/sha256/" + index["manifests"][0]["digest"][7:]])
    manifest["annotations"] = {"org.example": "kept"}
    raw = json.dumps(manifest).encode()
    index["manifests"][0] |= {"digest": "sha256:" + sha(raw), "size": len(raw)}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in found.items():
            add(tar, name, json.dumps(index).encode() if name == "index.json" else content)
        add(tar, "blobs/sha256/" + sha(raw), raw)
    loaded(home, out.getvalue())
    assert manifest_of(saved(home, "oci/image:2"))["annotations"] == {"org.example": "kept"}


# ---- several images and names ------------------------------------------------------------


@pytest.mark.parametrize("form", ["oci", "docker"])
def test_images_share_layers(home, other, form):
    loaded(home, docker_archive(LAYERS, tag="one:1"))
    loaded(home, docker_archive([LAYERS[0]], tag="two:2"))
    data = saved(home, "one:1", "two:2", "--format", form)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = [m.name for m in tar]
    assert len(names) == len(set(names))
    assert sum(content in LAYERS for content in members(data).values()) == 2
    after = loaded(other, data)
    assert {k: v["digest"] for k, v in after.items()} == {k: v["digest"] for k, v in images(home).items()}


@pytest.mark.parametrize("form", ["oci", "docker"])
def test_several_names_of_one_image(home, other, form):
    data = docker_archive(LAYERS, tag="one:1")
    loaded(home, data)
    ok(home.run("load", "-t", "ghcr.io/x/two:2", input=data, text=False))
    data = saved(home, "one:1", "ghcr.io/x/two:2", "docker.io/library/one:1", "--format", form)
    assert len(json.loads(members(data)["manifest.json"])) == 1
    assert sorted(loaded(other, data)) == ["docker.io/library/one:1", "ghcr.io/x/two:2"]


@pytest.mark.parametrize("form", ["oci", "docker"])
def test_by_digest_no_name_goes_along(home, other, form):
    digest = loaded(home, docker_archive(LAYERS))["docker.io/test/image:1"]["digest"]
    after = loaded(other, saved(home, digest, "--format", form))
    assert list(after) == [None] and after[None]["digest"] == digest


def test_a_layer_that_stands_twice(home, other):
    before = loaded(home, docker_archive([LAYERS[0], LAYERS[1], LAYERS[0]], tag="twice:1"))
    for form in ("oci", "docker"):
        after = loaded(other, saved(home, "twice:1", "--format", form))
        assert after["docker.io/library/twice:1"]["digest"] == before["docker.io/library/twice:1"]["digest"]


def test_an_image_without_layers(home, other):
    before = loaded(home, docker_archive([], tag="nothing:1"))
    after = loaded(other, saved(home, "nothing:1"))
    assert after["docker.io/library/nothing:1"]["digest"] == before["docker.io/library/nothing:1"]["digest"]


# ---- torture archives --------------------------------------------------------------------


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    out = tmp_path_factory.mktemp("mkimg")
    subprocess.run([sys.executable, HERE / "mkimg.py", "--out", out], check=True, capture_output=True)
    return out, json.loads((out / "expected.json").read_text())


@pytest.mark.parametrize("name", list(mkimg.CASES))
def test_torture(archives, tmp_path, name):
    out, expected = archives
    if "error" in expected[name]["tree"]:
        return
    first, second = Home(tmp_path / "1"), Home(tmp_path / "2")
    before = loaded(first, (out / f"{name}.tar").read_bytes())
    for args in (["--format", "docker"], [], ["--compress", "zstd"]):
        after = loaded(second, saved(first, name, *args))
        ref = f"docker.io/library/{name}:latest"
        assert after[ref]["image_id"] == before[ref]["image_id"], args
        assert after[ref]["size_bytes"] == before[ref]["size_bytes"], args
        if args != ["--compress", "zstd"]:
            assert after[ref]["digest"] == before[ref]["digest"], args


# ---- other programs ----------------------------------------------------------------------


def inspect(kind, path):
    r = subprocess.run(["skopeo", "inspect", f"{kind}:{path}"], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


@pytest.mark.parametrize("args, kind", [
    ([], "oci-archive"), (["--compress", "gzip"], "oci-archive"), (["--compress", "zstd"], "oci-archive"),
    (["--compress", "none"], "docker-archive"), (["--compress", "gzip"], "docker-archive"),
    (["--format", "docker"], "docker-archive")])
def test_skopeo_reads_and_copies_it(home, other, tmp_path, args, kind):
    before = loaded(home, docker_archive(LAYERS))["docker.io/test/image:1"]
    ok(home.run("save", "test/image:1", "-o", tmp_path / "a.tar", *args))
    assert inspect(kind, tmp_path / "a.tar")["Architecture"] == "amd64"
    r = subprocess.run(["skopeo", "copy", "--insecure-policy", f"{kind}:{tmp_path}/a.tar",
                        f"{kind}:{tmp_path}/copy.tar:test/image:1"],
                       capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    ok(other.run("load", "-i", tmp_path / "copy.tar"))
    assert images(other)["docker.io/test/image:1"]["image_id"] == before["image_id"]


def test_skopeo_finds_each_image_by_its_tag(home, tmp_path):
    for n in "12":
        loaded(home, docker_archive(LAYERS[:int(n)], tag=f"img{n}:{n}"))
    ok(home.run("save", "img1:1", "img2:2", "-o", tmp_path / "a.tar"))
    assert len(inspect("oci-archive", f"{tmp_path}/a.tar:2")["Layers"]) == 2
    assert len(inspect("docker-archive", f"{tmp_path}/a.tar:img1:1")["Layers"]) == 1


@pytest.mark.parametrize("compress", ["none", "gzip"])
def test_umoci_unpacks_it(home, tmp_path, compress):
    loaded(home, docker_archive(LAYERS))
    ok(home.run("save", "test/image:1", "-o", tmp_path / "a.tar", "--compress", compress))
    (tmp_path / "layout").mkdir()
    with tarfile.open(tmp_path / "a.tar") as tar:
        tar.extractall(tmp_path / "layout")
    r = subprocess.run(["umoci", "unpack", "--rootless", "--image", tmp_path / "layout:1", tmp_path / "bundle"],
                       capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    assert (tmp_path / "bundle/rootfs/etc/b").read_bytes() == b"upper\n"
    assert not (tmp_path / "bundle/rootfs/etc/a").exists()


# ---- where it goes -----------------------------------------------------------------------


def test_a_file_is_the_old_one_or_a_whole_new_one(home, tmp_path):
    loaded(home, docker_archive(LAYERS))
    out = tmp_path / "out.tar"
    out.write_text("old")
    r = home.run("save", "nothing/here:1", "-o", out)
    assert r.returncode == 1 and "nothing/here:1" in r.stderr
    assert out.read_text() == "old"
    link = tmp_path / "link.tar"
    link.symlink_to("out.tar")
    os.umask(old := os.umask(0o022))
    ok(home.run("save", "test/image:1", "-o", link))
    assert link.is_symlink() and tarfile.is_tarfile(out)
    assert out.stat().st_mode & 0o777 == 0o666 & ~old
    assert sorted(p.name for p in tmp_path.glob("*.tar*")) == ["link.tar", "out.tar"]


def test_a_killed_save_leaves_nothing(home, tmp_path):
    loaded(home, docker_archive([layer({"big": os.urandom(24 << 20)})]))
    out = tmp_path / "out"
    out.mkdir()
    p = home.start("save", "test/image:1", "-o", out / "x.tar", "--compress", "gzip")
    assert eventually(lambda: any(link(f"/proc/{p.pid}/fd/{fd}").startswith(str(out))
                                  for fd in listed(f"/proc/{p.pid}/fd")))
    p.kill()
    p.wait()
    assert list(out.iterdir()) == []
    ok(home.run("save", "test/image:1", "-o", out / "x.tar"))
    assert not list((home.path / "images/tmp").iterdir())


def test_the_command_of_the_group_and_a_dash(home):
    loaded(home, docker_archive(LAYERS))
    assert saved(home, "test/image:1") == ok(home.run("image", "save", "test/image:1", "-o", "-", text=False)).stdout


def test_a_device_is_written_in_place(home):
    loaded(home, docker_archive(LAYERS))
    ok(home.run("save", "test/image:1", "-o", "/dev/null"))
    assert pathlib.Path("/dev/null").is_char_device()
    r = home.run("save", "test/image:1", "-o", "/dev/full")
    assert r.returncode == 1 and "No space left" in r.stderr


def test_a_terminal_is_refused(home):
    loaded(home, docker_archive(LAYERS))
    r = subprocess.run(["script", "-qec", f"'{home.msb}' save test/image:1", "/dev/null"], env=home.env,
                       capture_output=True, text=True, timeout=30)
    assert r.returncode == 2 and "-o FILE" in r.stdout


def test_a_reader_that_goes_away(home):
    loaded(home, docker_archive([layer({"big": os.urandom(4 << 20)})]))
    p = home.start("save", "test/image:1", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.read(10)
    p.stdout.close()
    assert p.stderr.read() == b"" and p.wait(30) == 141


def test_from_one_store_to_another_through_a_pipe(home, other):
    before = loaded(home, docker_archive(LAYERS))
    p = home.start("save", "test/image:1", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    ok(other.run("load", stdin=p.stdout))
    assert p.wait(30) == 0
    assert images(other).keys() == before.keys()


@pytest.mark.parametrize("args, text", [
    (["busybox", "--format", "tar"], "--format"), (["busybox", "--compress", "xz"], "--compress"),
    ([], "name the images"), (["busybox", "--format", "docker", "--compress", "gzip"], "docker archive"),
    (["Busybox"], 'did you mean "busybox"'), (["./busybox"], "is a path")])
def test_usage(home, args, text):
    r = home.run("save", *args)
    assert r.returncode == 2 and text in r.stderr


# ---- damage ------------------------------------------------------------------------------


def damage(home, keep_time):
    data = home.path / "images/layers" / f"{sha(LAYERS[1])}.tar"
    before = data.stat()
    raw = bytearray(data.read_bytes())
    raw[-1] ^= 1
    data.write_bytes(raw)
    if keep_time:
        os.utime(data, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_layer_that_was_changed_is_found_before_anything_is_written(home):
    loaded(home, docker_archive(LAYERS))
    damage(home, keep_time=False)
    r = home.run("save", "test/image:1", text=False)
    assert r.returncode == 1 and sha(LAYERS[1]).encode() in r.stderr and r.stdout == b""


@pytest.mark.parametrize("args", [[], ["--compress", "gzip"], ["--compress", "zstd"], ["--format", "docker"]])
def test_a_damaged_layer_is_an_error_and_no_archive(home, other, tmp_path, args):
    loaded(home, docker_archive(LAYERS))
    damage(home, keep_time=True)
    r = home.run("save", "test/image:1", "-o", tmp_path / "x.tar", *args)
    assert r.returncode == 1 and sha(LAYERS[1]) in r.stderr and "pull or load" in r.stderr
    assert not list(tmp_path.glob("x.tar*"))
    r = home.run("save", "test/image:1", *args, text=False)
    assert r.returncode == 1
    assert other.run("load", input=r.stdout, text=False).returncode == 1


def test_a_missing_layer_is_found_before_anything_is_written(home):
    loaded(home, docker_archive(LAYERS))
    (home.path / "images/layers" / f"{sha(LAYERS[1])}.tar").unlink()
    r = home.run("save", "test/image:1", text=False)
    assert r.returncode == 1 and b"missing" in r.stderr and r.stdout == b""


def test_nothing_stays_behind(home):
    loaded(home, oci_archive(LAYERS))
    before = sorted(p for p in home.path.rglob("*"))
    saved(home, "oci/image:2")
    assert sorted(p for p in home.path.rglob("*")) == before
