# SPDX-License-Identifier: Apache-2.0
"""Images that are files: layouts and archives in the place of a name, and the forms that load reads."""
import gzip
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

import pytest

from conftest import Home
from test_load import add, docker_archive, layer, names, oci_archive, sha
from test_save import images, members, ok

LAYERS = [layer({"etc/a": b"first\n", "etc/b": b"lower\n"}), layer({"etc/b": b"upper\n", "etc/.wh.a": b""})]
BUILTIN = pathlib.Path(os.environ["MSB"]).parent / "libexec/microsandbox/images/busybox.tar"


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            if isinstance(data, str):
                info = tarfile.TarInfo(name)
                info.type, info.linkname = tarfile.SYMTYPE, data
                tar.addfile(info)
            else:
                add(tar, name, data)
    return out.getvalue()


def unpack(data, folder):
    folder.mkdir()
    for name, content in members(data).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def bootable(folder, **kw):
    """A layout of the image that is built in."""
    with tarfile.open(BUILTIN) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
        data = tar.extractfile(manifest[0]["Layers"][0]).read()
    return unpack(oci_archive([data, *kw.pop("more", [])], **kw), folder)


class Layout:
    """An OCI layout in memory."""

    def __init__(self):
        self.files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}

    def blob(self, data, media, **more):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.files["blobs/sha256/" + sha(data)] = data
        return {"mediaType": media, "digest": "sha256:" + sha(data), "size": len(data), **more}

    def image(self, layers, arch="amd64", pack=bytes, suffix="", **more):
        oci = "application/vnd.oci.image."
        config = self.blob({"architecture": arch, "os": "linux", "config": {},
                            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha(x) for x in layers]}},
                           oci + "config.v1+json")
        return self.blob({"schemaVersion": 2, "mediaType": oci + "manifest.v1+json", "config": config,
                          "layers": [self.blob(pack(x), oci + "layer.v1.tar" + suffix) for x in layers]},
                         oci + "manifest.v1+json", **more)

    def index(self, entries, **more):
        return self.blob({"schemaVersion": 2, "manifests": entries}, "application/vnd.oci.image.index.v1+json",
                         **more)

    def done(self, entries):
        self.files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
        return archive(self.files)


def platform(arch, variant=None):
    return {"platform": {"os": "linux", "architecture": arch} | ({"variant": variant} if variant else {})}


def named(name):
    return {"annotations": {"io.containerd.image.name": name}}


# ---- forms of archives ---------------------------------------------------------------------


def v1_archive(layers, repositories=None, config=None):
    ids = [sha(b"id %d" % i) for i in range(len(layers))]
    files = {}
    for i, data in enumerate(layers):
        one = {"id": ids[i], "created": f"2014-01-0{i + 1}T00:00:00Z", "architecture": "amd64", "os": "linux"}
        if i > 0:
            one["parent"] = ids[i - 1]
        if i == len(layers) - 1:
            one["config"] = config or {"Cmd": ["/bin/sh"], "Env": ["A=b"]}
        files |= {f"{ids[i]}/VERSION": b"1.0", f"{ids[i]}/json": json.dumps(one).encode(),
                  f"{ids[i]}/layer.tar": data}
    files["repositories"] = json.dumps(repositories(ids) if repositories else {"old/box": {"0.9": ids[-1]}}).encode()
    return files


def test_the_form_before_docker_1_10(home):
    data = archive(v1_archive(LAYERS))
    ok(home.run("load", input=data, text=False))
    image = images(home)["docker.io/old/box:0.9"]
    assert image["created"] == "2014-01-02T00:00:00Z"
    ok(home.run("load", input=data, text=False))
    assert images(home)["docker.io/old/box:0.9"]["digest"] == image["digest"]
    found = members(ok(home.run("save", "old/box:0.9", "--format", "docker", text=False)).stdout)
    assert [found[x] for x in json.loads(found["manifest.json"])[0]["Layers"]] == LAYERS


def test_the_old_form_with_several_tags_and_images(home):
    files = v1_archive(LAYERS, lambda ids: {"old/box": {"1": ids[1], "latest": ids[1]}, "base": {"0": ids[0]}})
    ok(home.run("load", input=archive(files), text=False))
    got = images(home)
    assert sorted(got) == ["docker.io/library/base:0", "docker.io/old/box:1", "docker.io/old/box:latest"]
    assert got["docker.io/old/box:1"]["digest"] == got["docker.io/old/box:latest"]["digest"]


@pytest.mark.parametrize("spoil, text", [
    (lambda f: f.pop(next(x for x in f if x.endswith("layer.tar"))), "layer.tar"),
    (lambda f: f.pop(next(x for x in f if x.endswith("/json"))), "/json"),
    (lambda f: f.update({"repositories": b'{"a":{"b":"../../x"}}'}), "no image id"),
    (lambda f: f.update({"repositories": b'{"a":{"b":7}}'}), "image ids"),
    (lambda f: f.update({"repositories": b'{"a":7}'}), "object")])
def test_the_old_form_spoilt(home, spoil, text):
    files = v1_archive(LAYERS)
    spoil(files)
    r = home.run("load", input=archive(files), text=False)
    assert r.returncode == 1 and text.encode() in r.stderr
    assert names(home) == []


def test_a_chain_of_parents_that_has_no_end(home):
    files = v1_archive(LAYERS)
    for name in [x for x in files if x.endswith("/json")]:
        one = json.loads(files[name])
        files[name] = json.dumps(one | {"parent": one["id"]}).encode()
    r = home.run("load", input=archive(files), text=False)
    assert r.returncode == 1 and b"layers" in r.stderr


def test_layers_that_are_links_to_each_other(home):
    files = members(docker_archive([LAYERS[0], LAYERS[0]]))
    files["layer1/layer.tar"] = "../layer0/layer.tar"
    ok(home.run("load", input=archive(files), text=False))
    assert names(home) == ["docker.io/test/image:1"]


@pytest.mark.parametrize("target", ["../../../etc/passwd", "/etc/passwd", "nothing", "layer.tar"])
def test_a_link_out_of_the_archive_or_to_itself(home, target):
    files = members(docker_archive(LAYERS))
    files["layer1/layer.tar"] = target
    r = home.run("load", input=archive(files), text=False)
    assert r.returncode == 1 and b"layer1/layer.tar" in r.stderr and names(home) == []


SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"


@pytest.mark.parametrize("pack, suffix", [
    (gzip.compress, "+gzip"), (lambda x: gzip.compress(x[:700]) + gzip.compress(x[700:]), "+gzip"),
    (zstd, "+zstd"), (lambda x: zstd(x[:700]) + SKIPPABLE + zstd(x[700:]), "+zstd"),
    (lambda x: SKIPPABLE + zstd(x), "+zstd")])
def test_packed_layers_and_packed_archives(home, pack, suffix):
    layout = Layout()
    data = layout.done([layout.image(LAYERS, pack=pack, suffix=suffix, **named("packed:1"))])
    for whole in (data, pack(data)):
        ok(home.run("load", input=whole, text=False))
        assert names(home) == ["docker.io/library/packed:1"]


@pytest.mark.parametrize("blocks", [1, 2, 16])
def test_a_zstd_layer_that_ends_with_a_block(home, blocks):
    data = layer({"big": bytes(131072 * blocks - 10240)})
    data = data[:512] + data[512:].ljust(131072 * blocks - 512, b"\0")
    layout = Layout()
    ok(home.run("load", input=layout.done([layout.image([data], pack=zstd, suffix="+zstd")]), text=False))


def test_an_empty_layer(home):
    ok(home.run("load", input=docker_archive([LAYERS[0], layer({}), bytes(1024)]), text=False))


def test_without_a_name_the_digest_is_printed(home):
    layout = Layout()
    entry = layout.image(LAYERS, annotations={"org.opencontainers.image.ref.name": "latest"})
    r = ok(home.run("load", input=layout.done([entry]), text=False))
    assert r.stdout.decode().strip() == entry["digest"]
    r = ok(home.run("load", "-t", "mine:1", input=layout.done([entry]), text=False))
    assert r.stdout.decode().strip() == "docker.io/library/mine:1"


def test_one_name_for_several_images_is_refused_before_they_are_kept(home):
    layout = Layout()
    data = layout.done([layout.image(LAYERS, **named("a:1")), layout.image(LAYERS[:1], **named("b:2"))])
    r = home.run("load", "-t", "c:3", input=data, text=False)
    assert r.returncode == 1 and b"2 images" in r.stderr and b"a:1, b:2" in r.stderr
    assert names(home) == []


# ---- indexes -------------------------------------------------------------------------------


def test_nested_indexes_and_the_platform_of_the_host(home):
    layout = Layout()
    other = layout.image(LAYERS[:1], arch="arm64", **platform("arm64"))
    mine = layout.image(LAYERS, **platform("amd64"))
    attestation = layout.blob({"schemaVersion": 2}, "application/vnd.oci.image.manifest.v1+json",
                              **platform("unknown"), annotations={"vnd.docker.reference.type": "attestation-manifest"})
    entry = layout.index([other, attestation, mine])
    for _ in range(3):
        entry = layout.index([entry])
    ok(home.run("load", input=layout.done([entry | named("multi:1")]), text=False))
    assert images(home)["docker.io/library/multi:1"]["digest"] == mine["digest"]


def test_indexes_that_are_too_deep(home):
    layout = Layout()
    entry = layout.image(LAYERS)
    for _ in range(6):
        entry = layout.index([entry])
    r = home.run("load", input=layout.done([entry]), text=False)
    assert r.returncode == 1 and b"indexes inside each other" in r.stderr


def test_indexes_that_name_each_other_many_times(home):
    layout = Layout()
    entry = layout.index([])
    for _ in range(3):
        entry = layout.index([entry] * 1000)
    r = home.run("load", input=layout.done([entry]), text=False, timeout_s=30)
    assert r.returncode == 1 and b"entries of indexes" in r.stderr


def test_the_variant_that_fits_best(home):
    layout = Layout()
    v1 = layout.image(LAYERS, **platform("amd64"))
    v9 = layout.image(LAYERS[:1], **platform("amd64", "v9"))
    v2 = layout.image([LAYERS[1]], **platform("amd64", "v2"))
    ok(home.run("load", "-t", "x:1", input=layout.done([layout.index([v9, v1, v2])]), text=False))
    assert images(home)["docker.io/library/x:1"]["digest"] == v2["digest"]


def test_an_index_of_which_only_a_part_is_there(home):
    layout = Layout()
    missing = layout.image([LAYERS[1]], **platform("amd64", "v2"))
    layout.files = {"oci-layout": b"{}"}
    mine = layout.image(LAYERS, **platform("amd64"))
    ok(home.run("load", "-t", "x:1", input=layout.done([layout.index([missing, mine])]), text=False))
    assert images(home)["docker.io/library/x:1"]["digest"] == mine["digest"]


def test_an_index_without_our_platform(home):
    layout = Layout()
    entry = layout.index([layout.image(LAYERS, arch="arm64", **platform("arm64"))])
    r = home.run("load", input=layout.done([entry]), text=False)
    assert r.returncode == 1 and b"linux/amd64" in r.stderr


def test_the_top_index_chooses_too(home):
    layout = Layout()
    other = layout.image(LAYERS[:1], arch="arm64", **platform("arm64"), **named("multi:1"))
    mine = layout.image(LAYERS, **platform("amd64"), **named("multi:1"))
    ok(home.run("load", input=layout.done([other, mine]), text=False))
    assert images(home)["docker.io/library/multi:1"]["digest"] == mine["digest"]


def test_two_names_in_the_index_are_one_image(home):
    layout = Layout()
    entry = layout.image(LAYERS)
    r = ok(home.run("load", "--format", "json", input=layout.done([entry | named("a:1"), entry | named("b:1")]),
                    text=False))
    assert len(json.loads(r.stdout)["images"]) == 1
    assert names(home) == ["docker.io/library/a:1", "docker.io/library/b:1"]


def test_an_image_for_another_machine_is_kept_but_not_run(home):
    layout = Layout()
    entry = layout.image(LAYERS, arch="arm64", **named("other:1"))
    ok(home.run("load", input=layout.done([entry]), text=False))
    r = home.run("run", "other:1", "--", "true")
    assert r.returncode == 125 and "arm64" in r.stderr and "amd64" in r.stderr
    saved = ok(home.run("save", "other:1", "--exact", text=False)).stdout
    assert "blobs/sha256/" + entry["digest"][7:] in members(saved)


# ---- layouts as folders --------------------------------------------------------------------


def test_load_reads_a_layout_that_is_a_folder(home, tmp_path):
    folder = unpack(oci_archive(LAYERS), tmp_path / "layout")
    ok(home.run("load", "-i", folder))
    assert names(home) == ["docker.io/oci/image:2"]


def test_skopeo_writes_a_layout_that_we_read(home, tmp_path):
    (tmp_path / "a.tar").write_bytes(docker_archive(LAYERS))
    subprocess.run(["skopeo", "copy", "--insecure-policy", f"docker-archive:{tmp_path}/a.tar",
                    f"oci:{tmp_path}/layout:v1"], check=True, capture_output=True, timeout=60)
    ok(home.run("load", "-t", "mine:1", "-i", tmp_path / "layout"))
    assert names(home) == ["docker.io/library/mine:1"]


def test_other_files_of_a_layout_are_not_read(home, tmp_path):
    folder = unpack(oci_archive(LAYERS), tmp_path / "layout")
    os.mkfifo(folder / "blobs/sha256" / ("0" * 64))
    (folder / "blobs/sha256" / ("1" * 64)).write_bytes(b"not what its name says")
    ok(home.run("load", "-i", folder))


def layer_blob(folder):
    index = json.loads((folder / "index.json").read_text())
    manifest = json.loads((folder / "blobs/sha256" / index["manifests"][0]["digest"][7:]).read_text())
    return folder / "blobs/sha256" / manifest["layers"][0]["digest"][7:]


def test_a_link_that_leads_out_of_a_layout(home, tmp_path):
    folder = unpack(oci_archive(LAYERS), tmp_path / "layout")
    blob = layer_blob(folder)
    outside = tmp_path / "outside"
    shutil.move(blob, outside)
    for target in (outside, "../../../outside"):
        blob.symlink_to(target)
        r = home.run("load", "-i", folder)
        assert r.returncode == 1 and "leads out" in r.stderr and names(home) == []
        blob.unlink()
    shutil.move(outside, folder / "inside")
    blob.symlink_to("../../inside")
    ok(home.run("load", "-i", folder))


def test_a_folder_that_leads_out_of_a_layout(home, tmp_path):
    folder = unpack(oci_archive(LAYERS), tmp_path / "layout")
    shutil.move(folder / "blobs", tmp_path / "blobs")
    (folder / "blobs").symlink_to(tmp_path / "blobs")
    r = home.run("load", "-i", folder)
    assert r.returncode == 1 and "leads out" in r.stderr


@pytest.mark.parametrize("spoil, text", [
    (lambda blob: blob.write_bytes(gzip.compress(LAYERS[1])), "content of"),
    (lambda blob: blob.unlink(), "is not in the archive"),
    (lambda blob: (blob.unlink(), os.mkfifo(blob)), "is no file"),
    (lambda blob: (blob.unlink(), blob.mkdir()), "is no file")])
def test_a_spoilt_layout(home, tmp_path, spoil, text):
    folder = unpack(oci_archive(LAYERS), tmp_path / "layout")
    spoil(layer_blob(folder))
    r = home.run("load", "-i", folder)
    assert r.returncode == 1 and text in r.stderr and names(home) == []
    assert not list((home.path / "images/tmp").iterdir())


def test_a_folder_that_is_no_layout(home, tmp_path):
    (tmp_path / "empty").mkdir()
    r = home.run("load", "-i", tmp_path / "empty")
    assert r.returncode == 1 and str(tmp_path / "empty") in r.stderr


# ---- in the place of a name ----------------------------------------------------------------


def test_run_a_layout(home, tmp_path):
    bootable(tmp_path / "layout", name="boot:1")
    for text in ("oci:layout", f"oci:{tmp_path}/layout", "oci:./layout:1", "oci:layout:boot:1"):
        r = ok(home.run("run", text, "--", "echo", "here", cwd=tmp_path))
        assert r.stdout == "here\n"
    assert names(home) == ["docker.io/library/boot:1"]


def test_run_archives(home, tmp_path):
    shutil.copy(BUILTIN, tmp_path / "docker.tar")
    (tmp_path / "oci.tar.gz").write_bytes(gzip.compress(archive(
        {str(p.relative_to(tmp_path / "l")): p.read_bytes()
         for p in sorted(bootable(tmp_path / "l", name="boot:1").rglob("*")) if p.is_file()})))
    for text in ("docker-archive:docker.tar", "oci-archive:oci.tar.gz:1", "docker-archive:docker.tar:busybox:latest"):
        r = ok(home.run("run", text, "--", "echo", "here", cwd=tmp_path))
        assert r.stdout == "here\n"


def test_a_named_sandbox_keeps_the_image_when_the_file_is_gone(home, tmp_path):
    shutil.copy(BUILTIN, tmp_path / "a.tar")
    spec = ["run", "--name", "kept", f"docker-archive:{tmp_path}/a.tar", "--"]
    ok(home.run(*spec, "touch", "/mine"))
    r = ok(home.run(*spec, "ls", "/mine"))
    assert r.stdout == "/mine\n"


@pytest.mark.parametrize("text, message", [
    ("oci:nothing", "nothing"), ("docker-archive:nothing.tar:x", "nothing.tar"), ("oci:two", "2 images"),
    ("oci:two:3", "it has a:1, b:2"), ("oci:file", "file"), ("oci:", "oci:DIR[:TAG]"),
    ("docker-archive:text", "text"), ("Busybox", 'did you mean "busybox"'),
    ("https://ghcr.io/a/b", 'did you mean "ghcr.io/a/b"')])
def test_what_does_not_fit_is_told(home, tmp_path, text, message):
    layout = Layout()
    unpack(layout.done([layout.image(LAYERS, **named("a:1")), layout.image(LAYERS[:1], **named("b:2"))]),
           tmp_path / "two")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "text").write_text("no archive\n" * 100)
    r = home.run("run", text, "--", "true", cwd=tmp_path)
    assert r.returncode in (2, 125) and message in r.stderr
    assert names(home) == []


def test_one_of_several_is_picked_and_only_that_is_kept(home, tmp_path):
    folder = bootable(tmp_path / "layout", name="boot:1")
    extra = Layout()
    entry = extra.image(LAYERS, **named("other:2"))
    for name, data in extra.files.items():
        (folder / name).write_bytes(data)
    index = json.loads((folder / "index.json").read_text())
    index["manifests"].append(entry)
    (folder / "index.json").write_text(json.dumps(index))
    ok(home.run("run", f"oci:{folder}:1", "--", "true"))
    assert names(home) == ["docker.io/library/boot:1"]


def test_a_local_tar_archive_is_loaded_first(home, tmp_path):
    shutil.copy(BUILTIN, tmp_path / "a.tar")
    r = home.run("run", "./a.tar", "--", "true", cwd=tmp_path)
    assert r.returncode in (2, 125) and "msb load -i" in r.stderr
