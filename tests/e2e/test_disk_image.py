# SPDX-License-Identifier: Apache-2.0
"""Disk images as root: raw and qcow2, partitions, layers; and a file of the user as root disk."""
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import struct
import subprocess

import pytest
from conftest import eventually

MIB = 1 << 20
TOOLS = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}  # a user's has no sbin


def tool(*args, **kw):
    return subprocess.run([str(a) for a in args], check=True, capture_output=True, text=True,
                          env=TOOLS, **kw)


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def clean(path):
    """The ext4 file system in the file has no error."""
    r = subprocess.run(["e2fsck", "-fn", str(path)], capture_output=True, text=True, env=TOOLS)
    assert r.returncode == 0, r.stdout + r.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A small root file system: busybox and little else."""
    root = tmp_path_factory.mktemp("tree")
    for d in "bin", "etc", "tmp", "root", "dev", "proc", "sys", "run":
        (root / d).mkdir()
    for name in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
        (root / "bin" / name).symlink_to("busybox")
    (root / "bin/busybox").unlink(missing_ok=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/config").write_text("original\n")
    return root


def make_ext4(path, tree, mib=48):
    with open(path, "wb") as f:
        f.truncate(mib * MIB)
    tool("mke2fs", "-q", "-t", "ext4", "-d", tree, path)
    return path


@pytest.fixture(scope="module")
def images(tree, tmp_path_factory):
    """A folder with the image in each format."""
    d = tmp_path_factory.mktemp("images")
    raw = make_ext4(d / "root.raw", tree)
    for name, *options in (
            ("v3.qcow2", "-o", "compat=1.1"),
            ("v2.qcow2", "-o", "compat=0.10"),
            ("c512.qcow2", "-o", "cluster_size=512"),
            ("c2m.qcow2", "-o", "cluster_size=2M"),
            ("deflate.qcow2", "-c"),
            ("zstd.qcow2", "-c", "-o", "compression_type=zstd"),
            ("reserved.qcow2", "-o", "preallocation=metadata"),
            ("snapshot.qcow2", "-o", "lazy_refcounts=on")):
        tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, raw, d / name)
    tool("qemu-img", "snapshot", "-c", "before", d / "snapshot.qcow2")
    return d


def table(path, parts, label="gpt"):
    """A disk with these partitions: (file with the content or None, MiB, type)."""
    total = 2 + sum(mib for _, mib, _ in parts)
    with open(path, "wb") as f:
        f.truncate((total + 2) * MIB)
    script = f"label: {label}\n" + "".join(f"size={mib}MiB, type={kind}\n" for _, mib, kind in parts)
    tool("sfdisk", "-q", path, input=script)
    listing = tool("sfdisk", "-l", "-o", "start", path).stdout.split("Start\n")[1].split()
    with open(path, "r+b") as f:
        for (content, _, _), start in zip(parts, listing):
            if content:
                f.seek(int(start) * 512)
                f.write(pathlib.Path(content).read_bytes())
    return path


LINUX_ROOT = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
EFI = "C12A7328-F81F-11D2-BA4B-00C93EC93B3B"


@pytest.mark.parametrize("name", ["root.raw", "v3.qcow2", "v2.qcow2", "c512.qcow2", "c2m.qcow2",
                                  "deflate.qcow2", "zstd.qcow2", "reserved.qcow2", "snapshot.qcow2"])
def test_each_format_boots_and_stays_as_it_is(home, images, tree, name):
    before = digest(images / name)
    r = home.run("run", images / name, "--", "sh", "-c",
                 "sha256sum /bin/busybox; cat /etc/config; echo changed >/etc/config; rm /etc/passwd;"
                 "dd if=/dev/zero of=/big bs=1M count=8 2>&1 | tail -n 1 >/dev/null; sync; cat /etc/config")
    lines = r.stdout.split("\n")
    assert r.returncode == 0, r.stderr
    assert lines[0].split()[0] == digest(tree / "bin/busybox")
    assert lines[1:3] == ["original", "changed"]
    assert digest(images / name) == before


def test_an_image_is_unpacked_once(home, images):
    disks = home.path / "images/disks"
    assert home.run("run", images / "zstd.qcow2", "--", "true").returncode == 0
    first = {p.name: p.stat().st_ino for p in disks.iterdir()}
    assert home.run("run", images / "zstd.qcow2", "--", "true").returncode == 0
    assert {p.name: p.stat().st_ino for p in disks.iterdir()} == first
    assert all(name.endswith(".raw") for name in first)


def test_prune_takes_copies_that_nobody_uses(home, images):
    p = home.start("run", images / "deflate.qcow2", "--", "sh", "-c", "echo up; read x; sha256sum /bin/busybox",
                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "up\n"
    assert home.run("run", images / "zstd.qcow2", "--", "true").returncode == 0
    in_use = {q.stat().st_ino for q in home.path.glob("images/disks/*")} & opened(home)
    assert home.run("image", "prune", "-y", "--older-than", "1h").returncode == 0
    assert len(list(home.path.glob("images/disks/*"))) >= 2
    assert home.run("image", "prune", "-y").returncode == 0
    assert {q.stat().st_ino for q in home.path.glob("images/disks/*")} == in_use
    assert len(in_use) == 1
    assert "busybox" in p.communicate("go\n", timeout=60)[0]


def opened(home):
    """Inode numbers of the files of this home that a process holds open."""
    return {os.stat(f"/proc/{pid}/fd/{fd}").st_ino for pid in home.processes()
            for fd in os.listdir(f"/proc/{pid}/fd")
            if os.readlink(f"/proc/{pid}/fd/{fd}").startswith(f"{home.path}/")}


def test_two_that_need_the_same_copy(home, images, tmp_path):
    image = tmp_path / "both.qcow2"
    shutil.copy(images / "deflate.qcow2", image)
    before = set(home.path.glob("images/disks/*"))
    two = [home.start("run", image, "--", "cat", "/etc/config", stdout=subprocess.PIPE, text=True) for _ in "ab"]
    assert [p.communicate(timeout=100)[0] for p in two] == ["original\n"] * 2
    assert len(set(home.path.glob("images/disks/*")) - before) == 1


def test_two_sandboxes_see_only_their_own_writes(home, images):
    before = digest(images / "v3.qcow2")
    script = "echo $0 >/mine; sync; echo ready; read x; cat /mine; ls /"
    two = [home.start("run", images / "v3.qcow2", "--", "sh", "-c", script, name,
                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in ("one", "two")]
    for p in two:
        assert p.stdout.readline() == "ready\n"
    ends = [p.communicate("go\n", timeout=60)[0] for p in two]
    assert [e.split()[0] for e in ends] == ["one", "two"]
    assert digest(images / "v3.qcow2") == before


def test_a_named_sandbox_keeps_its_writes(home, images):
    image = images / "v3.qcow2"
    r = home.run("run", "--name", "keeper", image, "--", "sh", "-c",
                 "echo kept >/kept; dd if=/dev/urandom of=/data bs=64k count=40 2>/dev/null; sha256sum </data")
    assert r.returncode == 0, r.stderr
    again = home.run("run", "--name", "keeper", image, "--", "sh", "-c", "cat /kept; sha256sum </data")
    assert (again.returncode, again.stdout) == (0, "kept\n" + r.stdout), again.stderr


def free(lock):
    with open(lock, "rb") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False


def test_flushed_writes_survive_a_kill(home, images):
    """Each file is told after its sync; after three kills all that were told are there."""
    write = ("i=$(ls /n 2>/dev/null | wc -l); mkdir -p /n; while :; do "
             "echo $i >/n/$i; dd if=/dev/urandom of=/noise bs=64k count=3 2>/dev/null; sync; echo $i; "
             "i=$((i + 1)); done")
    told = 0
    for _ in range(3):
        p = home.start("run", "--name", "killed", images / "root.raw", "--", "sh", "-c", write,
                       stdout=subprocess.PIPE, text=True)
        for _ in range(9):
            told = int(p.stdout.readline())
        victims = [pid for pid, name in home.processes().items() if name in ("msb-sandbox", "msb")
                   or name.startswith("qemu")]
        assert len(victims) >= 2
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        p.communicate(timeout=30)
        # A thread that is in a flush holds on after its process looks gone.
        assert eventually(lambda: all(free(lock) for lock in home.path.glob("run/*/lock")))
    r = home.run("run", "--name", "killed", images / "root.raw", "--", "sh", "-c",
                 "dmesg | grep -c 'EXT4-fs error'; "
                 f"i=0; while [ $i -le {told} ]; do [ $(cat /n/$i) = $i ] || echo $i; i=$((i + 1)); done")
    assert told >= 24
    assert (r.returncode, r.stdout) == (0, "0\n"), r.stderr


def test_an_image_that_was_changed_is_refused(home, images, tmp_path):
    image = tmp_path / "moving.raw"
    shutil.copy(images / "root.raw", image)
    assert home.run("run", "--name", "moving", image, "--", "true").returncode == 0
    os.utime(image)
    r = home.run("run", "--name", "moving", image, "--", "true")
    assert r.returncode == 125
    assert "was changed since sandbox 'moving' was created" in r.stderr


def test_direct_writes_into_the_file(home, images, tmp_path):
    image = tmp_path / "direct.raw"
    shutil.copy(images / "root.raw", image)
    p = home.start("run", "--root-disk", "direct", image, "--", "sh", "-c",
                   "echo written >/written; echo ready; read x", stdin=subprocess.PIPE,
                   stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "ready\n"
    for other in [], ["--root-disk", "direct"]:
        r = home.run("run", *other, image, "--", "true")
        assert r.returncode == 125 and "by another sandbox" in r.stderr
    p.communicate("go\n", timeout=60)
    assert p.returncode == 0
    clean(image)
    assert tool("debugfs", "-R", "cat /written", image).stdout == "written\n"


def test_the_format_is_never_guessed_again(home, images, tmp_path):
    """A guest that writes a qcow2 header into its own raw disk gains nothing."""
    image = tmp_path / "sly.raw"
    shutil.copy(images / "root.raw", image)
    run = ["run", "--name", "sly", "--root-disk", "direct", image, "--"]
    assert home.run(*run, "true").returncode == 0
    with open(image, "r+b") as f:
        f.write(struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 104, 11, 16, 48 * MIB))
    r = home.run(*run, "cat", "/etc/config")
    assert (r.returncode, r.stdout) == (0, "original\n"), r.stderr


@pytest.mark.parametrize("kind,device", [("none", "ro"), ("tmpfs:64M", "rw")])
def test_other_kinds_of_root_disk(home, images, kind, device):
    r = home.run("run", "--root-disk", kind, images / "v3.qcow2", "--", "sh", "-c",
                 "cat /etc/config; grep ' / ' /proc/mounts; echo x >/new && cat /new")
    assert r.stdout.startswith("original\noverlay / overlay " + device), r.stderr
    assert (r.returncode == 0) == (device == "rw")


@pytest.mark.parametrize("kind", ["256M", "tmpfs", "none", "direct"])
def test_an_erofs_image(home, tree, tmp_path, kind):
    image = tmp_path / "root.erofs"
    tool("mkfs.erofs", image, tree)
    before = digest(image)
    r = home.run("run", "--root-disk", kind, image, "--", "sh", "-c",
                 "cat /etc/config; echo x >/etc/config; cat /etc/config")
    assert digest(image) == before
    if kind == "direct":
        assert r.returncode == 125 and "erofs, which nobody can write" in r.stderr
    else:
        assert r.stdout == "original\n" + ("original\n" if kind == "none" else "x\n"), r.stderr


def test_an_image_grows(home, images):
    grown = ["run", "--name", "grown", "--root-disk", "300M", images / "v3.qcow2", "--", "sh", "-c"]
    for _ in range(2):
        r = home.run(*grown, "df -m / | tail -n 1")
        assert int(r.stdout.split()[1]) > 250, r.stdout + r.stderr
    r = home.run("run", "--root-disk", "64M", images / "v3.qcow2", "--", "df", "-m", "/")
    assert r.returncode == 0, r.stderr


def test_an_image_that_shrinks_is_refused(home, tree, tmp_path):
    image = make_ext4(tmp_path / "large.raw", tree, mib=80)
    r = home.run("run", "--root-disk", "64M", image, "--", "true")
    assert r.returncode == 125 and "is less than disk image" in r.stderr


def test_partitions(home, images, tree, tmp_path):
    """By type, by being the only one, by number; MBR and its logical partitions."""
    root, other = images / "root.raw", tmp_path / "other.raw"
    (tmp_path / "tree").mkdir()
    make_ext4(other, tmp_path / "tree", mib=16)
    cat = ["--", "cat", "/etc/config"]
    gpt = table(tmp_path / "gpt.raw", [(other, 16, LINUX), (root, 48, LINUX_ROOT)])
    assert home.run("run", gpt, *cat).stdout == "original\n"
    only = table(tmp_path / "only.raw", [(None, 8, EFI), (root, 48, LINUX)])
    tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", only, tmp_path / "only.qcow2")
    assert home.run("run", tmp_path / "only.qcow2", *cat).stdout == "original\n"
    mbr = table(tmp_path / "mbr.raw", [(None, 8, "c"), (root, 48, "83")], label="dos")
    assert home.run("run", mbr, *cat).stdout == "original\n"
    several = table(tmp_path / "several.raw", [(other, 16, LINUX), (root, 48, LINUX)])
    r = home.run("run", several, *cat)
    assert r.returncode == 125
    assert "several file systems that could be the root" in r.stderr
    assert "1 (ext4, 16 MiB), 2 (ext4, 48 MiB)" in r.stderr
    assert home.run("run", "--partition", "2", several, *cat).stdout == "original\n"
    assert home.run("run", "--partition", "2", "--fstype", "ext4", several, *cat).stdout == "original\n"
    r = home.run("run", "--partition", "3", several, *cat)
    assert r.returncode == 125 and "has no partition 3" in r.stderr
    r = home.run("run", "--root-disk", "200M", "--partition", "2", several, "--", "df", "-m", "/")
    assert int(r.stdout.split("\n")[1].split()[1]) > 100, r.stderr
    r = home.run("run", "--root-disk", "200M", "--partition", "1", several, "--", "true")
    assert "cannot grow: other partitions lie behind partition 1" in r.stderr


@pytest.mark.parametrize("fmt,word", [("vmdk", "vmdk"), ("vdi", "vdi"), ("vpc", "vpc"), ("vhdx", "vhdx")])
def test_foreign_formats_name_the_conversion(home, images, tmp_path, fmt, word):
    image = tmp_path / f"image.{fmt}"
    tool("qemu-img", "convert", "-f", "raw", "-O", fmt, images / "root.raw", image)
    r = home.run("run", image, "--", "true")
    assert r.returncode == 125
    assert f"qemu-img convert -f {word} -O qcow2 {image} NEW.qcow2" in r.stderr


def test_a_fixed_vhd_is_no_raw_image(home, images, tmp_path):
    image = tmp_path / "fixed.vhd"
    tool("qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", "subformat=fixed",
         images / "root.raw", image)
    assert "qemu-img convert -f vpc" in home.run("run", image, "--", "true").stderr


def patch(source, target, *changes):
    """A copy with numbers changed: (offset, struct format, value)."""
    data = bytearray(source.read_bytes())
    for offset, fmt, value in changes:
        struct.pack_into(fmt, data, offset, value)
    target.write_bytes(data)


def test_hostile_qcow2_images(home, images, tmp_path):
    good, bad = images / "c512.qcow2", tmp_path / "bad.qcow2"
    (secret := tmp_path / "secret").write_bytes(b"of the host" * 1000)

    def refused(*parts):
        r = home.run("run", bad, "--", "true")
        assert r.returncode == 125, r.stderr
        for part in parts:
            assert part in r.stderr
        assert "of the host" not in r.stdout + r.stderr

    tool("qemu-img", "create", "-f", "qcow2", "-b", secret, "-F", "raw", bad, "64M")
    refused("backing_file_offset", "qemu-img convert -O qcow2")
    bad.unlink()
    tool("qemu-img", "create", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}", bad, "64M")
    refused("external data file", "qemu-img convert -O qcow2")
    bad.unlink()
    tool("qemu-img", "create", "-f", "qcow2", "-o", "extended_l2=on", bad, "64M")
    refused("extended L2 entries", "qemu-img convert -O qcow2")
    l1 = struct.unpack_from(">Q", good.read_bytes(), 40)[0]
    l2 = struct.unpack_from(">Q", good.read_bytes(), l1)[0] & 0xfffffffffffe00
    end = good.stat().st_size + 512 & ~511
    for change, part in (
            ((24, ">Q", 1 << 63), "above 16 TiB"),
            ((24, ">Q", 1 << 62), "above 16 TiB"),
            ((36, ">I", 1), "l1_size"),
            ((20, ">I", 63), "cluster_bits"),
            ((32, ">I", 1), "is encrypted (crypt_method)"),
            ((32, ">I", 2), "is encrypted (crypt_method)"),
            ((72, ">Q", 1 << 50), "incompatible_features"),
            ((40, ">Q", end), "past the end"),
            ((l1, ">Q", l1), "the L1 table itself"),
            ((l1 + 8, ">Q", l2), "used twice"),
            ((l1, ">Q", end), "entry 0 of its L1 table"),
            ((l2, ">Q", l2), "names a table as data"),
            ((l2, ">Q", end), "entry 0 of its L2 table")):
        patch(good, bad, change)
        refused(part)
    bad.write_bytes(good.read_bytes()[:90])
    refused("ends in its header")
    # Packed data that is none.
    shutil.copy(images / "deflate.qcow2", bad)
    with open(bad, "r+b") as f:
        f.seek(6 * 65536)
        f.write(b"\xff" * 300000)
    refused("damaged")


def test_what_is_no_disk_image(home, tmp_path):
    empty, noise = tmp_path / "empty", tmp_path / "noise"
    empty.write_bytes(b"")
    noise.write_bytes(os.urandom(MIB))
    assert "is empty" in home.run("run", empty, "--", "true").stderr
    assert "neither partitions nor a known file system" in home.run("run", noise, "--", "true").stderr
    assert "neither a folder nor a file" in home.run("run", "/dev/null", "--", "true").stderr
    gone = home.run("run", tmp_path / "gone.qcow2", "--", "true")
    assert gone.returncode != 0 and str(tmp_path / "gone.qcow2") in gone.stderr


def test_a_file_that_is_cut_off(home, images, tmp_path):
    image = tmp_path / "short.raw"
    image.write_bytes((images / "root.raw").read_bytes()[:20 * MIB])
    assert "is cut off" in home.run("run", image, "--", "true").stderr


def test_a_file_of_the_user_as_root_disk(home, tmp_path):
    disk = tmp_path / "mine.raw"
    with open(disk, "wb") as f:
        f.truncate(200 * MIB)
    r = home.run("run", "--root-disk", disk, "busybox", "--", "true")
    assert r.returncode == 125 and f"mke2fs -t ext4 {disk}" in r.stderr
    tool("mke2fs", "-q", "-t", "ext4", "-b", "1024", disk, "64M")
    run = ["run", "--root-disk", disk, "busybox", "--", "sh", "-c"]
    r = home.run(*run, "echo kept >/kept; df -m / | tail -n 1")
    assert int(r.stdout.split()[1]) > 150, r.stderr  # it took all of the file
    assert home.run(*run, "cat /kept").stdout == "kept\n"
    clean(disk)


def directory_digest(root):
    seen = hashlib.sha256()
    for path in sorted(pathlib.Path(root).rglob("*")) + [pathlib.Path(root)]:
        s = path.lstat()
        seen.update(repr((str(path), s.st_mode, s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns,
                          s.st_ctime_ns, s.st_nlink)).encode())
        if path.is_file() and not path.is_symlink():
            seen.update(path.read_bytes())
    return seen.hexdigest()


@pytest.mark.parametrize("kind", ["", "tmpfs", "none"])
def test_a_directory_is_shared_and_never_written(home, tree, kind):
    before = directory_digest(tree)
    options = ["--root-disk", kind] if kind else []
    script = "echo $0 >/mine; chmod 700 /etc; rm -f /etc/config; echo ready; read x; cat /mine"
    two = [home.start("run", *options, tree, "--", "sh", "-c", script, name, stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for name in ("one", "two")]
    for p in two:
        assert p.stdout.readline() == "ready\n"
    ends = [p.communicate("go\n", timeout=60)[0] for p in two]
    assert ends == (["", ""] if kind == "none" else ["one\n", "two\n"])
    assert directory_digest(tree) == before


def test_files_of_a_directory_belong_to_root(home, tree):
    r = home.run("run", tree, "--", "stat", "-c", "%u:%g", "/", "/etc/config", "/bin/busybox")
    assert r.stdout.split() == ["0:0"] * 3, r.stderr


def test_a_directory_that_has_vanished(home, tree, tmp_path):
    root = tmp_path / "vanishing"
    shutil.copytree(tree, root, symlinks=True)
    run = ["run", "--name", "vanished", root, "--", "true"]
    assert home.run(*run).returncode == 0
    shutil.rmtree(root)
    r = home.run(*run)
    assert r.returncode != 0 and str(root) in r.stderr


FILL = ("for i in 1 2 3 4 5 6 7 8; do mkdir -p /d$i; cp /bin/busybox /d$i/; done; rm -r /d3 /d5; "
        "df -m / | tail -n 1")


@pytest.mark.parametrize("size,mib,longer_mib", [("256M", 256, 8192), ("8G", 8192, 24576), ("1T", MIB, 0)])
def test_the_upper_is_sound(home, tmp_path, size, mib, longer_mib):
    before = set(home.path.glob("sandboxes/*/upper.ext4"))
    r = home.run("run", "--name", "upper" + size, "--root-disk", size, "busybox", "--", "sh", "-c", FILL)
    assert r.returncode == 0, r.stderr
    upper, = set(home.path.glob("sandboxes/*/upper.ext4")) - before
    assert upper.stat().st_size == mib * MIB
    clean(upper)
    assert upper.stat().st_blocks * 512 < 64 * MIB
    if not longer_mib:
        return
    # A longer file: the guest's ext4 follows at the next mount.
    longer = tmp_path / "longer.ext4"
    tool("cp", "--sparse=always", upper, longer)
    with open(longer, "r+b") as f:
        f.truncate(longer_mib * MIB)
    r = home.run("run", "--root-disk", longer, "busybox", "--", "sh", "-c", FILL)
    assert int(r.stdout.split()[1]) > 0.9 * longer_mib, r.stderr
    clean(longer)
