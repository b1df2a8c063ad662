# SPDX-License-Identifier: Apache-2.0
"""The commands of a sandbox's life, as a user types them."""
import json
import pathlib
import re
import signal
import subprocess
import sys

import pexpect
import pytest

from conftest import BOOT_S

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def good(r, out=None):
    assert r.returncode == 0, r.stderr
    if out is not None:
        assert r.stdout == out
    return r


@pytest.fixture
def box(home):
    """A sandbox that runs idle, named box."""
    good(home.run("run", "--name", "box", "-d", "busybox"), "box\n")
    yield "box"
    good(home.run("rm", "-f", "box"))


@pytest.fixture
def terminal(home):
    children = []

    def run(*args, **kw):
        children.append(pexpect.spawn(home.msb, list(args), env=home.env, timeout=BOOT_S,
                                      encoding="utf-8", dimensions=(33, 101), **kw))
        return children[-1]
    yield run
    for child in children:
        child.close(force=True)


def ended(child, code):
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == code, child.before


def test_the_sequence_of_the_readme(home, msb, terminal):
    good(msb("run", "--name", "my-app", "-d", "busybox"), "my-app\n")
    good(msb("exec", "my-app", "--", "sh", "-c", "echo hello >/root/file"), "")
    good(msb("exec", "my-app", "--", "cat", "/root/file"), "hello\n")
    shell = terminal("shell", "my-app")
    shell.expect("[#$] ")
    shell.sendline("exit 3")
    ended(shell, 3)
    assert "my-app    busybox    running" in good(msb("ls")).stdout
    assert good(msb("ps", "my-app")).stdout.splitlines()[1].startswith("my-app    running")
    assert "spec.memory_mib" in good(msb("inspect", "my-app")).stdout
    assert "Stopped      my-app" in good(msb("stop", "my-app"), "").stderr
    assert "my-app    busybox    stopped" in good(msb("ls")).stdout
    assert "Started      my-app" in good(msb("start", "my-app"), "").stderr
    good(msb("exec", "my-app", "--", "cat", "/root/file"), "hello\n")
    good(msb("stop", "my-app"))
    assert "Removed      my-app" in good(msb("rm", "my-app"), "").stderr
    assert "No sandboxes." in good(msb("ls"), "").stderr
    assert "exec [OPTIONS] NAME" in good(msb("--tree")).stdout


def test_pages_and_help_agree(home):
    r = subprocess.run([sys.executable, ROOT / "tools/cli-docs", home.msb, "--check"],
                       capture_output=True, text=True)
    assert (r.returncode, r.stdout, r.stderr) == (0, "\n", "")


# ---- programs inside -------------------------------------------------------------------------

def test_exec_keeps_streams_and_codes_apart(msb, box):
    r = msb("exec", box, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (r.returncode, r.stdout, r.stderr) == (7, "out\n", "err\n")
    data = bytes(range(256)) * 4096
    assert msb("exec", box, "--", "cat", input=data, text=False).stdout == data
    assert msb("exec", "--no-stdin", box, "--", "cat", input="x").stdout == ""
    r = msb("exec", box, "--", "nothere")
    assert (r.returncode, r.stderr) == (127, "error: 'nothere' was not found in sandbox 'box'\n")
    assert msb("exec", box, "--", "/etc/passwd").returncode == 126
    assert msb("exec", box, "--", "sh", "-c", "kill -9 $$").returncode == 137
    r = msb("exec", "--timeout", "200ms", box, "--", "sleep", "1000")
    assert r.returncode == 124 and "stopped after 0.2s (--timeout)" in r.stderr


def test_environment_user_and_directory(msb, box, tmp_path):
    file = tmp_path / "vars"
    file.write_text("# comment\n\nA=1\nB=from file\nHERE\n")
    r = msb("exec", "--env-file", file, "-e", "B=given", "-w", "/tmp", "-u", "65534:65534", box, "--",
            "sh", "-c", "echo $A-$B-$HERE; pwd; id -u", env={"HERE": "here"})
    good(r, "1-given-here\n/tmp\n65534\n")
    file.write_text("A=1\n=x\n")
    r = msb("exec", "--env-file", file, box, "--", "true")
    assert (r.returncode, r.stderr) == (2, f"error: --env-file: {file} line 2: '=x' is not NAME=VALUE\n")
    r = msb("exec", "--env-file", tmp_path / "no", box, "--", "true")
    assert r.returncode == 2 and "cannot read" in r.stderr


def test_result_tells_who_failed(msb, box, tmp_path):
    file = tmp_path / "result"
    assert msb("exec", "--result", file, box, "--", "sh", "-c", "exit 125").returncode == 125
    result = json.loads(file.read_text())
    assert (result["source"], result["code"], result["signal"]) == ("guest", 125, None)
    assert result["session"] > 0
    assert msb("exec", "--result", file, box, "--", "sh", "-c", "kill -15 $$").returncode == 143
    assert json.loads(file.read_text())["signal"] == 15
    assert msb("exec", "--result", file, "nope", "--", "true").returncode == 125
    result = json.loads(file.read_text())
    assert (result["source"], result["code"], result["session"]) == ("msb", 125, None)


def test_shell_takes_scripts_both_ways(msb, box):
    good(msb("shell", box, "--", "echo a b |", "wc -w"), "2\n")
    good(msb("shell", box, input="echo from $0; exit 0\n"), "from /bin/sh\n")
    good(msb("shell", box, input=""), "")
    assert msb("shell", "--shell", "/bin/ash", box, "--", "exit 4").returncode == 4
    r = msb("shell", "--shell", "/bin/zsh", box, "--", "true")
    assert r.returncode == 127 and "msb exec NAME -- PROGRAM" in r.stderr


def test_an_interactive_shell_is_the_users(msb, box, terminal):
    good(msb("shell", box, "--", "cp /bin/busybox /bin/myash; ln -sf /bin/busybox /bin/ash;"
             "sed -i 's,^root:.*,root:x:0:0:root:/root:/bin/ash,' /etc/passwd"))
    shell = terminal("shell", box)
    shell.expect("[#$] ")
    shell.sendline("echo it is $0")
    shell.expect("it is /bin/ash")
    shell.sendline("exit")
    ended(shell, 0)


def test_keys_leave_a_program_and_attach_comes_back(msb, box, terminal):
    child = terminal("exec", box, "--", "sh", "-c", "echo first; read x; echo got $x; exit 5")
    child.expect("first")
    child.send("\x1d")
    child.expect("detached; come back with: msb attach box [0-9]+")
    ended(child, 0)
    child = terminal("attach", box)
    child.expect("first")  # what it had said
    child.sendline("word")
    child.expect("got word")
    ended(child, 5)


def test_other_keys_and_none(msb, box, terminal):
    child = terminal("exec", "--detach-keys", "ctrl-p,ctrl-q", box, "--", "cat", "-v")
    child.sendline("one\x1d\x10two")
    child.expect(r"one\^]\^Ptwo\r\n.*one\^]\^Ptwo\r\n")
    child.send("\x10\x11")
    child.expect("detached")
    ended(child, 0)
    r = msb("exec", "--detach-keys", "enter", box, "--", "true")
    assert r.returncode == 2 and "--detach-keys: 'enter'" in r.stderr


def test_a_detached_program_is_watched_and_taken_over(home, msb, box):
    number = good(msb("exec", "-d", "-i", box, "--", "sh", "-c", "echo up; read x; echo $x")).stdout
    assert re.fullmatch(r"[0-9]+\n", number)
    with home.start("attach", box, number.strip(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
        assert one.stdout.readline() == b"up\n"
        r = msb("attach", box, number.strip())
        assert r.returncode == 125 and "msb attach --steal box" in r.stderr
        with home.start("attach", "--watch", box, stdout=subprocess.PIPE) as watcher:
            assert watcher.stdout.readline() == b"up\n"
            one.stdin.write(b"word\n")
            one.stdin.flush()
            assert watcher.stdout.readline() == b"word\n"
            assert watcher.wait(BOOT_S) == 0
        assert one.wait(BOOT_S) == 0
    r = msb("attach", box)
    assert r.returncode == 125 and "nothing runs in 'box'" in r.stderr
    r = msb("attach", box, "99")
    assert r.returncode == 125 and "no session 99" in r.stderr


def test_exec_starts_what_is_down(msb, box):
    good(msb("stop", box))
    r = msb("exec", "--no-start", box, "--", "true")
    assert r.returncode == 125 and "start it: msb start box" in r.stderr
    r = good(msb("exec", box, "--", "echo", "up"), "up\n")
    assert "'box' was not running: started for this command" in r.stderr


def test_kill_sends_signals_to_sessions(home, msb, box):
    script = "trap 'echo hup; exit 9' HUP; echo up; while :; do sleep 0.1; done"
    both = [home.start("exec", box, "--", "sh", "-c", script, stdout=subprocess.PIPE) for _ in "ab"]
    for p in both:
        assert p.stdout.readline() == b"up\n"
    first, second = [s["session"] for s in json.loads(msb("ps", "--format", "json").stdout)[0]["sessions"]
                     if s["state"] == "running"]
    good(msb("kill", "-s", "SIGHUP", "--session", first, box))
    good(msb("kill", "--session", second, box))
    codes = []
    for p in both:
        p.communicate(timeout=BOOT_S)
        codes.append(p.returncode)
    assert sorted(codes) == [9, 137]
    r = msb("kill", "-s", "NOPE", box)
    assert r.returncode == 2 and "--signal: 'NOPE' is not a signal" in r.stderr
    r = msb("kill", "--session", "77", box)
    assert (r.returncode, r.stderr) == (1, "error: 'box' has no session 77\n  → see them: msb ps box\n")
    good(msb("kill", box))
    assert good(msb("ps", "-q", box)).stdout in ("stopped\n", "crashed\n")


# ---- run and create --------------------------------------------------------------------------

def test_run_detached_with_a_main_program(msb):
    good(msb("run", "-d", "--name", "job", "busybox", "--", "sh", "-c", "sleep 0.5; exit 6"), "job\n")
    r = good(msb("wait", "job"))
    assert r.stdout.startswith("job 6 ")
    assert msb("wait", "--status", "job").returncode == 6
    good(msb("rm", "job"))
    r = msb("run", "-d", "busybox", "--", "nothere")
    assert r.returncode == 127 and "'nothere' was not found" in r.stderr
    assert msb("ls", "-q").stdout == ""


def test_keep_leaves_the_sandbox_up(msb):
    assert msb("run", "--keep", "--name", "kept", "busybox", "--", "sh", "-c", "exit 3").returncode == 3
    good(msb("ps", "-q", "kept"), "running\n")
    good(msb("run", "--name", "kept", "--keep", "busybox", "--", "echo", "again"), "again\n")
    good(msb("rm", "kept"))


def test_keys_leave_a_foreground_run_and_its_sandbox(msb, terminal):
    child = terminal("run", "--name", "left", "busybox", "--", "sh")
    child.expect("[#$] ")
    child.send("\x1d")
    child.expect("detached; come back with: msb attach left")
    ended(child, 0)
    good(msb("ps", "-q", "left"), "running\n")
    child = terminal("attach", "left")
    child.sendline("exit 8")
    ended(child, 8)
    good(msb("wait", "left"))
    good(msb("rm", "left"))


def test_ephemeral_and_persist_override_the_name(msb):
    good(msb("run", "--rm", "--name", "gone", "busybox", "--", "true"))
    assert msb("ls", "-q").stdout == ""
    good(msb("run", "--persist", "busybox", "--", "true"))
    [name] = msb("ls", "-q").stdout.split()
    good(msb("rm", name))
    assert msb("run", "--rm", "--persist", "busybox").returncode == 2


def test_create_prepares_and_boots(msb):
    spec = json.loads(good(msb("create", "--dry-run", "--label", "a=b", "-m", "256M", "busybox")).stdout)
    assert (spec["labels"], spec["memory_mib"]) == ({"a": "b"}, 256)
    good(msb("create", "--no-start", "--name", "made", "busybox"), "made\n")
    good(msb("ps", "-q", "made"), "created\n")
    r = msb("create", "--name", "made", "busybox")
    assert r.returncode == 1 and "a sandbox named 'made' already exists" in r.stderr
    good(msb("start", "made"))
    assert "'made' is running already" in good(msb("start", "made")).stderr
    good(msb("restart", "made"))
    r = good(msb("run", "-d", "--format", "json", "busybox"))
    other = json.loads(r.stdout)
    assert len(other["id"]) == 16
    good(msb("rm", "made", other["id"]))


# ---- several at once -------------------------------------------------------------------------

def test_labels_choose_and_each_gets_a_line(msb):
    for name, label in ("a", "team=red"), ("b", "team=red"), ("c", "team=blue"):
        good(msb("create", "--no-start", "--name", name, "--label", label, "--label", "all", "busybox"))
    assert good(msb("ls", "-q", "--label", "team=red", "--sort", "name")).stdout == "a\nb\n"
    assert sorted(good(msb("ls", "-q", "--label", "team", "--label", "all")).stdout.split()) == ["a", "b", "c"]
    r = msb("start", "--label", "team=red", "nope", "a")
    assert r.returncode == 1
    assert sorted(line.split("(")[0].split()[-1] for line in r.stderr.splitlines() if "Started" in line) == \
        ["a", "b"]
    assert "no sandbox named 'nope'" in r.stderr
    good(msb("ps", "-q"), "a\nb\n")
    good(msb("stop", "-q", "--label", "team=red"), "")
    assert "No sandbox has that label" in good(msb("stop", "--label", "nobody")).stderr
    r = msb("rm", "--label", "all")
    assert r.returncode == 2 and "--force" in r.stderr
    good(msb("rm", "-f", "--label", "all", "neverwas"))
    assert msb("ls", "-q").stdout == ""


def test_errors_of_names_help(msb, box):
    r = msb("stop", "bo")
    assert (r.returncode, r.stderr) == (1, "error: no sandbox named 'bo'\n  → did you mean 'box'?\n")
    for command in ("inspect", "ps", "attach", "exec", "shell", "rm", "wait", "ping", "kill", "start"):
        r = msb(command, "bx")
        assert r.returncode in (1, 125) and "did you mean 'box'?" in r.stderr, command
    for command in "start", "stop", "restart", "kill", "wait", "rm", "ping":
        r = msb(command)
        assert r.returncode == 2 and f"msb {command} my-app" in r.stderr
    r = msb("exec", box, "ls")
    assert r.stderr == ("error: unexpected argument 'ls'\n"
                        "  → put -- before the guest command: msb exec box -- ls\n")
    assert msb("rename", "box", "other").returncode == 1  # it runs


def test_wait_until_and_ping(home, msb, box):
    good(msb("wait", "--until", "running", box))
    server = home.start("exec", box, "--", "nc", "-l", "-p", "8080")
    good(msb("wait", "--until", "port:8080", box))
    server.send_signal(signal.SIGTERM)
    server.wait(BOOT_S)
    r = msb("wait", "--timeout", "100ms", box)
    assert r.returncode == 124
    r = msb("wait", "--until", "runing", box)
    assert r.returncode == 2 and "did you mean 'running'?" in r.stderr
    assert re.search(r"Reachable    box \([0-9.]+ ms\)", good(msb("ping", box)).stderr)


def test_rename_while_down(msb, box):
    good(msb("stop", box))
    good(msb("rename", box, "better"))
    good(msb("ls", "-q"), "better\n")
    good(msb("rename", "better", box))


# ---- looking ---------------------------------------------------------------------------------

def test_listings_in_every_format(msb, box):
    [row] = json.loads(good(msb("ls", "--format", "json")).stdout)
    assert (row["name"], row["image"], row["status"], row["cpus"]) == ("box", "busybox", "running", 1)
    assert row["memory_bytes"] == 512 << 20 and row["labels"] == {}
    assert json.loads(good(msb("ls", "--format", "jsonl")).stdout) == row
    assert good(msb("ls", "--columns", "status,name", "--no-header")).stdout == "running    box\n"
    assert good(msb("ls", "--stopped", "-q")).stdout == ""
    r = msb("ls", "--columns", "colour")
    assert (r.returncode, r.stderr) == (2, "error: --columns: there is no column 'colour'\n")
    r = msb("ls", "--status", "runing")
    assert r.returncode == 2 and "did you mean 'running'?" in r.stderr
    [row] = json.loads(good(msb("ps", "--format", "json", box)).stdout)
    assert row["sessions"] == [] and row["uptime_ms"] >= 0
    good(msb("list", "-q"), "box\n")
    good(msb("status", "-q", box), "running\n")


def test_inspect_shows_one_value(msb, box):
    whole = json.loads(good(msb("inspect", "--format", "json", box)).stdout)
    assert list(whole) == ["name", "id", "status", "exit", "runtime", "spec"]
    good(msb("inspect", "--field", "spec.memory_mib", box), "512\n")
    good(msb("inspect", "--field", "status", whole["id"]), "running\n")
    assert json.loads(good(msb("inspect", "--field", "spec", box)).stdout) == whole["spec"]
    r = msb("inspect", "--field", "spec.colour", box)
    assert r.returncode == 2 and "has no 'spec.colour'" in r.stderr


# ---- limits ----------------------------------------------------------------------------------

def test_replace_makes_it_anew(msb, box):
    good(msb("exec", box, "--", "touch", "/root/old"))
    good(msb("run", "--replace", "--name", box, "busybox", "--", "test", "!", "-e", "/root/old"))
    r = msb("run", "--replace", "busybox")
    assert r.returncode == 2 and "--name NAME" in r.stderr


def test_drain_lets_programs_finish(home, msb, box):
    with home.start("exec", box, "--", "sh", "-c", "echo up; read x; exit 4", stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE) as p:
        assert p.stdout.readline() == b"up\n"
        with home.start("stop", "--drain", box) as stop:
            p.communicate(b"x\n", timeout=BOOT_S)
            assert p.returncode == 4
            assert stop.wait(BOOT_S) == 0
    good(msb("ps", "-q", box), "stopped\n")


def test_limits_and_touch(msb, box):
    assert "Touched      box" in good(msb("touch", box)).stderr
    good(msb("create", "--name", "brief", "--max-duration", "500ms", "busybox"))
    assert "max-duration" in good(msb("wait", "brief")).stdout
    good(msb("rm", "brief"))
