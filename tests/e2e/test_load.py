# SPDX-License-Identifier: Apache-2.0
"""msb load and msb image ls."""
import gzip
import io
import json
import os
import subprocess
import tarfile

import pytest

from conftest import Home
from images import BUILTIN, add, layer, sha


@pytest.fixture
def home(tmp_path):
    """An empty store for each test."""
    return Home(tmp_path / "home")


def docker_archive(layers, tag="test/image:1"):
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh"]},
                         "created": "2026-01-02T03:04:05Z",
                         "rootfs": {"type": "layers",
                                    "diff_ids": [f"sha256:{sha(x)}" for x in layers]}}).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for i, data in enumerate(layers):
            add(tar, f"layer{i}/layer.tar", data)
        add(tar, f"{sha(config)}.json", config)
        add(tar, "manifest.json", json.dumps([{
            "Config": f"{sha(config)}.json", "RepoTags": [tag],
            "Layers": [f"layer{i}/layer.tar" for i in range(len(layers))]}]).encode())
    return out.getvalue()


def oci_archive(layers, name="oci/image:2", break_digest=False):
    blobs = {}

    def blob(data, media):
        digest = sha(data)
        blobs[digest] = data if not break_digest or "tar" not in media else data + b"x"
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(blobs[digest])}

    config = blob(json.dumps({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha(x)}" for x in layers]},
    }).encode(), "application/vnd.oci.image.config.v1+json")
    manifest = blob(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": [blob(gzip.compress(x, mtime=0),
                                          "application/vnd.oci.image.layer.v1.tar+gzip")
                                     for x in layers]}).encode(),
        "application/vnd.oci.image.manifest.v1+json")
    manifest["annotations"] = {"io.containerd.image.name": name}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode())
        for digest, data in blobs.items():
            add(tar, f"blobs/sha256/{digest}", data)
    return out.getvalue()


def names(home):
    return [i["reference"] for i in json.loads(home.run("image", "ls", "--format", "json").stdout)]


def files(home):
    """All that the store holds, without its lock."""
    root = home.path / "images"
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and p.name != "lock")


LAYERS = [layer({"etc/a": b"first\n", "etc/b": b"lower\n"}), layer({"etc/b": b"upper\n", "etc/.wh.a": b""})]


@pytest.mark.parametrize("make, name", [(docker_archive, "docker.io/test/image:1"),
                                        (oci_archive, "docker.io/oci/image:2")])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_both_kinds_of_archive(home, tmp_path, make, name, compress):
    archive = tmp_path / "a.tar"
    archive.write_bytes(compress(make(LAYERS)))
    r = home.run("load", "-i", archive)
    assert r.returncode == 0, r.stderr
    assert names(home) == [name]


def test_from_standard_input_and_by_another_name(home):
    r = home.run("load", "-t", "other:3", input=docker_archive(LAYERS), text=False)
    assert r.returncode == 0, r.stderr
    assert names(home) == ["docker.io/library/other:3"]


def builtin_layer():
    with tarfile.open(BUILTIN) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
        return tar.extractfile(manifest[0]["Layers"][0]).read()


def test_the_root_keeps_its_owner_and_mode(home):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        root = tarfile.TarInfo("./")
        root.type, root.mode, root.uid, root.gid = tarfile.DIRTYPE, 0o1751, 7, 12
        tar.addfile(root)
    data = docker_archive([builtin_layer(), out.getvalue()], tag="rooted:1")
    assert home.run("load", input=data, text=False).returncode == 0
    ask = ["--name", "r", "rooted:1", "--", "sh", "-c", "stat -c '%a %u:%g' /; chmod 711 /"]
    # A named one keeps its disk, and with it what the guest has changed.
    assert [home.run("run", *ask).stdout for _ in range(2)] == ["1751 7:12\n", "711 7:12\n"]


def test_loading_twice_changes_nothing(home, tmp_path):
    archive = tmp_path / "a.tar"
    archive.write_bytes(docker_archive(LAYERS))
    home.run("load", "-i", archive)
    before = files(home)
    assert home.run("image", "load", "-i", archive).returncode == 0
    assert files(home) == before and len(names(home)) == 1


def test_ls_shows_a_table_and_quiet_names(home):
    assert home.run("load", "-i", BUILTIN).returncode == 0
    table = home.run("image", "ls").stdout.splitlines()
    assert table[0].split() == ["REFERENCE", "DIGEST", "SIZE", "USED-BY", "CREATED"]
    assert table[1].startswith("docker.io/library/busybox:latest") or table[1].startswith("busybox")
    assert len(home.run("images", "ls", "-q").stdout.splitlines()) == 1


def test_ls_shows_when_the_image_was_created(home):
    assert home.run("load", input=docker_archive(LAYERS), text=False).returncode == 0
    images = json.loads(home.run("image", "ls", "--format", "json").stdout)
    assert images[0]["created"] == "2026-01-02T03:04:05Z"


def test_the_home_is_private(home):
    assert home.run("load", "-i", BUILTIN).returncode == 0
    for path in [home.path, *home.path.rglob("*")]:
        assert path.lstat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("make", [docker_archive, oci_archive])
def test_a_truncated_archive_leaves_nothing(home, where, make):
    data = make(LAYERS)
    end = data.rstrip(b"\0")
    r = home.run("load", input=data[:int(len(end) * where)], text=False)
    assert r.returncode == 1
    assert r.stderr.startswith(b"error: ")
    assert names(home) == []
    assert not list((home.path / "images/tmp").iterdir())


@pytest.mark.parametrize("data", [b"", b"hello", b"\0" * 10240, b"\x1f\x8b\x08garbage", os.urandom(20000)],
                         ids=["empty", "short", "zeros", "gzip", "noise"])
def test_what_is_no_archive_is_refused(home, data):
    r = home.run("load", input=data, text=False)
    assert r.returncode == 1
    assert b"standard input" in r.stderr
    assert names(home) == []


def test_a_wrong_digest_is_refused(home):
    r = home.run("load", input=oci_archive(LAYERS, break_digest=True), text=False)
    assert r.returncode == 1
    assert names(home) == []


def test_an_archive_that_cannot_be_read(home, tmp_path):
    r = home.run("load", "-i", tmp_path / "nothing.tar")
    assert r.returncode == 1
    assert "nothing.tar" in r.stderr and "No such file" in r.stderr
    r = home.run("load", "-i", tmp_path)
    assert r.returncode == 1
    assert str(tmp_path) in r.stderr


def test_a_terminal_is_no_archive(home):
    r = subprocess.run(["script", "-qec", f"'{home.msb}' load", "/dev/null"], env=home.env,
                       capture_output=True, text=True, timeout=30)
    assert r.returncode == 2
    assert "-i FILE" in r.stdout
