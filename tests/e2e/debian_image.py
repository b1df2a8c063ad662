# SPDX-License-Identifier: Apache-2.0
"""A small real image: Debian with python3, one layer, made by mmdebstrap and kept in the user's cache."""
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

import trees

PACKAGES = "python3-minimal"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "microsandbox/test-images"
KEY = hashlib.sha256(f"1 bookworm minbase {PACKAGES}".encode()).hexdigest()[:16]


def cached(name, make):
    """The file or folder of that name; make(path) writes it if it is missing."""
    path = CACHE / name
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        new = CACHE / f".new.{os.getpid()}.tar"
        make(new)
        new.rename(path)
    return path


def make_rootfs(target):
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}",
               "--format=tar", "bookworm", str(target)]
    subprocess.run(command, check=True, timeout=900, stdout=subprocess.DEVNULL)


def rootfs():
    return cached(f"debian-{KEY}.tar", make_rootfs)


def config_of(diff_id):
    return json.dumps({"architecture": "amd64", "os": "linux",
                       "config": {"Cmd": ["bash"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:"
                                                           "/usr/sbin:/usr/bin:/sbin:/bin"]},
                       "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}}).encode()


def write_docker_archive(path):
    with open(rootfs(), "rb") as f:
        diff_id = hashlib.file_digest(f, "sha256").hexdigest()
    config = config_of(diff_id)
    name = hashlib.sha256(config).hexdigest()
    with tarfile.open(path, "w") as tar:
        tar.add(rootfs(), f"{diff_id}/layer.tar")
        for member, data in ((f"{name}.json", config), ("manifest.json", json.dumps([{
                "Config": f"{name}.json", "RepoTags": ["debian:latest"],
                "Layers": [f"{diff_id}/layer.tar"]}]).encode())):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def make_layout(target):
    archive = target.with_suffix(".docker")
    write_docker_archive(archive)
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", f"docker-archive:{archive}",
                    f"oci:{target}:{trees.TAG}"], check=True, timeout=600)
    archive.unlink()


def layout():
    """The same as an OCI layout with a gzip layer, and tag trees.TAG."""
    return cached(f"debian-{KEY}.oci", make_layout)
