# SPDX-License-Identifier: Apache-2.0
"""msb run on the built-in image: streams, exit codes, settings, terminals, signals."""
import contextlib
import fcntl
import hashlib
import os
import resource
import signal
import sqlite3
import subprocess

import pexpect
import pytest

from conftest import BOOT_S


def sh(msb, script, *options, **kw):
    return msb("run", *options, "busybox", "--", "sh", "-c", script, **kw)


def test_uname_comes_from_the_guest(msb):
    r = msb("run", "busybox", "--", "uname", "-a")
    assert r.returncode == 0, r.stderr
    assert r.stdout.startswith("Linux ") and "microsandbox" in r.stdout
    assert r.stdout.split()[2] != os.uname().release


@pytest.mark.parametrize("script, code", [
    ("exit 0", 0), ("exit 3", 3), ("exit 255", 255),
    ("kill -9 $$", 137), ("kill -15 $$", 143), ("kill -11 $$", 139),
])
def test_exit_codes(msb, script, code):
    assert sh(msb, script).returncode == code


def test_a_missing_program_is_127(msb):
    r = msb("run", "busybox", "--", "pythn3")
    assert r.returncode == 127
    assert "'pythn3' was not found in sandbox" in r.stderr


def test_a_file_that_cannot_be_executed_is_126(msb):
    r = msb("run", "busybox", "--", "/etc/passwd")
    assert r.returncode == 126
    assert "cannot execute '/etc/passwd'" in r.stderr


def test_a_missing_workdir_is_125_and_named(msb):
    r = msb("run", "-w", "/wrk", "busybox", "--", "pwd")
    assert r.returncode == 125
    assert "working directory '/wrk' does not exist" in r.stderr


def test_stdout_and_stderr_stay_apart(msb):
    r = sh(msb, "echo out; echo err >&2; echo out2")
    assert (r.stdout, r.stderr) == ("out\nout2\n", "err\n")


def test_settings_reach_the_guest(msb):
    r = sh(msb, "echo $A:$B; pwd; id -u; id -g; hostname; nproc; grep MemTotal /proc/meminfo",
           "-e", "A=1=2", "-e", "B", "-w", "/tmp", "-u", "1234:77", "-H", "box", "-c", "2", "-m", "300M",
           env={"B": "from here"})
    assert r.returncode == 0, r.stderr
    lines = r.stdout.splitlines()
    assert lines[:6] == ["1=2:from here", "/tmp", "1234", "77", "box", "2"]
    assert 200_000 < int(lines[6].split()[1]) < 300 * 1024


def test_stdin_is_passed_on_with_its_end(msb):
    data = os.urandom(5_000_000)
    r = msb("run", "-i", "busybox", "--", "sha256sum", input=data, text=False)
    assert r.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_an_unread_stdin_does_not_hold_the_end(home):
    p = home.start("run", "busybox", "--", "echo", "done", stdin=subprocess.PIPE,
                   stdout=subprocess.PIPE)
    assert p.stdout.read() == b"done\n"
    assert p.wait(BOOT_S) == 0
    p.stdin.close()
    p.stdout.close()


def test_100_mb_of_output_arrive_byte_for_byte(home):
    """The guest makes the bytes from a seed that the host knows."""
    script = "dd if=/dev/urandom of=/tmp/r bs=1M count=1 2>/dev/null; sha256sum </tmp/r >&2; " \
             "i=0; while [ $i -lt 100 ]; do cat /tmp/r; i=$((i+1)); done"
    p = home.start("run", "-m", "256M", "busybox", "--", "sh", "-c", script,
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = p.communicate(timeout=300)
    assert p.returncode == 0 and len(out) == 100 << 20
    want = err.split()[0].decode()
    for i in range(100):
        assert hashlib.sha256(out[i << 20:(i + 1) << 20]).hexdigest() == want


def test_output_comes_as_it_is_written(home):
    p = home.start("run", "busybox", "--", "sh", "-c", "echo first; read x; echo $x",
                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"first\n"  # the program still waits for us
    p.stdin.write(b"second\n")
    p.stdin.close()
    assert p.stdout.read() == b"second\n"
    assert p.wait(BOOT_S) == 0
    p.stdout.close()


def test_timeout_is_124_and_keeps_the_output(msb):
    r = sh(msb, "echo before; exec sleep 1000", "--timeout", "1s")
    assert (r.returncode, r.stdout) == (124, "before\n")
    assert "stopped after 1s (--timeout)" in r.stderr


def test_a_program_that_ignores_term_is_killed_at_its_timeout(msb):
    r = sh(msb, "trap '' TERM; while :; do sleep 1; done", "--timeout", "1s", "--kill-after", "500ms")
    assert r.returncode == 124


def test_a_background_child_does_not_hold_the_end(msb):
    r = sh(msb, "sleep 1000 & echo started")
    assert (r.returncode, r.stdout) == (0, "started\n")


def test_a_closed_stdout_ends_the_program_silently(home):
    p = home.start("run", "busybox", "--", "yes", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                   stdin=subprocess.DEVNULL)
    assert p.stdout.read(4) == b"y\ny\n"
    p.stdout.close()
    assert p.stderr.read() == b""
    assert p.wait(BOOT_S) == 141
    p.stderr.close()


@pytest.mark.parametrize("script", ["echo x", "while :; do echo x; done"])
def test_a_full_stdout_ends_the_program_with_an_error(home, script):
    with open("/dev/full", "wb") as full:
        p = home.start("run", "busybox", "--", "sh", "-c", script, stdin=subprocess.DEVNULL,
                       stdout=full, stderr=subprocess.PIPE)
    assert p.communicate(timeout=BOOT_S)[1] == \
        b"error: write to standard output: No space left on device\n"
    assert p.returncode == 125


def test_a_nonblocking_stdout_loses_nothing(home):
    """Pieces of 64 KiB go into a pipe of one page."""
    r, w = os.pipe()
    fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(w, False)
    p = home.start("run", "busybox", "--", "sh", "-c", "dd if=/dev/zero bs=64k count=160 2>/dev/null",
                   stdin=subprocess.DEVNULL, stdout=w)
    os.close(w)
    with open(r, "rb") as pipe:
        out = pipe.read()
    assert p.wait(BOOT_S) == 0
    assert len(out) == 160 << 16


def test_a_sandbox_that_is_killed_is_named(home):
    p = home.start("run", "--name", "victim", "busybox", "--", "sh", "-c", "echo up; exec sleep 1000",
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "up\n"
    os.kill(next(pid for pid, name in home.processes().items() if name == "msb-sandbox"), signal.SIGKILL)
    err = p.communicate(timeout=BOOT_S)[1]
    assert (p.returncode, err) == \
        (125, "error: 'victim': the sandbox ended while the program was running\n")


def test_signals_reach_the_program(home):
    p = home.start("run", "busybox", "--", "sh", "-c",
                   "trap 'echo got usr1; exit 7' USR1; echo ready; while :; do sleep 0.1; done",
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"ready\n"
    p.send_signal(signal.SIGUSR1)
    assert p.stdout.read() == b"got usr1\n"
    assert p.wait(BOOT_S) == 7
    p.stdout.close()


def test_ctrl_c_ends_the_program_with_130(home):
    p = home.start("run", "busybox", "--", "sh", "-c", "echo ready; exec sleep 1000",
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"ready\n"
    p.send_signal(signal.SIGINT)
    assert p.wait(BOOT_S) == 130
    p.stdout.close()


def test_two_at_once_do_not_meet(home):
    both = [home.start("run", "busybox", "--", "sh", "-c", f"echo {i} >/f; cat /f",
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) for i in range(2)]
    for i, p in enumerate(both):
        out, _ = p.communicate(timeout=BOOT_S)
        assert (p.returncode, out) == (0, b"%d\n" % i)


def test_without_a_command_the_images_own_runs(home):
    p = home.start("run", "busybox", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = p.communicate(b"echo from the shell\n", timeout=BOOT_S)
    assert (p.returncode, out) == (0, b"from the shell\n")


@pytest.mark.parametrize("kind", ["tmpfs", "tmpfs:64M", "1G"])
def test_the_root_can_be_written_and_is_gone_afterwards(msb, kind):
    r = sh(msb, "echo x >/etc/new && cat /etc/new && df -k / | tail -1", "--root-disk", kind)
    assert r.returncode == 0, r.stderr
    assert r.stdout.startswith("x\n")
    assert sh(msb, "test -e /etc/new", "--root-disk", kind).returncode == 1


def test_a_read_only_root(msb):
    r = sh(msb, "echo x >/etc/new", "--root-disk", "none")
    assert r.returncode == 1
    assert "Read-only file system" in r.stderr


def test_a_named_sandbox_keeps_its_disk(msb):
    assert sh(msb, "echo kept >/data", "-n", "keeper").returncode == 0
    r = sh(msb, "cat /data", "-n", "keeper")
    assert (r.returncode, r.stdout) == (0, "kept\n"), r.stderr
    r = sh(msb, "true", "-n", "keeper", "-m", "300M")
    assert r.returncode == 125
    assert "keeper" in r.stderr


def test_a_second_run_of_what_lives_uses_it(home):
    with home.start("run", "-i", "-n", "held", "busybox", "--", "sh", "-c", "echo up; cat",
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"up\n"
        [folder] = (home.path / "run").iterdir()
        # The row says "stopped", as it does for a moment when another process starts it again.
        with contextlib.closing(sqlite3.connect(home.path / "db", timeout=5)) as db, db:
            db.execute("UPDATE sandboxes SET status = 'stopped' WHERE name = 'held'")
        r = home.run("run", "-n", "held", "busybox", "--", "sh", "-c", "exit 3")
        assert (r.returncode, r.stderr) == (3, "")
        assert (folder / "lock").exists()
        first.communicate(b"", timeout=BOOT_S)
        assert first.returncode == 0


def test_a_start_that_is_killed_leaves_no_broken_disk(msb):
    # SIGXFSZ ends msb at the first file that is too large, and that is the disk.
    r = sh(msb, "true", "-n", "halfway", preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_FSIZE, (16 << 20, 16 << 20)))
    assert r.returncode == -signal.SIGXFSZ, r.stderr
    r = sh(msb, "echo made", "-n", "halfway")
    assert (r.returncode, r.stdout) == (0, "made\n"), r.stderr


@pytest.fixture
def terminal(home):
    """Run a program on a terminal of 33 rows and 101 columns; it is gone after the test."""
    children = []

    def run(*command):
        children.append(pexpect.spawn(command[0], list(command[1:]), env=home.env, timeout=BOOT_S,
                                      encoding="utf-8", dimensions=(33, 101)))
        return children[-1]
    yield run
    for child in children:
        child.close(force=True)


def test_a_terminal_works(home, terminal):
    child = terminal(home.msb, "run", "-t", "busybox", "--", "sh")
    child.expect("[#$] ")
    child.sendline("stty size; tty")
    child.expect("33 101")
    child.expect("/dev/pts/")
    child.setwinsize(44, 120)
    child.expect("[#$] ")
    child.sendline("stty size")
    child.expect("44 120")
    child.expect("[#$] ")
    # The program itself says that it is there: before, ctrl-C would be the shell's.
    child.sendline("sh -c \"echo r''eady; exec sleep 1000\"")
    child.expect("ready")
    child.sendintr()  # ctrl-C interrupts the program in the guest, not msb
    child.expect("[#$] ")
    child.sendline("exit 5")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 5


def test_ctrl_d_ends_a_program_and_the_terminal_is_restored(home, terminal):
    script = (f"stty -a >{home.path}/before; '{home.msb}' run -t busybox -- cat; echo code=$?; "
              f"stty -a >{home.path}/after; echo finished")
    child = terminal("/bin/sh", "-c", script)
    child.send("hello\r")
    child.expect("hello\r\n.*hello\r\n")
    child.send("\x04")
    child.expect("code=0")
    child.expect("finished")
    child.close()
    assert (home.path / "before").read_text() == (home.path / "after").read_text()
    for f in "before", "after":
        (home.path / f).unlink()
