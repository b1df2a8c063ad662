# SPDX-License-Identifier: Apache-2.0
"""What the tests of pulling share: images to pull, and how to look at what came of it."""
import json
import os
import random

import mkimg

import registry
import trees

BUSYBOX = "docker-archive:" + str(trees.BUILD / "libexec/microsandbox/images/busybox.tar")
MIB = 1 << 20


def noise(seed, size):
    """Bytes that no program can make smaller."""
    return random.Random(seed).randbytes(size)


def layer(name, data):
    return mkimg.F(name, data) + bytes(1024)


def busybox_layer():
    with open("/bin/busybox", "rb") as f:
        return mkimg.D("bin") + mkimg.F("bin/busybox", f.read(), mode=0o755) + bytes(1024)


def manifest_of(there, repository, tag):
    """(its bytes, its digest) as the registry has it."""
    link = there.folder / f"data/docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/current/link"
    digest = link.read_text()
    return there.blob(digest).read_bytes(), digest


def layers_of(there, repository, tag):
    return [x["digest"] for x in json.loads(manifest_of(there, repository, tag)[0])["layers"]]


def listed(home):
    return {i["reference"]: i for i in json.loads(home.run("image", "ls", "--format", "json").stdout)}


def left(home):
    """All that the store holds but its lock."""
    root = home.path / "images"
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and p.name != "lock")


def pull(home, *args, env=None, **kw):
    return home.run("pull", "--progress", "none", *args, env={**registry.nowhere(home.path / "nobody"), **(env or {})}, **kw)


def check_sentence(r, *words):
    """One clear error: exit code 1, a sentence with these words, then only advice."""
    assert r.returncode == 1, r
    first, *advice = r.stderr.splitlines()
    assert first.startswith("error: "), r.stderr
    assert all(line.startswith("  → ") for line in advice), r.stderr
    for word in words:
        assert word in r.stderr, (word, r.stderr)


def write_config(home, hosts):
    """MSB_HOME/config.json with these registries."""
    home.path.mkdir(mode=0o700, exist_ok=True)
    path = home.path / "config.json"
    path.write_text(json.dumps({"registries": hosts}))
    os.chmod(path, 0o600)


def partial_bytes(home):
    folder = home.path / "images/partial"
    return sum(p.stat().st_size for p in folder.iterdir()) if folder.exists() else 0
