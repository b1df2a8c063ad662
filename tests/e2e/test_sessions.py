# SPDX-License-Identifier: Apache-2.0
"""Sessions that outlive their clients, and what else goes on beside them."""
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import agent_client as ac
from agent_client import AgentClient
from conftest import eventually
from library import DATA, END, EXITED, FAILED, Call, CallError, Event, Library

STARTED, STDIN_ERROR, TIMEOUT, LOST = 1, 3, 4, 16
EXECS = int(os.environ.get("MSB_TEST_EXECS", "2000"))


class Result(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("exited", ctypes.c_int32),
                ("code", ctypes.c_int32), ("signal", ctypes.c_int32), ("core", ctypes.c_int32),
                ("timed_out", ctypes.c_int32), ("oom", ctypes.c_int32),
                ("pipes_open", ctypes.c_int32), ("truncated", ctypes.c_int32),
                ("session", ctypes.c_uint64), ("duration_ms", ctypes.c_uint64),
                ("out", ctypes.c_void_p), ("err", ctypes.c_void_p), ("out_len", ctypes.c_size_t),
                ("err_len", ctypes.c_size_t), ("out_total", ctypes.c_uint64),
                ("err_total", ctypes.c_uint64)]


class Stream:
    """Events of an exec or attach, with all data so far."""

    def __init__(self, lib, handle):
        self.lib, self.handle = lib, handle
        self.out, self.lost, self.exited, self.end = {1: b"", 2: b"", 3: b""}, 0, None, None
        self.session, self.failed, self.seen = None, None, []

    def step(self):
        ev = Event(struct_size=ctypes.sizeof(Event))
        r = self.lib("stream_wait", self.handle, ctypes.c_int64(120000), None, ctypes.byref(ev))
        assert r == 1, "the stream is stuck"
        details = json.loads(ev.json) if ev.json else {}
        self.seen.append(ev.type)
        if ev.type == DATA:
            self.out[ev.channel] += ctypes.string_at(ev.data, ev.len) if ev.len else b""
        elif ev.type == STARTED:
            self.session = details.get("session")
        elif ev.type == LOST:
            self.lost += ev.number
        elif ev.type == EXITED:
            self.exited = details
        elif ev.type == FAILED:
            self.failed = details
        elif ev.type == END:
            self.end = ev.number
        return ev.type

    def until(self, done):
        while not done(self) and self.end is None:
            self.step()
        return self

    def drain(self):
        return self.until(lambda _: False)

    def write(self, data):
        n = ctypes.c_size_t()
        self.lib("stream_write", self.handle, data, ctypes.c_size_t(len(data)), ctypes.byref(n))
        return n.value

    def close(self):
        if self.handle:
            self.lib.lib.msb_stream_close(self.handle)
        self.handle = None


class Sandbox:
    def __init__(self, home, spec):
        self.home, self.lib, self.streams = home, Library(), []
        self.context = self.lib.open(home)
        self.handle = self.lib.make("sandbox_create", self.context, json.dumps(spec).encode(), 0,
                                    None)
        self.lib.lib.msb_sandbox_id.restype = ctypes.c_char_p
        self.run_dir = home.path / "run" / self.lib.lib.msb_sandbox_id(self.handle).decode()

    def close(self):
        for s in self.streams:  # of tests that failed
            s.close()
        self.lib("sandbox_stop", self.handle, 1, ctypes.c_int64(-1), None, None)
        self.lib.lib.msb_sandbox_close(self.handle)
        self.lib.lib.msb_close(self.context)

    def stream(self, how, request):
        self.streams.append(Stream(self.lib, self.lib.make(how, self.handle, request)))
        return self.streams[-1]

    def exec(self, script, **request):
        request = {"script": script, **request}
        return self.stream("exec_open", json.dumps(request).encode())

    def attach(self, session, **request):
        return self.stream("exec_attach", json.dumps({"session": session, **request}).encode())

    def run(self, request, data=None, call=None, code=0):
        """Collect: (result, stdout, stderr). code: of the error that is expected."""
        if isinstance(request, str):
            request = {"script": request}
        r = Result(struct_size=ctypes.sizeof(Result))
        got = 0
        try:
            self.lib("exec_run", self.handle, json.dumps(request).encode(), data,
                     ctypes.c_size_t(len(data or b"")), ctypes.byref(call) if call else None,
                     ctypes.byref(r))
        except CallError as e:
            got = e.code
            self.reason = e.reason
        assert got == code, self.lib.err.message
        out = ctypes.string_at(r.out, r.out_len) if r.out_len else b""
        err = ctypes.string_at(r.err, r.err_len) if r.err_len else b""
        kept = Result.from_buffer_copy(r)
        self.lib.lib.msb_exec_result_done(ctypes.byref(r))
        return kept, out, err

    def sessions(self):
        return {s["session"]: s for s in json.loads(
            self.lib.text("exec_list", self.handle, None))}

    def stats(self):
        return json.loads(self.lib.text("sandbox_stats", self.handle, None))

    def ping(self):
        return json.loads(self.lib.text("sandbox_ping", self.handle, 0, None))

    def monitor(self):
        [pid] = [p for p, name in self.home.processes().items() if name == "msb-sandbox"]
        return pid

    def client(self):
        return AgentClient(self.run_dir)


def rss(pid):
    """Resident memory in bytes."""
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * 1024


def private(pid):
    """Memory that is the process's own: guest memory is shared with QEMU."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        text = f.read()
    return sum(int(n) for n in re.findall(r"Private_\w+:\s+(\d+) kB", text)) * 1024


@pytest.fixture(scope="module")
def box(module_home):
    sandbox = Sandbox(module_home, {"image": "busybox",
                                    "rlimits": [{"resource": "stack", "soft": 1 << 20}]})
    yield sandbox
    sandbox.close()
    assert eventually(lambda: not module_home.leftovers()), module_home.leftovers()


# ---- sessions and their clients ----

COUNT = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo $i; done; read x; echo last $x"


def test_a_killed_client_leaves_its_session_and_another_reads_on(box):
    """What the first has seen and what the second gets make the whole sequence."""
    child = subprocess.Popen([sys.executable, "-c", f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
import agent_client as ac
c = ac.AgentClient({str(box.run_dir)!r})
kind, started = c.exec("sh", "-c", {COUNT!r}, k6=True, k13=ac.KEEP)
got = c.next()
print(started[1], len(got[1]), flush=True)
sys.stdin.read()
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    session, seen = map(int, child.stdout.readline().split())
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdin.close()
    child.stdout.close()
    assert eventually(lambda: not box.sessions()[session]["input_taken"])
    assert box.sessions()[session]["state"] == "running"
    whole = b"".join(b"%d\n" % i for i in range(1, 20001))
    s = box.attach(session, stdout_from=seen)
    assert s.write(b"words\n") == 6
    s.drain()
    s.close()
    assert s.lost == 0
    assert s.out[1] == (whole + b"last words\n")[seen:]
    assert s.exited["code"] == 0
    ended = box.attach(session).drain()  # its end and its last output are remembered
    assert ended.out[1] == whole + b"last words\n" and ended.exited["code"] == 0
    ended.close()


def test_a_ring_without_a_reader_keeps_the_newest_and_says_what_is_gone(box):
    with box.client() as c:
        kind, started = c.exec("sh", "-c", "yes 0123456 | head -c 4000000; echo; echo end; sleep 1000",
                               k13=ac.KEEP)
    session = started[1]
    assert eventually(lambda: box.sessions()[session]["stdout_bytes"] == 4000005)
    s = box.attach(session).until(lambda s: s.out[1].endswith(b"end\n"))
    assert s.lost + len(s.out[1]) == 4000005
    assert len(s.out[1]) == 256 << 10
    late = box.attach(session, watch=True, stdout_from=4000001)
    late.until(lambda s: len(s.out[1]) == 4)
    assert late.out[1] == b"end\n" and late.lost == 0
    late.close()
    box.lib("exec_signal", s.handle, 9)
    assert s.drain().exited["signal"] == 9
    s.close()


@pytest.mark.parametrize("policy,lives", [("kill", False), ("hangup", True), ("keep", True)])
def test_what_becomes_of_a_program_whose_client_leaves(box, policy, lives):
    s = box.exec("trap '' HUP; echo up; while :; do sleep 1; done", on_disconnect=policy)
    s.until(lambda s: s.out[1])
    s.close()
    if lives:
        again = box.attach(s.session)
        again.until(lambda s: s.out[1])
        assert box.sessions()[s.session]["state"] == "running"
        box.lib("exec_signal", again.handle, 9)
        again.drain()
        again.close()
    assert eventually(lambda: box.sessions()[s.session]["state"] == "ended")
    assert box.sessions()[s.session]["signal"] == 9


def test_hangup_ends_what_does_not_ignore_it(box):
    s = box.exec("echo up; exec sleep 1000", on_disconnect="hangup")
    s.until(lambda s: s.out[1])
    s.close()
    assert eventually(lambda: box.sessions()[s.session]["state"] == "ended")
    assert box.sessions()[s.session]["signal"] == 1


def test_one_has_the_input_and_steal_moves_it(box):
    first = box.exec("cat", stdin="pipe", on_disconnect="keep").until(lambda s: s.session)
    taken = box.attach(first.session).drain()
    assert taken.failed["kind"] == "input-taken"
    taken.close()
    watcher = box.attach(first.session, watch=True).until(lambda s: s.session)
    assert first.write(b"one\n") == 4
    thief = box.attach(first.session, steal=True).until(lambda s: s.session)
    first.until(lambda s: STDIN_ERROR in s.seen)
    assert first.write(b"lost\n") == 5  # taken and dropped
    assert thief.write(b"two\n") == 4
    box.lib("stream_close_write", thief.handle)
    for s in (first, watcher, thief):
        s.drain()
        assert s.out[1] == b"one\ntwo\n" and s.lost == 0 and s.exited["code"] == 0
        s.close()


def test_a_watcher_only_watches(box):
    s = box.exec("sleep 1000").until(lambda s: s.session)
    w = box.attach(s.session, watch=True).until(lambda s: s.session)
    with pytest.raises(CallError):
        box.lib("exec_signal", w.handle, 9)
    with box.client() as c:
        assert c.ask(ac.OPEN_ATTACH, {1: s.session, 4: True})[0] == ac.STARTED
        assert c.ask(ac.SIGNAL, {1: 9}) == (ac.ERROR, {1: b"watching", 2: ac.SIGNAL})
    box.lib("exec_signal", s.handle, 15)
    assert w.drain().exited["signal"] == 15
    w.close()
    s.drain()
    s.close()


def test_a_watcher_that_does_not_read_is_passed_over(box):
    s = box.exec("read x; yes 0123456 | head -c 20000000; sleep 1000", stdin="pipe")
    s.until(lambda s: s.session)
    w = box.attach(s.session, watch=True).until(lambda s: s.session)
    s.write(b"go\n")
    s.until(lambda s: len(s.out[1]) == 20000000)  # however slow the other is
    w.until(lambda s: s.lost + len(s.out[1]) == 20000000)
    assert w.lost > 0
    w.close()
    box.lib("exec_signal", s.handle, 9)
    s.drain()
    s.close()


def test_no_such_session(box):
    s = box.attach(1 << 40).drain()
    assert s.failed["kind"] == "not-found"
    s.close()


# ---- ends ----

@pytest.mark.parametrize("number", [1, 2, 6, 9, 11, 15])
def test_deaths(box, number):
    r, _, _ = box.run(f"kill -{number} $$")
    assert (r.code, r.signal) == (128 + number, number)


def test_figures_of_an_end(box):
    s = box.exec("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; sleep 0.2").drain()
    assert s.exited["duration_ms"] >= 200
    assert s.exited["user_us"] + s.exited["system_us"] > 0
    assert s.exited["max_rss_bytes"] > 0
    s.close()


def test_ten_at_once(box):
    """None gets its input before all have started, so they run side by side."""
    streams = [box.exec("read x; sleep 1", stdin="pipe") for _ in range(10)]
    for s in streams:
        assert s.until(lambda s: s.session is not None).session
    for s in streams:
        s.write(b"go\n")
    for s in streams:
        assert s.drain().exited["code"] == 0
        s.close()


def test_two_hundred_at_once(box):
    streams = [box.exec(f"read x; echo {i} $x", stdin="pipe") for i in range(200)]
    for s in streams:
        s.write(b"in\n")
    for i, s in enumerate(streams):
        assert s.drain().out[1] == b"%d in\n" % i
        s.close()
    assert box.stats()["sessions"] == 0


def test_wait_for_pipes(box):
    r, out, _ = box.run({"script": "(sleep 1.5; echo late) &", "wait_for": "pipes"})
    assert out == b"late\n" and not r.pipes_open
    r, out, _ = box.run({"script": "(sleep 1000; echo late) & echo now"})
    assert out == b"now\n" and r.pipes_open
    r, out, _ = box.run({"script": "(sleep 1000) & echo now", "wait_for": "pipes",
                         "timeout_ms": 500}, code=701)
    assert out == b"now\n" and r.timed_out and r.code == 0


def test_a_deadline_is_told_and_holds_on_a_terminal(box):
    s = box.exec("trap '' TERM HUP; echo before; while :; do sleep 1; done", tty=True,
                 timeout_ms=500, kill_after_ms=200).drain()
    assert s.out[3] == b"before\r\n"
    assert s.exited["timed_out"] and s.exited["signal"] == 9
    assert s.seen.index(TIMEOUT) < s.seen.index(EXITED)
    s.close()


# ---- collected ----

def test_collected(box):
    r, out, err = box.run("cat; echo no >&2; exit 3", data=b"x" * 3000000)
    assert (r.exited, r.code, r.signal, r.truncated) == (1, 3, 0, 0)
    assert out == b"x" * 3000000 and err == b"no\n"
    assert (r.out_total, r.err_total) == (3000000, 3)
    r, out, _ = box.run({"command": ["head", "-c", "100000", "/dev/zero"],
                         "max_output_bytes": 1000})
    assert out == b"\0" * 1000 and r.truncated and r.out_total == 100000 and r.code == 0


def test_collected_output_above_its_limit_can_end_the_program(box):
    r, out, _ = box.run({"command": ["yes"], "max_output_bytes": 1000, "overflow": "error"},
                        code=1301)
    assert len(out) == 1000 and r.signal == 9


def test_collected_failures(box):
    box.run({"command": ["no-such-program"]}, code=1300)
    assert box.reason == "not-found"
    box.run({"command": ["true"], "cwd": "/none"}, code=1300)
    assert box.reason == "bad-cwd"
    r, out, _ = box.run({"script": "echo before; sleep 1000", "timeout_ms": 300}, code=701)
    assert out == b"before\n" and r.timed_out and r.exited


def test_a_call_that_is_ended_early_kills_all_that_was_started(box):
    r, out, _ = box.run("trap '' HUP TERM; setsid sleep 4321 & echo before; sleep 4322",
                        call=Call(timeout_ms=500), code=701)
    assert out == b"before\n" and not r.exited
    assert eventually(lambda: box.sessions()[r.session]["state"] == "ended")
    assert eventually(lambda: b"432" not in box.run({"command": ["ps"]})[1])


# ---- limits ----

def test_rlimits(box):
    r, out, _ = box.run({"script": "ulimit -n; ulimit -Hn; ulimit -c", "rlimits": [
        {"resource": "nofile", "soft": 77, "hard": 99},
        {"resource": "core", "soft": 0, "hard": "unlimited"}]})
    assert out == b"77\n99\n0\n"
    assert box.run("ulimit -s; ulimit -n")[1] == b"1024\n1024\n"  # the sandbox's; the usual
    assert box.run({"script": "ulimit -s", "rlimits": [
        {"resource": "stack", "soft": 2 << 20}]})[1] == b"2048\n"


def test_the_limits_of_a_session_hit_it_alone(box):
    other = box.exec("read x; echo fine", stdin="pipe").until(lambda s: s.session)
    r, _, _ = box.run({"script": "exec head -c 100000000 /dev/zero | tail -c 90000000 | wc -c",
                       "limits": {"memory_mib": 16}})
    assert r.oom
    r, _, err = box.run({"script": "for i in 1 2 3 4 5 6; do sleep 2 & done; wait",
                         "limits": {"pids": 4}})
    assert b"fork" in err
    r, out, _ = box.run({"script": "cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/cpu.max",
                         "limits": {"cpus": 0.25}})
    assert out == b"25000 100000\n"
    other.write(b"\n")
    assert other.drain().out[1] == b"fine\n"
    assert not other.exited["oom"]
    other.close()


# ---- nobody waits for another ----

def test_input_that_is_not_read_stops_its_writer_only(box):
    s = box.exec("exec sleep 1000", stdin="pipe").until(lambda s: s.session)
    sent = 0
    data = b"x" * (1 << 16)
    while sent < 1 << 20:
        n = s.write(data)
        sent += n
        if n == 0:
            break  # the writer waits from here on
    for _ in range(20):
        assert box.ping()["round_trip_us"] < 5000000
    assert box.run("echo works")[1] == b"works\n"
    box.lib("exec_signal", s.handle, 15)  # overtakes the input
    assert s.drain().exited["signal"] == 15
    s.close()


def test_a_client_that_floods_a_program_and_goes_is_noticed(box):
    """Its end lies behind bytes that nobody reads."""
    with box.client() as c:
        session = c.exec("sleep", "1000", k6=True)[1][1]
        c.sock.setblocking(False)
        frame = b"\x23\0\0\0\0\0\1\0" + b"x" * 65536
        try:
            while True:
                frame = frame[c.sock.send(frame):] or b"\x23\0\0\0\0\0\1\0" + b"x" * 65536
        except BlockingIOError:
            pass
    assert eventually(lambda: box.sessions()[session]["state"] == "ended")


def test_a_stopped_client_stops_its_program_only(box):
    child = subprocess.Popen([sys.executable, "-c", f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
import agent_client as ac
c = ac.AgentClient({str(box.run_dir)!r})
print(c.exec("yes")[1][1], flush=True)
while c.next():
    pass
"""], stdout=subprocess.PIPE)
    session = int(child.stdout.readline())
    child.send_signal(signal.SIGSTOP)
    first = box.sessions()[session]["stdout_bytes"]

    def stands():
        nonlocal first
        before, first = first, box.sessions()[session]["stdout_bytes"]
        return before == first
    assert eventually(stands)
    assert box.run("head -c 20000000 /dev/zero | tail -c 4")[1] == b"\0" * 4
    r, _, _ = box.run({"command": ["head", "-c", "5000000", "/dev/zero"], "max_output_bytes": 1})
    assert r.out_total == 5000000
    child.send_signal(signal.SIGCONT)
    assert eventually(lambda: box.sessions()[session]["stdout_bytes"] > first)
    child.kill()
    child.wait()
    child.stdout.close()


def test_output_of_256_mib_with_a_reader_that_stops(box):
    """Memory stays where it is, and then all bytes arrive."""
    size = 256 << 20
    monitor = box.monitor()
    s = box.exec(f"head -c {size} /dev/zero; echo end").until(lambda s: s.session)
    before = box.stats()["agent"]["memory_bytes"], private(monitor)
    first = -1

    def stands():
        nonlocal first
        was, first = first, box.sessions()[s.session]["stdout_bytes"]
        return was == first
    assert eventually(stands)
    after = box.stats()["agent"]["memory_bytes"], private(monitor)
    assert first < 4 << 20
    assert after[0] - before[0] < 2 << 20
    assert after[1] - before[1] < 2 << 20
    total, last = 0, b""
    while s.end is None:
        s.step()
        total += len(s.out[1])
        last = s.out[1][-4:] or last
        s.out[1] = b""
    assert total == size + 4 and last == b"end\n" and s.exited["code"] == 0
    s.close()
    assert box.stats()["agent"]["memory_bytes"] - before[0] < 2 << 20
    assert private(monitor) - before[1] < 2 << 20


def test_many_programs_leave_nothing_behind(box):
    """Descriptors and memory of both sides, processes and cgroups."""
    monitor = box.monitor()

    def one():
        s = box.exec("")
        s.drain()
        s.close()

    def state():
        stats = box.stats()
        cgroups = box.run("ls -d /sys/fs/cgroup/msb.* | wc -l")[1]
        return (stats["agent"]["fds"], len(os.listdir(f"/proc/{monitor}/fd")), int(cgroups),
                stats["processes"]), stats["agent"]["memory_bytes"], private(monitor)
    for _ in range(300):  # more than what is remembered
        one()
    before = state()
    for _ in range(EXECS):
        one()
    # What was closed a moment ago may still be on its way out.
    assert eventually(lambda: all(map(int.__le__, state()[0], before[0]))), (state(), before)
    after = state()
    assert after[1] - before[1] < 1 << 20
    assert after[2] - before[2] < 1 << 20
    assert len(box.sessions()) <= 256 + 2


# ---- TCP, ports ----

def serve(box, script):
    s = box.exec(script).until(lambda s: s.session)
    return s


def test_tcp_with_half_close_each_way(box):
    s = serve(box, "nc -l -p 7001 -e sh -c 'cat; echo tail'")
    box.lib("sandbox_wait", box.handle, b"port:7001", None, None)
    t = box.stream("tcp", 7001)
    data, sent = os.urandom(3000000), 0
    while sent < len(data):
        n = t.write(data[sent:sent + 65536])
        sent += n
        if n == 0 or len(t.out[1]) < sent - (1 << 18):
            t.step()
    box.lib("stream_close_write", t.handle)
    t.drain()
    assert t.out[1] == data + b"tail\n" and t.end == 0
    t.close()
    s.drain()
    s.close()


def test_tcp_to_a_port_where_nobody_listens(box):
    t = box.stream("tcp", 7002).drain()
    assert t.failed["kind"] == "not-found"
    t.close()


def test_wait_for_a_port(box):
    with pytest.raises(CallError) as e:
        call = Call(timeout_ms=300)
        box.lib("sandbox_wait", box.handle, b"port:7003", ctypes.byref(call), None)
    assert e.value.code == 700
    s = serve(box, "sleep 0.5; exec nc -l -p 7003")
    box.lib("sandbox_wait", box.handle, b"port:7003", None, None)
    s.close()


# ---- requests ----

def test_stats(box):
    s = box.stats()
    assert 300 << 20 < s["memory"]["total_bytes"] < 520 << 20
    assert s["disk"]["total_bytes"] > s["disk"]["available_bytes"] > 0
    assert s["cpu"]["count"] == 1 and s["cpu"]["idle_ns"] > 0
    assert s["processes"] > 1


def test_signals_by_request(box):
    with box.client() as c:
        c.requests()
        s = box.exec("trap 'echo got' USR1; echo up; while :; do sleep 0.1; done")
        s.until(lambda s: s.out[1])
        assert c.ask(ac.KILL, {1: s.session, 2: 10})[0] == ac.DONE
        s.until(lambda s: b"got" in s.out[1])
        child = box.exec("setsid sh -c 'trap \"echo child; exit\" TERM; echo up;"
                         " while :; do sleep 0.1; done' & trap : TERM; wait; wait")
        child.until(lambda s: s.out[1])
        assert c.ask(ac.KILL, {1: child.session, 2: 15, 3: 1})[0] == ac.DONE  # all of the cgroup
        child.drain()
        assert b"child" in child.out[1]
        child.close()
        assert c.ask(ac.KILL, {1: s.session, 2: 9, 3: 1})[0] == ac.DONE
        assert s.drain().exited["signal"] == 9
        s.close()
        kind, why = c.ask(ac.KILL, {1: s.session, 2: 9})
        assert kind == ac.FAILED and why[2] == b"gone"
        kind, why = c.ask(ac.KILL, {1: 1 << 50, 2: 9})
        assert kind == ac.FAILED and why[2] == b"not-found"


def test_drain(box):
    running = box.exec("read x; echo done", stdin="pipe").until(lambda s: s.session)
    with box.client() as c:
        c.requests()
        assert c.ask(ac.DRAIN, {})[0] == ac.DONE
        refused = box.exec("true").drain()
        assert refused.end == 605
        refused.close()
        running.write(b"\n")
        assert running.drain().out[1] == b"done\n"
        running.close()
        assert c.ask(ac.DRAIN, {1: True})[0] == ac.DONE
    assert box.run("echo again")[1] == b"again\n"


def test_freeze_and_thaw(box):
    with box.client() as c:
        c.requests()
        assert c.ask(ac.FREEZE)[0] == ac.DONE
        s = box.exec("echo x > /frozen && echo written").until(lambda s: s.session)
        with box.client() as d:
            d.requests()
            kind, why = d.ask(ac.FREEZE)
            assert kind == ac.FAILED and why[2] == b"busy"
            assert d.ask(ac.STATS)[0] == ac.STATS_REPLY  # the agent does not wait for the disk
        assert not s.out[1]
        assert c.ask(ac.THAW)[0] == ac.DONE
        assert s.drain().out[1] == b"written\n"
        s.close()
        assert c.ask(ac.THAW)[0] == ac.DONE  # it is thawed already
        assert c.ask(ac.FREEZE)[0] == ac.DONE
    s = box.exec("echo x > /frozen && echo written")
    assert s.drain().out[1] == b"written\n"  # by itself
    assert s.exited["duration_ms"] > 1000
    s.close()


def test_the_clock_is_set_by_the_next_program(box):
    for change in ("-3600", "+3600"):
        box.run(f"date -s @$(($(date +%s){change}))")
        now = int(box.run("date +%s")[1])
        assert abs(now - time.time()) < 30


# ---- what a client should not do ----

def test_bad_frames_end_their_own_connection(box):
    s = box.exec("read x; echo fine", stdin="pipe").until(lambda s: s.session)
    with AgentClient(box.run_dir, hello=False) as c:
        c.next()
        c.say(ac.OPEN_EXEC, {1: [b"true"]})  # before hello
        assert c.next() == (ac.ERROR, {1: b"protocol", 2: ac.OPEN_EXEC})
        assert c.next() is None
    for kind, payload in [(ac.OPEN_EXEC, b"\xff"), (ac.OPEN_EXEC, {}), (ac.OPEN_ATTACH, b""),
                          (ac.STDIN, b"x"), (ac.OPEN_TCP, {1: 0}), (ac.KILL, {1: 1, 2: 9}),
                          (ac.HELLO, {1: 1, 2: 1})]:
        with box.client() as c:
            assert c.ask(kind, payload) == (ac.ERROR, {1: b"protocol", 2: kind})
            assert c.next() is None
    for kind, payload in [(ac.KILL, {1: 1}), (ac.WAIT_PORT, {}), (ac.OPEN_EXEC, {1: [b"true"]}),
                          (ac.PING, b"x" * 65), (ac.STDIN, b"")]:
        with box.client() as c:
            c.requests()
            assert c.ask(kind, payload) == (ac.ERROR, {1: b"protocol", 2: kind})
            assert c.next() is None
    with box.client() as c:
        c.raw(b"\x20\0\0\0\x01\0\x40\0")  # a length of 4 MiB and 1
        assert c.next() == (ac.ERROR, {1: b"protocol"})
        assert c.next() is None
    s.write(b"\n")
    assert s.drain().out[1] == b"fine\n"
    s.close()


def test_unknown_frames_are_answered_and_skipped(box):
    with box.client() as c:
        assert c.ask(999, b"x" * (4 << 20)) == (ac.ERROR, {1: b"unsupported", 2: 999})
        assert c.exec("sh", "-c", "read x; echo got $x", k6=True)[0] == ac.STARTED
        assert c.ask(998, b"") == (ac.ERROR, {1: b"unsupported", 2: 998})
        c.say(ac.STDIN, b"it\n")
        assert c.next() == (ac.STDOUT, b"got it\n")
    with box.client() as c:
        c.requests()
        assert c.ask(997, b"abc") == (ac.ERROR, {1: b"unsupported", 2: 997})
        assert c.ask(ac.SHUTDOWN, {1: 1}) == (ac.ERROR, {1: b"unsupported", 2: ac.SHUTDOWN})
        assert c.ask(ac.PING, b"abc") == (ac.PONG, b"abc")


def test_a_byte_at_a_time(box):
    with AgentClient(box.run_dir, hello=False) as c:
        for kind, payload in ((ac.HELLO, ac.encode({1: 1, 2: 1})), (ac.OPEN_REQUESTS, b"\xa0"),
                              (ac.PING, b"slow")):
            for byte in bytes([kind, 0, 0, 0, len(payload), 0, 0, 0]) + payload:
                c.raw(bytes([byte]))
        assert c.next()[0] == ac.HELLO
        assert c.next() == (ac.PONG, b"slow")


def test_half_open_connections_disturb_nobody(box):
    clients = [AgentClient(box.run_dir, hello=False) for _ in range(200)]
    for c in clients:
        c.raw(b"\x01\0")
    assert box.run("echo works")[1] == b"works\n"
    for c in clients:
        c.sock.close()
    assert eventually(lambda: box.stats()["agent"]["clients"] < 10)


def test_versions(box):
    with AgentClient(box.run_dir, hello=False) as c:
        c.say(ac.HELLO, {1: 1, 2: 7})
        assert c.next()[0] == ac.HELLO
        c.requests()
        assert c.ask(ac.PING, b"new")[0] == ac.PONG
    with AgentClient(box.run_dir, hello=False) as c:
        c.say(ac.HELLO, {1: 5, 2: 7})
        assert c.next()[0] == ac.HELLO
        assert c.next() == (ac.ERROR, {1: b"protocol", 2: ac.HELLO})


# ---- nothing happens by itself ----

def system_calls(pid, seconds):
    """How many a process makes in that time, and the table that says so."""
    with subprocess.Popen(["strace", "-f", "-c", "-p", str(pid)], text=True,
                          stderr=subprocess.PIPE) as p:
        assert "attached" in p.stderr.readline()
        try:
            p.wait(seconds)
        except subprocess.TimeoutExpired:
            p.send_signal(signal.SIGINT)
        table = p.stderr.read()
    counts = {name: int(n) for n, name in re.findall(
        r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", table, re.M)}
    counts.pop("total", None)
    return sum(counts.values()), table


def test_an_idle_sandbox_causes_no_system_calls_of_the_monitor(box):
    """Not even with sessions that wait; what the guest still writes back comes first."""
    s = box.exec("read x", stdin="pipe").until(lambda s: s.session)
    box.run("sync")
    table = ""
    for _ in range(6):
        n, table = system_calls(box.monitor(), 10)
        if n == 0:
            break
    else:
        pytest.fail(table)
    s.write(b"\n")
    s.drain()
    s.close()
