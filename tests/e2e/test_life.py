# SPDX-License-Identifier: Apache-2.0
"""Sandboxes live on their own, end as they are told to, and say the truth about it."""
import concurrent.futures
import ctypes
import json
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from conftest import BOOT_S, eventually
from library import END, SANDBOX, CallError, Library

GRACEFUL, KILL, CUT, DRAIN, NOWAIT = 0, 1, 2, 3, 16
DETACHED, OR_CONNECT, NO_START = 1, 2, 4
EXISTS, STILL_RUNNING, DRAINING = 401, 601, 605


class Context(Library):
    """The library in one home, with names in place of handles."""

    alive = []  # of this process

    def __init__(self, home):
        super().__init__()
        self.m = self.open(home)
        self.handles = []
        Context.alive.append(self)

    def close(self):
        for handle in self.handles:
            self.lib.msb_sandbox_close(handle)
        self.lib.msb_close(self.m)

    def sandbox(self, *args):
        self.handles.append(self.make(*args))
        return self.handles[-1]

    def create(self, name, flags=DETACHED, **spec):
        spec = {"image": "busybox", "name": name, **spec}
        return self.sandbox("sandbox_create", self.m, json.dumps(spec).encode(), flags, None)

    def start(self, name, **options):
        return self.sandbox("sandbox_start", self.m, name.encode(),
                            json.dumps({"detached": True, **options}).encode(), None)

    def get(self, name):
        return self.sandbox("sandbox_get", self.m, name.encode())

    def stop(self, sandbox, how=GRACEFUL, grace_ms=-1):
        return json.loads(self.text("sandbox_stop", sandbox, how, ctypes.c_int64(grace_ms), None))

    def wait(self, sandbox, until=None):
        return json.loads(self.text("sandbox_wait", sandbox, until and until.encode(), None))

    def exec(self, sandbox, *argv, **request):
        """A program of the guest; the stream of its events."""
        request = {"command": argv, **request}
        return self.make("exec_open", sandbox, json.dumps(request).encode())

    def output(self, sandbox, script):
        """What a script says; it is over then."""
        stream = self.exec(sandbox, "sh", "-c", script)
        codes = [number for kind, number, _ in self.events(stream) if kind == 5]
        self.lib.msb_stream_close(stream)
        return codes

    def list(self):
        return {s["name"]: s for s in json.loads(self.text("list", self.m, SANDBOX, None))}

    def remove(self, name, force=1):
        self("remove", self.m, SANDBOX, name.encode(), force, None)


@pytest.fixture
def ctx(home):
    context = Context(home)
    yield context
    for name in context.list():
        context.remove(name)
    while Context.alive:
        Context.alive.pop().close()


def script(home, text, **kw):
    """Python with a Context in a process of its own; it prints a line when it has done its part."""
    head = f"""
        import os, signal, sys, time
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from test_life import *
        from conftest import Home
        import pathlib
        ctx = Context(Home(pathlib.Path({str(home.path)!r})))
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(text)],
                            env=home.env, stdout=subprocess.PIPE, text=True, **kw)


def say(home, text):
    with script(home, text) as child:
        out, _ = child.communicate(timeout=BOOT_S)
        assert child.returncode == 0
        return out


def test_survives_its_creator(home, ctx):
    say(home, "ctx.create('box')")
    box = ctx.get("box")
    assert ctx.wait(box, "running") == {"status": "running"}
    assert ctx.output(box, "echo kept >/kept") == [0]
    assert not ctx.lib.msb_sandbox_attached(box)
    end = ctx.stop(box)
    assert (end["status"], end["reason"], end["flushed"]) == ("stopped", "stop-requested", True)
    assert ctx.stop(box) == end and ctx.wait(box) == end
    assert ctx.output(ctx.start("box"), "grep -q kept /kept") == [0]


def test_detach_is_one_way_and_close_ends_the_others(home, ctx):
    say(home, """
        one, two = ctx.create('one', 0), ctx.create('two', 0)
        assert ctx.lib.msb_sandbox_attached(one) == 1
        ctx('sandbox_detach', one)
        ctx('sandbox_detach', one)
        assert ctx.lib.msb_sandbox_attached(one) == 0
        ctx.lib.msb_close(ctx.m)
    """)
    assert ctx.wait(ctx.get("two"))["reason"] == "parent-exited"
    assert ctx.list()["one"]["status"] == "running"


def test_a_forked_child_keeps_nothing_alive(home, ctx):
    child = script(home, """
        ctx.create('box', 0)
        if os.fork() == 0:
            signal.pause()
        print(os.getpid(), flush=True)
        signal.pause()
    """, start_new_session=True)
    child.stdout.readline()
    child.kill()
    assert ctx.wait(ctx.get("box"))["reason"] == "parent-exited"
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


def test_ten_see_the_same_end(home, ctx):
    ctx.create("box")

    def one(_):
        other = Context(home)
        return other.stop(other.get("box"))

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        ends = list(pool.map(one, range(10)))
    assert ends == [ends[0]] * 10 and ends[0]["reason"] == "stop-requested"


def test_an_ephemeral_end_is_seen_by_all_who_asked(home, ctx):
    box = ctx.create("box", lifecycle={"ephemeral": True})
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        waits = [pool.submit(Context(home).wait, box) for _ in range(4)]
        assert ctx.stop(box, KILL)["reason"] == "killed"
        assert {w.result()["reason"] for w in waits} == {"killed"}
    assert not ctx.list()


def test_created_without_a_start(ctx):
    box = ctx.create("box", NO_START)
    assert ctx.list()["box"]["status"] == "created"
    assert ctx.stop(box)["status"] == "created"
    ctx("sandbox_rename", box, b"other")
    with pytest.raises(CallError, match="no sandbox named 'box'"):
        ctx.get("box")
    assert ctx.output(ctx.start("other"), "true") == [0]
    with pytest.raises(CallError) as e:
        ctx("sandbox_rename", box, b"third")
    assert e.value.code == STILL_RUNNING
    with pytest.raises(CallError) as e:
        ctx.start("other")
    assert e.value.code == STILL_RUNNING
    ctx.start("other", or_connect=True)


def test_or_connect_in_any_state(ctx):
    first = ctx.create("box", DETACHED | OR_CONNECT)
    assert ctx.text("sandbox_boot_times", ctx.create("box", DETACHED | OR_CONNECT)) == "{}"
    ctx.stop(first)
    ctx.create("box", DETACHED | OR_CONNECT)
    assert ctx.list()["box"]["status"] == "running"


def test_one_of_many_creators_wins(home, ctx):
    def one(_):
        try:
            Context(home).create("box")
            return 0
        except CallError as e:
            return e.code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(one, range(8)))
    assert codes == [0] + [EXISTS] * 7
    assert ctx.list()["box"]["status"] == "running"


def test_replace(ctx):
    old = ctx.create("box")
    assert ctx.output(old, "touch /mark") == [0]
    new = ctx.create("box", lifecycle={"replace": True})
    assert ctx.output(new, "test -e /mark") == [1]
    with pytest.raises(CallError):  # a handle to the old one does not mean the new one
        ctx.exec(old, "true")


def unsynced(ctx, box):
    """A file that is written and not synced."""
    assert ctx.output(box, "echo data >/file") == [0]


def is_there(ctx, name):
    return ctx.output(ctx.start(name), "grep -q data /file") == [0]


@pytest.mark.parametrize("how, reason", [(GRACEFUL, "stop-requested"), (KILL, "killed"), (DRAIN, "drained")])
def test_what_was_written_is_there_after_a(ctx, how, reason):
    box = ctx.create("box")
    unsynced(ctx, box)
    end = ctx.stop(box, how)
    assert (end["reason"], end["flushed"]) == (reason, True)
    assert is_there(ctx, "box")


def test_a_cut_flushes_nothing(ctx):
    end = ctx.stop(ctx.create("box"), CUT)
    assert (end["status"], end["reason"], end["flushed"]) == ("stopped", "killed", False)


def test_max_duration(ctx):
    box = ctx.create("box", lifecycle={"max_duration_ms": 3000})
    unsynced(ctx, box)
    end = ctx.wait(box)
    assert (end["reason"], end["flushed"]) == ("max-duration", True)


def test_idle(ctx):
    box = ctx.create("box", lifecycle={"idle_timeout_ms": 1000})
    end = ctx.wait(box)
    assert (end["status"], end["reason"], end["flushed"]) == ("stopped", "idle", True)


def test_a_client_is_no_idleness(ctx):
    box = ctx.create("box", lifecycle={"idle_timeout_ms": 1000})
    assert ctx.output(box, "sleep 4") == [0]


def test_host_signal(home, ctx):
    box = ctx.create("box")
    unsynced(ctx, box)
    os.kill(monitor_of(home, "box"), signal.SIGTERM)
    end = ctx.wait(box)
    assert (end["reason"], end["flushed"]) == ("host-signal", True)
    assert is_there(ctx, "box")


def test_the_parent_dies(home, ctx):
    child = script(home, """
        box = ctx.create('box', 0)
        unsynced(ctx, box)
        print(flush=True)
        signal.pause()
    """)
    child.stdout.readline()
    child.kill()
    child.communicate()
    assert ctx.wait(ctx.get("box"))["reason"] == "parent-exited"
    assert is_there(ctx, "box")


def test_main_ends(ctx):
    box = ctx.create("box")
    stream = ctx.exec(box, "sh", "-c", "echo data >/file; exit 3", main=True)
    end = ctx.wait(box)
    assert (end["reason"], end["exit_code"], end["flushed"]) == ("main-exited", 3, True)
    ctx.lib.msb_stream_close(stream)
    assert is_there(ctx, "box")


def test_drain_lets_jobs_finish(ctx):
    box = ctx.create("box")
    job = ctx.exec(box, "sh", "-c", "sleep 5; echo data >/file", on_disconnect="keep")
    assert next(ctx.events(job))[0] == 1
    ctx("sandbox_stop", box, DRAIN | NOWAIT, ctypes.c_int64(-1), None, None)

    def refused():
        stream = ctx.exec(box, "true")
        numbers = [number for kind, number, _ in ctx.events(stream) if kind == END]
        ctx.lib.msb_stream_close(stream)
        return numbers == [DRAINING]

    assert eventually(refused)
    assert 0 in [number for kind, number, _ in ctx.events(job) if kind == 5]
    ctx.lib.msb_stream_close(job)
    end = ctx.wait(box)
    assert (end["reason"], end["flushed"]) == ("drained", True)
    assert is_there(ctx, "box")


def test_stop_signal_goes_to_main(ctx):
    box = ctx.create("box", lifecycle={"stop_signal": "USR1"})
    main = ctx.exec(box, "sh", "-c", "trap 'echo data >/file; exit 7' USR1; trap '' TERM; echo up; "
                    "while :; do sleep 0.1; done", main=True)
    events = ctx.events(main)
    assert [next(events)[0], next(events)[0]] == [1, 2]
    end = ctx.stop(box, GRACEFUL, 60000)
    assert (end["reason"], end["flushed"]) == ("stop-requested", True)
    ctx.lib.msb_stream_close(main)
    assert is_there(ctx, "box")


def test_a_kill_overtakes_a_stop(ctx):
    box = ctx.create("box")
    deaf = ctx.exec(box, "sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done", on_disconnect="keep")
    events = ctx.events(deaf)
    assert [next(events)[0], next(events)[0]] == [1, 2]
    ctx("sandbox_stop", box, GRACEFUL | NOWAIT, ctypes.c_int64(3600000), None, None)
    end = ctx.stop(box, KILL)
    assert (end["reason"], end["flushed"]) == ("killed", True)
    ctx.lib.msb_stream_close(deaf)


def test_linger(ctx):
    ctx.create("box", NO_START)
    box = ctx.start("box", linger_ms=1)
    assert ctx.output(box, "true") == [0]
    assert ctx.wait(box)["status"] == "stopped"


def monitor_of(home, name):
    found = []
    for pid, program in home.processes().items():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                argv = f.read().split(b"\0")
        except OSError:
            continue
        if program == "msb-sandbox" and argv[1] == name.encode():
            found.append(pid)
    assert len(found) == 1, found
    return found[0]


def test_a_foreign_process_survives(home, ctx):
    """A monitor that stands still is killed by its identity; a number alone is never signalled."""
    box = ctx.create("box")
    monitor = monitor_of(home, "box")
    lock = home.path / "run" / ctx.list()["box"]["id"] / "lock"
    said = lock.read_text()
    with subprocess.Popen(["sleep", "1000"]) as foreign:
        lock.write_text(f"{foreign.pid} {' '.join(said.split()[1:])}\n")
        os.kill(monitor, signal.SIGSTOP)
        call = None
        with pytest.raises(CallError, match="left alone"):
            ctx("sandbox_stop", box, CUT, ctypes.c_int64(0), call, None)
        assert foreign.poll() is None
        foreign.kill()
    lock.write_text(said)
    end = ctx.stop(box, CUT)
    assert (end["status"], end["reason"]) == ("crashed", "monitor-killed")


def test_another_boot_of_the_host(home, ctx):
    box = ctx.create("box")
    lock = home.path / "run" / ctx.list()["box"]["id"] / "lock"
    pid, start, _ = lock.read_text().split()
    lock.write_text(f"{pid} {start} 01234567-89ab-cdef-0123-456789abcdef\n")
    os.kill(monitor_of(home, "box"), signal.SIGKILL)
    end = ctx.wait(box)
    assert (end["status"], end["reason"]) == ("crashed", "host-rebooted")


def test_logs_of_a_failed_boot_stay(home, ctx):
    with pytest.raises(CallError, match="did not boot") as e:
        ctx.create("box", lifecycle={"start_timeout_ms": 1})
    sandbox = re.search("msb logs ([0-9a-f]{16})", str(e.value))[1]
    assert not ctx.list() and os.listdir(home.path / "logs") == [sandbox]
    stream = ctx.make("logs", ctx.m, sandbox.encode(), b'{"sources": ["kernel"]}')
    assert [kind for kind, _, _ in ctx.events(stream)][-1] == END
    ctx.lib.msb_stream_close(stream)
    ctx.create("box")


ROUNDS = int(os.environ.get("MSB_LIFE_ROUNDS", "8"))  # 50 for a long run


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_killed_at_any_moment(home, ctx, seed):
    """Library user, monitor or QEMU die at some moment of a boot, an exec or a stop."""
    rnd = random.Random(seed)
    child = script(home, """
        print(flush=True)
        box = ctx.create('box', rnd_flags, lifecycle={"reuse": True})
        ctx.output(box, "echo data >/file; sleep 0.3")
        ctx.stop(box)
    """.replace("rnd_flags", str(rnd.choice([0, DETACHED]))))
    child.stdout.readline()
    time.sleep(rnd.random() * 2.5)
    victim = rnd.choice(["user", "msb-sandbox", "qemu-system-x86"])
    for pid, program in home.processes().items():
        if victim != "user" and program.startswith(victim):
            os.kill(pid, signal.SIGKILL)
    if victim == "user":
        child.kill()
    child.communicate(timeout=BOOT_S)
    settled = lambda: ctx.list().get("box", {}).get("status") in (None, "stopped", "crashed", "running")
    assert eventually(settled), ctx.list()
    if "box" in ctx.list() and ctx.list()["box"]["status"] == "running":
        assert ctx.wait(ctx.get("box"), "running")
        ctx.stop(ctx.get("box"), KILL)
    box = ctx.create("box", DETACHED | OR_CONNECT)
    assert ctx.output(box, "true") == [0]


def test_many_at_once(home):
    """Creating, listing, removing by many processes: nobody hears of a lock."""
    def one(i):
        name = f"many-{i % 10}"
        text = f"""
            for _ in range(3):
                try:
                    ctx.create({name!r}, NO_START)
                except CallError as e:
                    assert e.code == 401, e
                ctx.list()
                try:
                    ctx.remove({name!r})
                except CallError as e:
                    assert e.code == 301, e
        """
        with script(home, text, stderr=subprocess.PIPE) as child:
            _, err = child.communicate(timeout=BOOT_S)
            return child.returncode, err

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        results = list(pool.map(one, range(50)))
    assert [r for r in results if r[0]] == []
