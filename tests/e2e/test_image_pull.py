# SPDX-License-Identifier: Apache-2.0
"""Pulling into the store (src/image/pull.c) from a registry that fails on demand: tests/tools/image_pull."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import platform
import random
import signal
import subprocess
import tarfile

import pytest

from fake_registry import FakeRegistry, digest, drop_after, hang_after, ignore_range

PULL = pathlib.Path(os.environ["MSB"]).parent / "tests/image_pull"
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
WAIT_S = 120  # nothing here is timed: what takes longer hangs
MIB = 1 << 20


def layer(seed, size):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(f"file{seed}")
        info.size = size
        tar.addfile(info, io.BytesIO(random.Random(seed).randbytes(size)))
    return out.getvalue()


def add_image(registry, tag, layers, packed=True):
    """An image of these layers; its layers' digests as the registry has them."""
    config = json.dumps({"architecture": ARCH, "os": "linux", "rootfs": {
        "type": "layers", "diff_ids": [digest(x) for x in layers]}}).encode()
    blobs = [gzip.compress(x, 1, mtime=0) if packed else x for x in layers]
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                   "digest": registry.add_blob(config), "size": len(config)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar" + "+gzip" * packed,
                    "digest": registry.add_blob(x), "size": len(x)} for x in blobs]}).encode()
    registry.add_manifest("box", tag, manifest)
    return [digest(x) for x in blobs]


class Puller:
    """One home, and pulls into it."""

    def __init__(self, path, registry):
        self.home, self.registry = path, registry
        path.mkdir()
        self.env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}

    def command(self, *options, tag="1"):
        return [PULL, *map(str, options), self.home, f"{self.registry.host}/box:{tag}"]

    def run(self, *options, tag="1"):
        return subprocess.run(self.command(*options, tag=tag), env=self.env, capture_output=True,
                              text=True, timeout=WAIT_S)

    def start(self, *options, tag="1"):
        return subprocess.Popen(self.command(*options, tag=tag), env=self.env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def files(self, folder):
        return sorted(p.name for p in (self.home / "images" / folder).iterdir() if p.is_file())


def until(process, event, done=0):
    """Read events till this one comes, with at least so many bytes done."""
    for line in process.stdout:
        name, _, amount = line.split()[:3]
        if name == event and int(amount.split("/")[0]) >= done:
            return
    pytest.fail(f"no {event}: {process.stderr.read()}")


@pytest.fixture()
def registry():
    with FakeRegistry() as r:
        yield r
        r.released.set()


@pytest.fixture()
def home(tmp_path, registry):
    return Puller(tmp_path / "home", registry)


def test_pull_and_pull_again(registry, home):
    layers = [layer(i, 200_000 + i) for i in range(6)]
    digests = add_image(registry, "1", layers)
    first = home.run()
    assert first.returncode == 0, first.stderr
    assert home.files("layers") == sorted(f"{hashlib.sha256(x).hexdigest()}.tar" for x in layers)
    for x in layers:
        data = (home.home / "images/layers" / f"{hashlib.sha256(x).hexdigest()}.tar").read_bytes()
        assert data == x
    second = home.run()
    assert [x.split()[0] for x in second.stdout.splitlines()] == ["resolving", "resolved", "complete", "image"]
    for d in digests:
        assert len(registry.asked(d)) == 1
    assert home.files("tmp") == [] and home.files("partial") == []


def test_a_broken_connection_goes_on(registry, home):
    [blob] = add_image(registry, "1", [layer(1, 3 * MIB)])
    registry.fault(blob, drop_after(MIB), drop_after(500_000), ignore_range)
    run = home.run()
    assert run.returncode == 0, run.stderr
    assert "layer_retry" in run.stdout
    assert len(registry.asked(blob)) == 3


def test_a_killed_pull_goes_on_where_it_was(registry, home):
    [blob] = add_image(registry, "1", [layer(2, 80 * MIB)], packed=False)
    registry.fault(blob, hang_after(60 * MIB))
    process = home.start()
    until(process, "layer_download_progress", 50 * MIB)
    process.kill()
    process.communicate()
    registry.released.set()
    assert home.files("layers") == []
    run = home.run()
    assert run.returncode == 0, run.stderr
    start = int(registry.asked(blob)[1]["Range"].removeprefix("bytes=").removesuffix("-"))
    assert start >= 50 * MIB
    assert home.files("partial") == [] and home.files("tmp") == []


def test_a_cancelled_pull_ends_though_the_registry_hangs(registry, home):
    [blob] = add_image(registry, "1", [layer(3, 80 * MIB)], packed=False)
    registry.fault(blob, hang_after(70 * MIB))
    process = home.start()
    until(process, "layer_download_progress", 65 * MIB)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert errors.startswith("error cancelled"), errors
    assert home.files("tmp") == [] and len(home.files("partial")) == 1


def test_who_waits_takes_over_when_the_other_dies(registry, home):
    [blob] = add_image(registry, "1", [layer(4, 2 * MIB)], packed=False)
    registry.fault(blob, hang_after(MIB))
    one = home.start()
    until(one, "layer_download_progress")
    assert registry.hanging.wait(WAIT_S)
    two = home.start()
    until(two, "layer_waiting")
    one.kill()
    one.communicate()
    _, errors = two.communicate(timeout=WAIT_S)
    assert two.returncode == 0, errors
    assert len(registry.asked(blob)) == 2


def test_many_pulls_fetch_each_layer_once(registry, home):
    shared = layer(5, 4 * MIB)
    digests = add_image(registry, "1", [shared, layer(6, MIB)]) + \
        add_image(registry, "2", [shared, layer(7, MIB)])
    processes = [home.start(tag=str(1 + i % 2)) for i in range(8)]
    for p in processes:
        _, errors = p.communicate(timeout=WAIT_S)
        assert p.returncode == 0, errors
    for d in set(digests):
        assert len(registry.asked(f"/blobs/{d}")) == 1
    assert len(home.files("layers")) == 3


def test_a_mirror_that_lies_changes_nothing(registry, home):
    layers = [layer(8, 300_000), layer(9, 100_000)]
    add_image(registry, "1", layers)
    with FakeRegistry() as mirror:
        mirror.manifests = dict(registry.manifests)
        mirror.blobs = {k: v[:-9] + bytes([v[-9] ^ 1]) + v[-8:] for k, v in registry.blobs.items()}
        run = home.run("--mirror", mirror.url)
        assert run.returncode == 0, run.stderr
        assert mirror.asked("/blobs/") and registry.asked("/blobs/")
    assert home.files("layers") == sorted(f"{hashlib.sha256(x).hexdigest()}.tar" for x in layers)


def test_wrong_content_is_told_with_both_digests(registry, home):
    [blob] = add_image(registry, "1", [layer(10, 100_000)])
    registry.blobs[blob] = registry.blobs[blob][:-9] + b"x" + registry.blobs[blob][-8:]
    run = home.run()
    assert run.returncode == 1
    assert run.stderr.startswith("error digest-mismatch in verify:"), run.stderr
    assert blob in run.stderr and digest(registry.blobs[blob]) in run.stderr
    assert registry.host in run.stderr
    assert home.files("layers") == []


def test_the_platform_is_chosen(registry, home):
    add_image(registry, "1", [layer(11, 1000)])
    manifest = registry.manifests["box", "1"][1]
    index = json.dumps({"schemaVersion": 2, "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + "0" * 64,
         "size": 7, "platform": {"os": "linux", "architecture": "s390x"}},
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(manifest),
         "size": len(manifest), "platform": {"os": "linux", "architecture": ARCH}}]}).encode()
    registry.add_manifest("box", "all", index, "application/vnd.oci.image.index.v1+json")
    run = home.run(tag="all")
    assert run.returncode == 0, run.stderr
    assert f"image {digest(manifest)} " in run.stdout
    run = home.run("--platform", "linux/riscv64", tag="all")
    assert run.stderr.startswith("error platform-unavailable in resolve:"), run.stderr
    assert "linux/s390x" in run.stderr and f"linux/{ARCH}" in run.stderr


@pytest.mark.parametrize("keep", [True, False])
def test_compressed_layers_are_kept_if_the_settings_say_so(registry, home, tmp_path, keep):
    [blob] = add_image(registry, "1", [layer(12, 50_000)])
    (home.home / "config.json").write_text(json.dumps({"images": {"keep_blobs": keep}}))
    (home.home / "config.json").chmod(0o600)
    env = {**home.env, "MSB_HOME": str(home.home)}
    name = f"{registry.host}/box:1"
    run = subprocess.run([os.environ["MSB"], "pull", name], env=env, capture_output=True, text=True,
                         timeout=WAIT_S)
    assert run.returncode == 0, run.stderr
    assert (blob.removeprefix("sha256:") in home.files("blobs/sha256")) == keep
    save = subprocess.run([os.environ["MSB"], "save", "--exact", "--format", "oci", "-o", tmp_path / "out.tar", name],
                          env=env, capture_output=True, text=True, timeout=WAIT_S)
    assert (save.returncode == 0) == keep, save.stderr
