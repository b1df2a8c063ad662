# SPDX-License-Identifier: Apache-2.0
"""Files that go into sandboxes and out of them."""
import ctypes
import hashlib
import io
import json
import os
import signal
import stat
import tarfile

import pytest

from agent_client import ERROR, FAILED, OPEN_REQUESTS, PING, PONG, AgentClient
from conftest import eventually
from library import Library

OPEN_FILE = 96
TAR_OUT = 1
NAME = "files"


class Guest:
    """A sandbox that does nothing, and programs in it."""

    def __init__(self, home):
        self.home, self.lib = home, Library()
        self.context = self.lib.open(home)
        spec = {"image": "busybox", "name": NAME, "memory_mib": 256}
        self.handle = self.lib.make("sandbox_create", self.context, json.dumps(spec).encode(), 0,
                                    None)
        self.lib.lib.msb_sandbox_id.restype = ctypes.c_char_p
        self.run_dir = home.path / "run" / self.lib.lib.msb_sandbox_id(self.handle).decode()

    def sh(self, script):
        """Run a script to its end: its output."""
        import test_sessions
        r = test_sessions.Result(struct_size=ctypes.sizeof(test_sessions.Result))
        self.lib("exec_run", self.handle, json.dumps({"script": script}).encode(), None,
                 ctypes.c_size_t(0), None, ctypes.byref(r))
        out = ctypes.string_at(r.out, r.out_len).decode() if r.out_len else ""
        err = ctypes.string_at(r.err, r.err_len).decode() if r.err_len else ""
        code = r.code
        self.lib.lib.msb_exec_result_done(ctypes.byref(r))
        assert code == 0, err
        return out

    def close(self):
        self.lib("sandbox_stop", self.handle, 1, ctypes.c_int64(-1), None, None)
        self.lib.lib.msb_sandbox_close(self.handle)
        self.lib.lib.msb_close(self.context)


@pytest.fixture(scope="module")
def guest(module_home):
    g = Guest(module_home)
    yield g
    g.close()
    assert eventually(lambda: not module_home.leftovers())


@pytest.fixture
def cp(module_home, guest):
    def run(*args, code=0, timeout_s=60, **kw):
        r = module_home.run("cp", *args, timeout_s=timeout_s, **kw)
        assert r.returncode == code, r.stderr
        return r
    return run


def look(root):
    """Everything that must survive a copy, by path."""
    found, inodes = {}, {}
    for folder, dirs, files in os.walk(root):
        for name in [*dirs, *files]:
            path = os.path.join(folder, name)
            s = os.lstat(path)
            what = [stat.filemode(s.st_mode), s.st_mtime_ns]
            if stat.S_ISLNK(s.st_mode):
                what.append(os.readlink(path))
            elif stat.S_ISREG(s.st_mode):
                with open(path, "rb") as f:
                    what.append(hashlib.sha256(f.read()).hexdigest())
                if s.st_nlink > 1:
                    what.append(inodes.setdefault(s.st_ino, os.path.relpath(path, root)))
            found[os.path.relpath(path, root)] = what
    return found


def make_tree(root):
    root.mkdir()
    (root / "empty").mkdir()
    (root / "deep").mkdir()
    (root / "deep" / ("n" * 200)).mkdir()
    (root / "deep" / ("n" * 200) / "m").write_bytes(os.urandom(100000))
    (root / "plain").write_text("hello\n")
    (root / "exec").write_text("#!/bin/sh\n")
    (root / "exec").chmod(0o751)
    os.link(root / "plain", root / "second")
    os.symlink("plain", root / "link")
    os.symlink("/no/where/" + "x" * 150, root / "dangling")
    os.mkfifo(root / "fifo", 0o640)
    (root / "nothing").write_bytes(b"")
    with open(root / "sparse", "wb") as f:
        f.seek(8 << 20)
        f.write(b"middle")
        f.truncate(16 << 20)
    (root / "odd \xff\n name").write_text("odd")
    (root / "readonly").mkdir()
    (root / "readonly" / "file").write_text("x")
    (root / "readonly").chmod(0o555)
    for i, (folder, dirs, files) in enumerate(os.walk(root, topdown=False)):
        for name in [*files, *dirs]:
            os.utime(os.path.join(folder, name), ns=(0, 1500000000123456789 + i),
                     follow_symlinks=False)


def test_round_trip(cp, guest, tmp_path):
    """A tree with every type comes back as it was."""
    make_tree(tmp_path / "tree")
    cp(tmp_path / "tree", f"{NAME}:/root/")
    assert "hello" in guest.sh("cat /root/tree/link")
    blocks = int(guest.sh("stat -c %b /root/tree/sparse"))
    assert blocks * 512 < 1 << 20, "the holes are gone"
    cp(f"{NAME}:/root/tree", tmp_path / "back")
    assert look(tmp_path / "back") == look(tmp_path / "tree")
    assert os.stat(tmp_path / "back" / "sparse").st_blocks * 512 < 1 << 20
    cp(f"{NAME}:/root/tree", f"{NAME}:/tmp/other")
    cp(f"{NAME}:/tmp/other/.", tmp_path / "again")
    assert look(tmp_path / "again") == look(tmp_path / "tree")


def test_into(cp, guest, tmp_path):
    """An existing folder is copied into, what does not exist is the new name."""
    (tmp_path / "a").write_text("one")
    cp(tmp_path / "a", f"{NAME}:/tmp/named")
    cp(tmp_path / "a", f"{NAME}:/tmp")
    cp(tmp_path / "a", f"{NAME}:/tmp/")
    assert guest.sh("cat /tmp/named /tmp/a") == "oneone"
    (tmp_path / "a").write_text("two")
    cp(tmp_path / "a", f"{NAME}:/tmp/named")
    assert guest.sh("cat /tmp/named") == "two"
    cp(f"{NAME}:/tmp/named", tmp_path / "b")
    cp(f"{NAME}:/tmp/named", tmp_path)
    assert (tmp_path / "b").read_text() == (tmp_path / "named").read_text() == "two"


def test_owner(cp, guest, tmp_path):
    (tmp_path / "f").write_text("x")
    cp("--chown", "daemon:1234", tmp_path / "f", f"{NAME}:/tmp/owned")
    assert guest.sh("stat -c %u:%g /tmp/owned") == "1:1234\n"
    r = cp("--chown", "nobody-here", tmp_path / "f", f"{NAME}:/tmp/owned2", code=1)
    assert "no such user" in r.stderr
    guest.sh("echo x > /tmp/mine; chown 4321:77 /tmp/mine")
    cp("-a", f"{NAME}:/tmp/mine", tmp_path / "kept")
    assert os.stat(tmp_path / "kept").st_uid == (4321 if os.geteuid() == 0 else os.getuid())
    cp("-a", tmp_path / "kept", f"{NAME}:/tmp/kept")
    if os.geteuid() == 0:
        assert guest.sh("stat -c %u:%g /tmp/kept") == "4321:77\n"


def test_follow(cp, guest, tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "target").write_text("text")
    os.symlink("../target", tmp_path / "t" / "l")
    os.symlink(".", tmp_path / "t" / "loop")
    r = cp("-L", tmp_path / "t", f"{NAME}:/tmp/followed")
    assert "loop" in r.stderr and "left out" in r.stderr
    assert guest.sh("test ! -L /tmp/followed/l; cat /tmp/followed/l") == "text"


def test_tar_streams(cp, guest, module_home):
    guest.sh("mkdir -p /tmp/s/d; echo 1 > /tmp/s/d/f")
    r = cp(f"{NAME}:/tmp/s", "-", text=False)
    with tarfile.open(fileobj=io.BytesIO(r.stdout)) as t:
        assert sorted(t.getnames()) == ["s", "s/d", "s/d/f"]
        assert t.extractfile("s/d/f").read() == b"1\n"
    guest.sh("mkdir -p /tmp/in")
    cp("-", f"{NAME}:/tmp/in", text=False, input=r.stdout)
    assert guest.sh("cat /tmp/in/s/d/f") == "1\n"


@pytest.mark.parametrize("what, reason", [("..", "'..'"), ("abs", "absolute"), ("nul", "NUL"),
                                          ("long", "255"), ("through", "link"),
                                          ("hardlink", "'..'"), ("cut", "ends inside")])
def test_hostile_tar(cp, guest, what, reason):
    """A bad archive ends with an error, and nothing outside of its folder is there."""
    guest.sh("rm -rf /tmp/h /tmp/outside; mkdir -p /tmp/h /tmp/outside")
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode="w", format=tarfile.PAX_FORMAT) as t:
        def add(name, type=tarfile.REGTYPE, link="", pax=None):
            i = tarfile.TarInfo(name)
            i.type, i.linkname, i.pax_headers = type, link, pax or {}
            i.size = 3 if type == tarfile.REGTYPE else 0
            t.addfile(i, io.BytesIO(b"bad"))
        if what == "..":
            add("a/../../outside/x")
        elif what == "abs":
            add("/tmp/outside/x")
        elif what == "nul":
            add("y", pax={"path": "x\0y"})
        elif what == "long":
            add("n" * 256)
        elif what == "through":
            add("l", tarfile.SYMTYPE, "/tmp/outside")
            add("l/x")
        elif what == "hardlink":
            add("l", tarfile.LNKTYPE, "../outside")
        else:
            add("x")
    data = b.getvalue() if what != "cut" else b.getvalue()[:513]
    r = cp("-", f"{NAME}:/tmp/h", text=False, input=data, code=1)
    assert reason in r.stderr.decode(), r.stderr
    assert guest.sh("ls -A /tmp/outside") == ""
    assert guest.sh("find /tmp/h -type f") == "", "a file that is not whole"


def test_tame(cp, guest, tmp_path):
    """No devices, no setuid bits come to the host."""
    guest.sh("mkdir -p /tmp/tame; cd /tmp/tame; mknod null c 1 3; cp /bin/busybox su; chmod 6755 su")
    r = cp(f"{NAME}:/tmp/tame", tmp_path / "out")
    assert "null' is a device" in r.stderr and "setuid" in r.stderr
    assert os.listdir(tmp_path / "out") == ["su"]
    assert os.stat(tmp_path / "out" / "su").st_mode & 0o7777 == 0o755


def test_swapped_folders(cp, guest, tmp_path):
    """A guest that swaps folders for links to host paths during the copy gets nothing out there."""
    outside = tmp_path / "outside"
    outside.mkdir()
    guest.sh(f"""mkdir -p /tmp/swap; cd /tmp/swap; for i in 1 2 3 4 5 6 7 8; do mkdir d$i
        for j in 1 2 3 4 5 6 7 8; do head -c 20000 /dev/urandom > d$i/f$j; done; done
        (while test -e /tmp/swap; do for i in 1 2 3 4 5 6 7 8; do mv d$i e$i; ln -s {outside} d$i
        rm d$i; mv e$i d$i; done; done) >/dev/null 2>&1 &""")
    for i in range(5):
        cp(f"{NAME}:/tmp/swap", tmp_path / f"got{i}")
        assert os.listdir(outside) == []
    guest.sh("rm -rf /tmp/swap /tmp/swap; true")


def test_host_links_are_not_written_through(cp, guest, tmp_path):
    """A link that lies in the way on the host ends the copy."""
    guest.sh("mkdir -p /tmp/w/d; echo bad > /tmp/w/d/f")
    (tmp_path / "outside").mkdir()
    (tmp_path / "w").mkdir()
    os.symlink(tmp_path / "outside", tmp_path / "w" / "d")
    cp(f"{NAME}:/tmp/w", tmp_path, code=1)
    assert os.listdir(tmp_path / "outside") == []


def test_errors(cp, guest, tmp_path, module_home):
    """The errno table, as far as copies meet it."""
    (tmp_path / "f").write_text("x")
    guest.sh("mkdir -p /tmp/e/dir; echo x > /tmp/e/file; ln -s loop /tmp/e/loop; "
             "mkdir -p /tmp/ro; mount -t tmpfs -o ro none /tmp/ro; "
             "mkdir -p /tmp/full; mount -t tmpfs -o size=64k none /tmp/full")
    (tmp_path / "big").write_bytes(bytes(1 << 20) + b"x")
    for src, dst, words in [
            (f"{NAME}:/tmp/e/nothing", tmp_path / "x", "No such file"),
            (f"{NAME}:/tmp/e/file/x", tmp_path / "x", "Not a directory"),
            (f"{NAME}:/tmp/e/loop/x", tmp_path / "x", "ymbolic link"),
            (f"{NAME}:/" + "n" * 256, tmp_path / "x", "too long"),
            (tmp_path / "f", f"{NAME}:/tmp/e/nothing/", "no folder"),
            (tmp_path / "f", f"{NAME}:/tmp/e/nothing/x", "No such file"),
            (tmp_path / "f", f"{NAME}:/tmp/e/file/x", "Not a directory"),
            (tmp_path / "f", f"{NAME}:/tmp/ro/f", "Read-only"),
            (tmp_path / "big", f"{NAME}:/tmp/full/", "No space"),
            (tmp_path / "missing", f"{NAME}:/tmp", "missing"),
            (f"{NAME}:/tmp/e/file", tmp_path / "no/where", "No such file"),
            (f"{NAME}:relative", tmp_path / "x", "absolute"),
            ("nobody:/x", tmp_path / "x", "no sandbox named"),
            (tmp_path / "f", tmp_path / "x", "NAME:/path")]:
        r = cp(src, dst, code=2 if words in ("absolute", "NAME:/path") else 1)
        assert words in r.stderr, (src, dst, r.stderr)
        assert not (tmp_path / "x").exists()
    r = module_home.run("cp", f"{NAME}:/tmp/e/file")
    assert r.returncode == 2 and "msb cp SRC DST" in r.stderr
    guest.sh("umount /tmp/ro /tmp/full")


def rss(pid):
    """KiB of its own, without the memory of the guest."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon"))


def test_big_file(cp, guest, module_home, tmp_path):
    """256 MiB both ways: no end collects them."""
    size = 256 << 20
    block = os.urandom(1 << 20)
    with open(tmp_path / "big", "wb") as f:
        for _ in range(size >> 20):
            f.write(block)
    monitor = next(p for p, name in module_home.processes().items() if name == "msb-sandbox")
    before = rss(monitor)
    guest.sh("mkdir -p /root/big")
    cp(tmp_path / "big", f"{NAME}:/root/big/", timeout_s=400)
    cp(f"{NAME}:/root/big/big", tmp_path / "back", timeout_s=400)
    with open(tmp_path / "big", "rb") as a, open(tmp_path / "back", "rb") as b:
        assert hashlib.file_digest(a, "sha256").digest() == hashlib.file_digest(b, "sha256").digest()
    assert rss(monitor) - before < 4096, "the monitor collects"
    guest.sh("rm -rf /root/big")


def test_fifos_hold_nobody_up(guest):
    """100 copies of FIFOs at once, and clients that do not read; the agent answers."""
    guest.sh("mkdir -p /tmp/fifos; cd /tmp/fifos; mkfifo f; head -c 4000000 /dev/zero > big")
    clients = []
    for i in range(100):
        c = AgentClient(guest.run_dir)
        path = b"/tmp/fifos/f" if i % 2 else b"/tmp/fifos"
        c.say(OPEN_FILE, ({1: TAR_OUT, 2: path, 4: b"x"}))
        clients.append(c)
    ping = AgentClient(guest.run_dir)
    ping.say(OPEN_REQUESTS, ({}))
    ping.say(PING, b"12345678")
    assert ping.next()[0] == PONG
    for c in clients:
        c.sock.close()
    ping.sock.close()
    # The workers of clients that went away end.
    assert eventually(lambda: int(guest.sh("grep -l ^agentd /proc/[0-9]*/comm | wc -l")) <= 1)


def test_bad_requests(guest):
    for request in [{}, {1: TAR_OUT}, {1: TAR_OUT, 2: b"relative"}, {1: 77, 2: b"/"}]:
        c = AgentClient(guest.run_dir)
        c.say(OPEN_FILE, request)
        assert c.next()[0] == ERROR
        c.sock.close()
    c = AgentClient(guest.run_dir)
    c.say(OPEN_FILE, ({1: 2, 2: b"/tmp"}))
    c.say(35, b"what?")  # STDIN, in place of data
    assert c.next()[0] == FAILED
    c.sock.close()


def test_lost_client(guest):
    """A client that goes away in the middle of a file leaves nothing of it."""
    guest.sh("mkdir -p /tmp/half")
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode="w") as t:
        i = tarfile.TarInfo("part")
        i.size = 1 << 20
        t.addfile(i, io.BytesIO(bytes(i.size)))
    c = AgentClient(guest.run_dir)
    c.say(OPEN_FILE, {1: 2, 2: b"/tmp/half"})
    c.say(97, b.getvalue()[:200000])
    assert eventually(lambda: guest.sh("ls /tmp/half") == "part\n")
    c.sock.close()
    assert eventually(lambda: guest.sh("ls /tmp/half") == "")


def test_interrupted(guest, module_home, tmp_path):
    """ctrl-c leaves no file that is not whole."""
    guest.sh("head -c 268435456 /dev/zero > /root/long")
    (tmp_path / "to").mkdir()
    p = module_home.start("cp", f"{NAME}:/root/long", str(tmp_path / "to"))
    assert eventually(lambda: os.listdir(tmp_path / "to"))
    p.send_signal(signal.SIGINT)
    assert p.wait(60) == 130
    assert os.listdir(tmp_path / "to") == []
    guest.sh("rm /root/long")
