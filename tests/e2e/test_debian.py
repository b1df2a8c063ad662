# SPDX-License-Identifier: Apache-2.0
"""A real Debian image, made by mmdebstrap and packed as a docker-archive."""
import hashlib
import io
import json
import os
import pathlib
import subprocess
import tarfile

import pytest

PACKAGES = "python3-minimal"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "microsandbox/test-images"


def make_rootfs(target):
    """One layer; cached by what goes in, as it takes a minute."""
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}",
               "--format=tar", "bookworm", str(target)]
    subprocess.run(command, check=True, timeout=900, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    key = hashlib.sha256(f"1 bookworm minbase {PACKAGES}".encode()).hexdigest()[:16]
    rootfs = CACHE / f"debian-{key}.tar"
    if not rootfs.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        new = CACHE / f".new.{os.getpid()}.tar"
        make_rootfs(new)
        new.rename(rootfs)
    path = tmp_path_factory.mktemp("debian") / "debian.tar"
    with open(rootfs, "rb") as f:
        diff_id = hashlib.file_digest(f, "sha256").hexdigest()
    config = json.dumps({"architecture": "amd64", "os": "linux",
                         "config": {"Cmd": ["bash"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:"
                                                             "/usr/sbin:/usr/bin:/sbin:/bin"]},
                         "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}}).encode()
    name = hashlib.sha256(config).hexdigest()
    with tarfile.open(path, "w") as tar:
        tar.add(rootfs, f"{diff_id}/layer.tar")
        for member, data in ((f"{name}.json", config), ("manifest.json", json.dumps([{
                "Config": f"{name}.json", "RepoTags": ["debian:latest"],
                "Layers": [f"{diff_id}/layer.tar"]}]).encode())):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def debian(module_home, home, archive):
    if "debian" not in home.run("image", "ls", "-q").stdout:
        r = home.run("load", "-i", archive, timeout_s=300)
        assert r.returncode == 0, r.stderr
    return home


def test_python_computes(debian):
    r = debian.run("run", "debian", "--", "python3", "-c", "print(6*7)")
    assert (r.returncode, r.stdout) == (0, "42\n"), r.stderr


def test_sha256sum_of_a_file_equals_the_hosts(debian, tmp_path):
    data = tmp_path / "file"
    data.write_bytes(os.urandom(20_000_000))
    with open(data, "rb") as f:
        r = debian.run("run", "-i", "debian", "--", "sha256sum", stdin=f)
    want = subprocess.check_output(["sha256sum", data], text=True).split()[0]
    assert r.stdout.split()[0] == want


def test_the_tree_is_that_of_the_archive(debian, archive):
    """Type, mode, owner, size, target and mtime of every entry, as the guest sees them."""
    script = "find / -xdev -mindepth 1 -printf '%p|%y|%m|%U|%G|%s|%l|%T@\\n'"
    r = debian.run("run", "--root-disk", "none", "debian", "--", "sh", "-c", script, timeout_s=300)
    assert r.returncode == 0, r.stderr
    seen = {}
    for line in r.stdout.splitlines():
        path, kind, mode, uid, gid, size, target, mtime = line.split("|")
        seen[path] = (kind, mode, uid, gid, size if kind == "f" else "", target, int(float(mtime)))
    with tarfile.open(archive) as outer:
        member = next(m for m in outer if m.name.endswith("layer.tar"))
        with tarfile.open(fileobj=outer.extractfile(member)) as tar:
            entries = tar.getmembers()
    kinds = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.REGTYPE: "f", tarfile.CHRTYPE: "c",
             tarfile.LNKTYPE: "f"}
    sizes = {m.name: m for m in entries}
    covered = ("/dev", "/proc", "/sys", "/run", "/tmp", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf",
               "/lib/modules", "/usr/lib/modules", "/.msb", "/var/tmp")
    compared = 0
    for m in entries:
        path = os.path.normpath("/" + m.name)
        if path == "/" or path.startswith(covered):
            continue
        real = sizes[m.linkname] if m.islnk() else m
        want = (kinds[real.type], f"{real.mode:o}", str(real.uid), str(real.gid),
                str(real.size) if real.isreg() else "", real.linkname if real.issym() else "",
                int(real.mtime))
        if path in ("/etc", "/usr/lib"):  # hosts and lib/modules were made there at boot: new mtime
            assert seen[path][:-1] == want[:-1]
        else:
            assert seen.get(path) == want, path
        compared += 1
    assert compared > 3000


def test_apt_and_dpkg_work_on_the_writable_root(debian):
    r = debian.run("run", "debian", "--", "sh", "-c",
                   "dpkg --verify base-files && dpkg -P --force-all mawk >/dev/null && ! which mawk",
                   timeout_s=300)
    assert r.returncode == 0, r.stdout + r.stderr
