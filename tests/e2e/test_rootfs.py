# SPDX-License-Identifier: Apache-2.0
"""msb run on a directory of the host."""
import os
import pathlib
import shutil
import stat
import subprocess

import pytest


def snapshot(root):
    """Everything that can be seen of a tree, but access times."""
    seen = {}
    for path in sorted(pathlib.Path(root).rglob("*")) + [pathlib.Path(root)]:
        s = path.lstat()
        seen[str(path)] = (s.st_mode, s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns, s.st_nlink,
                           os.readlink(path) if path.is_symlink() else None)
    return seen


@pytest.fixture
def rootfs(tmp_path):
    root = tmp_path / "rootfs"
    for d in "bin", "etc", "tmp", "root", "dev", "proc", "sys":
        (root / d).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/config").write_text("original\n")
    return root


def test_the_directory_is_left_untouched(home, rootfs):
    before = snapshot(rootfs)
    r = home.run("run", rootfs, "--", "sh", "-c",
                 "cat /etc/config; echo changed >/etc/config; rm /etc/passwd; mkdir /new; cat /etc/config")
    assert (r.returncode, r.stdout) == (0, "original\nchanged\n"), r.stderr
    assert snapshot(rootfs) == before


def test_a_relative_path_is_a_directory(home, rootfs):
    r = home.run("run", "./rootfs", "--", "cat", "/etc/config", cwd=rootfs.parent)
    assert (r.returncode, r.stdout) == (0, "original\n"), r.stderr


def test_direct_writes_appear_on_the_host(home, rootfs):
    r = home.run("run", "--root-disk", "direct", rootfs, "--", "sh", "-c",
                 "umask 022; echo made >/etc/made; chmod 750 /etc/made; ln -s made /etc/link; "
                 "ln /etc/made /etc/hard; mkdir -m 700 /etc/dir; mv /etc/config /etc/moved; "
                 "printf 'abc' >/etc/x; printf 'def' >>/etc/x")
    assert r.returncode == 0, r.stderr
    made = (rootfs / "etc/made").stat()
    assert (rootfs / "etc/made").read_text() == "made\n"
    assert stat.S_IMODE(made.st_mode) == 0o750
    assert (made.st_uid, made.st_gid) == (os.getuid(), os.getgid())
    assert made.st_nlink == 2 and (rootfs / "etc/hard").stat().st_ino == made.st_ino
    assert os.readlink(rootfs / "etc/link") == "made"
    assert stat.S_IMODE((rootfs / "etc/dir").stat().st_mode) == 0o700
    assert (rootfs / "etc/moved").read_text() == "original\n"
    assert not (rootfs / "etc/config").exists()
    assert (rootfs / "etc/x").read_text() == "abcdef"


def test_links_out_of_the_directory_lead_nowhere(home, rootfs, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of the host\n")
    (rootfs / "etc/absolute").symlink_to(secret)
    (rootfs / "etc/relative").symlink_to("../../secret")
    r = home.run("run", rootfs, "--", "sh", "-c", "cat /etc/absolute /etc/relative; ls /..")
    assert "of the host" not in r.stdout


def test_a_file_is_no_root(home, tmp_path):
    archive = tmp_path / "image.tar"
    subprocess.run(["tar", "-cf", archive, "-C", "/etc", "passwd"], check=True)
    r = home.run("run", archive, "--", "true")
    assert r.returncode in (2, 125)
    assert "msb load" in r.stderr
