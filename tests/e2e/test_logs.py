# SPDX-License-Identifier: Apache-2.0
"""msb logs: what programs write is kept, bounded, and read while and after the sandbox lives."""
import base64
import ctypes
import json
import os
import signal
import subprocess
import threading

import pytest
from conftest import eventually
from library import Library


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def kept_bytes(record):
    return record["text"].encode() if "text" in record else base64.b64decode(record["base64"])


def folder_of(home, name):
    rows = {row["name"]: row["id"] for row in sandboxes(home)}
    return home.path / "logs" / rows[name]


def sandboxes(home):
    library = Library()
    m = library.open(home)
    try:
        return json.loads(library.text("list", m, 1, None))
    finally:
        library.lib.msb_close(m)


def run(home, name, script, *options, **kw):
    result = home.run("run", "--name", name, *options, "busybox", "--", "sh", "-c", script, **kw)
    assert result.returncode == 0, result.stderr
    return result


def test_output_is_kept_after_the_end(home, msb):
    run(home, "plain", "echo one; echo two >&2; echo three")
    assert sorted(msb("logs", "plain").stdout.split()) == ["one", "three", "two"]
    assert msb("logs", "plain", "--source", "stderr").stdout == "two\n"
    assert msb("logs", "plain", "-n", "1", "--source", "stdout").stdout == "three\n"
    assert msb("logs", "plain", "--grep", "^t.o$").stdout == "two\n"
    split = msb("logs", "plain", "--split")
    assert (split.stdout, split.stderr) == ("one\nthree\n", "two\n")
    assert msb("logs", "plain", "--until", "2001-01-01T00:00:00Z").stdout == ""
    assert msb("logs", "plain", "--since", "1h").stdout
    records = lines(msb("logs", "plain", "--format", "jsonl").stdout)
    assert {r["session"] for r in records} == {1}
    assert {r["boot"] for r in records} == {1}


def test_the_log_goes_with_its_sandbox(home, msb):
    run(home, "gone", "echo x")
    folder = folder_of(home, "gone")
    assert folder.exists()
    library = Library()
    m = library.open(home)
    library("remove", m, 1, b"gone", 0, None)
    library.lib.msb_close(m)
    assert not folder.exists()
    missing = msb("logs", "gone")
    assert missing.returncode == 1 and "gone" in missing.stderr
    before = set(os.listdir(home.path / "logs"))
    assert msb("run", "busybox", "--", "echo", "x").returncode == 0  # has no name: is ephemeral
    assert set(os.listdir(home.path / "logs")) == before


@pytest.mark.parametrize("option", [("--source", "sound"), ("-n", "few"), ("--since", "tomorrow"),
                                    ("--grep", "["), ("--raw", "-t"), ("--cursor", "x")])
def test_wrong_options_are_named(msb, home, option):
    run(home, "options" + option[0].strip("-"), "true")
    result = msb("logs", "options" + option[0].strip("-"), *option)
    assert result.returncode in (1, 2)
    assert option[0].strip("-").replace("n", "tail", option[0] == "-n") in result.stderr


def test_bytes_are_the_same_and_bounded(home, msb):
    """64 MiB through a pipe: what is kept is the end of it, in place by its offsets."""
    out = run(home, "random", "head -c 67108864 /dev/urandom", text=False).stdout
    assert len(out) == 64 << 20
    folder = folder_of(home, "random")
    assert sum(f.stat().st_size for f in folder.iterdir()) <= (40 << 20) + (6 << 20)
    records = lines(msb("logs", "random", "--format", "jsonl").stdout)
    for r in records:
        data = kept_bytes(r)
        assert out[r["offset"]:r["offset"] + len(data)] == data
    raw = msb("logs", "random", "--raw", text=False).stdout
    assert raw == b"".join(kept_bytes(r) for r in records)
    assert len(raw) > 10 << 20
    if "are gone" not in msb("logs", "random", "--source", "stdout", "--tail", "0").stderr:
        assert out.endswith(raw)


def test_characters_are_not_cut(home, msb):
    text = "äöü€" * 20000
    run(home, "utf8", f"for i in $(seq 1 20000); do printf 'äöü€'; done")
    # A line is given in pieces of 64 KiB; their borders are not in the text.
    assert msb("logs", "utf8", text=False).stdout.replace(b"\n", b"").decode() == text


def test_a_console_without_end_is_bounded(home, msb):
    run(home, "noisy", "head -c 67108864 /dev/zero | tr '\\0' x > /dev/hvc0")
    folder = folder_of(home, "noisy")
    kernel = sum(f.stat().st_size for f in folder.iterdir() if f.name.startswith("kernel"))
    assert 0 < kernel <= 6 << 20
    result = msb("logs", "noisy", "--source", "kernel", "--raw")
    assert "x" * 1000 in result.stdout
    assert "bytes of the log are gone" in result.stderr


def test_capture(home, msb):
    library = Library()
    m = library.open(home)
    for capture, exec_capture, want in (("all", True, "main\nother\n"), ("main", True, "main\n"),
                                        ("none", True, ""), ("all", False, "main\n")):
        name = f"capture-{capture}-{exec_capture}".lower()
        spec = {"image": "busybox", "name": name, "logs": {"capture": capture}}
        sb = library.make("sandbox_create", m, json.dumps(spec).encode(), 0, None)
        for request in ({"command": ["echo", "other"], "capture": exec_capture},
                        {"command": ["echo", "main"], "main": True}):
            s = library.make("exec_open", sb, json.dumps(request).encode())
            list(library.events(s))
            library.lib.msb_stream_close(s)
        library.text("sandbox_wait", sb, None, None)
        library.lib.msb_sandbox_close(sb)
        assert sorted(msb("logs", name).stdout.split()) == sorted(want.split()), name
    library.lib.msb_close(m)


def test_follow_over_rotations_until_the_end(home, msb):
    """The reader sees each byte once while files come and go, and ends with the sandbox."""
    script = "read x; i=0; while [ $i -lt 24 ]; do head -c 1048576 /dev/urandom | base64; " \
             "i=$((i+1)); done; echo last"
    writer = home.start("run", "--name", "follow", "-i", "busybox", "--", "sh", "-c", script,
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert eventually(lambda: (home.path / "logs").exists() and
                      any(r["name"] == "follow" and r["status"] == "running"
                          for r in sandboxes(home)), 60)
    reader = home.start("logs", "-f", "--raw", "follow", stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE)
    got = {}
    threads = [threading.Thread(target=lambda k=k, p=p: got.update({k: p.communicate()}))
               for k, p in (("reader", reader),)]
    for t in threads:
        t.start()
    out, _ = writer.communicate(b"go\n", timeout=120)
    for t in threads:
        t.join(60)
    assert writer.returncode == 0 and reader.returncode == 0
    if b"are gone" in got["reader"][1]:  # the disk was too slow for the queue
        assert got["reader"][0].endswith(b"last\n")
    else:
        assert got["reader"][0] == out


def test_a_cursor_goes_on_behind_its_record(home, msb):
    run(home, "cursor", "for i in 1 2 3 4 5; do echo $i; sleep 0.05; done")
    records = lines(msb("logs", "cursor", "--format", "jsonl").stdout)
    whole = "".join(r["text"] for r in records)
    for i, r in enumerate(records):
        rest = lines(msb("logs", "cursor", "--format", "jsonl", "--cursor", r["cursor"]).stdout)
        assert rest == records[i + 1:]
    assert whole == "1\n2\n3\n4\n5\n"


def test_a_cursor_whose_record_is_gone(home, msb):
    result = run(home, "gap", "echo first; head -c 62914560 /dev/urandom", text=False)
    assert result.returncode == 0
    gap = msb("logs", "gap", "--cursor", "60.0")
    assert gap.returncode == 1 and "oldest one that works" in gap.stderr
    oldest = gap.stderr.split("works is ")[1].split()[0]
    assert msb("logs", "gap", "--cursor", oldest, "--raw", text=False).returncode == 0


def test_kill_of_the_monitor_leaves_whole_records(home, msb):
    """kill -9 in the midst of three writers: what is there is whole, and the next boot goes on."""
    script = "read x; for k in a b c; do (while :; do echo $k-0123456789-$k; done) & done; wait"
    writer = home.start("run", "--name", "killed", "-i", "busybox", "--", "sh", "-c", script,
                        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL)
    assert eventually(lambda: any(r["name"] == "killed" and r["status"] == "running"
                                  for r in sandboxes(home)), 60)
    folder = folder_of(home, "killed")
    writer.stdin.write(b"go\n")
    writer.stdin.flush()
    assert eventually(lambda: sum(f.stat().st_size for f in folder.glob("out-*")) > 1 << 18, 60)
    for pid, program in home.processes().items():
        if program == "msb-sandbox":
            os.kill(pid, signal.SIGKILL)
    writer.stdin.close()
    writer.wait(60)
    out = msb("logs", "killed").stdout.splitlines()
    assert len(out) > 1000
    # Only the last line may be torn: of the output, not of the log.
    assert {line for line in out[:-1]} == {f"{k}-0123456789-{k}" for k in "abc"}
    assert json.dumps(out) and "are gone" not in msb("logs", "killed", "-n", "1").stderr


def test_logs_need_no_reader_that_stays(home, msb):
    run(home, "head", "for i in $(seq 1 20000); do echo line $i; done")
    p = subprocess.run(f"{home.msb} logs head --format jsonl | head -1", shell=True, env=home.env,
                       capture_output=True, text=True, timeout=60)
    assert p.stderr == "" and json.loads(p.stdout)["text"].startswith("line 1")


def test_a_session_whose_client_died_is_still_logged(home, msb):
    """The monitor reads on: all of it is in the log, once, and the program never waits for nobody."""
    library = Library()
    m = library.open(home)
    sb = library.make("sandbox_create", m, json.dumps({"image": "busybox", "name": "left"}).encode(),
                      0, None)
    request = {"command": ["sh", "-c", "read x < /tmp/go; seq 1 200000"], "on_disconnect": "keep"}
    for step in ({"command": ["mkfifo", "/tmp/go"]}, request,
                 {"command": ["sh", "-c", "echo go > /tmp/go"], "capture": False}):
        s = library.make("exec_open", sb, json.dumps(step).encode())
        if step is request:
            assert next(iter(library.events(s)))[0] == 1  # STARTED
        else:
            list(library.events(s))
        library.lib.msb_stream_close(s)
    want = "".join(f"{i}\n" for i in range(1, 200001))
    assert eventually(lambda: msb("logs", "left").stdout.endswith("\n200000\n"), 60)
    assert msb("logs", "left").stdout == want
    library("sandbox_stop", sb, 0, ctypes.c_int64(1000), None, None)
    library.lib.msb_sandbox_close(sb)
    library.lib.msb_close(m)
    assert msb("logs", "left").stdout == want
