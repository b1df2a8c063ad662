# SPDX-License-Identifier: Apache-2.0
"""Blocking calls of the library: switches, time-outs and progress."""
import ctypes
import json
import os
import threading

import pytest

from conftest import eventually
from library import END, PROGRESS, SANDBOX, Call, CallError, Library

CANCELLED, TIMEOUT, INVALID = 1100, 700, 200
FORCE = 1
IMAGE = 2


@pytest.fixture
def library():
    return Library()


@pytest.fixture
def context(home, library):
    m = library.open(home)
    yield m
    library.lib.msb_close(m)


@pytest.fixture
def sandbox(library, context):
    sb = library.make("sandbox_create", context, b'{"image":"busybox","name":"up"}', 0, None)
    yield sb
    library("sandbox_stop", sb, 1, ctypes.c_int64(0), None, None)
    library.lib.msb_sandbox_close(sb)
    library("remove", context, SANDBOX, b"up", 0, None)


def refused(code, library, name, *args):
    with pytest.raises(CallError) as e:
        library(name, *args)
    assert e.value.code == code, e.value
    return e.value


def create(library, context, call, name=None):
    spec = {"image": "busybox", **({"name": name} if name else {})}
    return library.make("sandbox_create", context, json.dumps(spec).encode(), 0, ctypes.byref(call))


def names(library, context):
    return [s["name"] for s in json.loads(library.text("list", context, SANDBOX, None))]


def test_a_create_tells_its_stages(home, library, context):
    progress = library.new("progress")
    sb = create(library, context, Call(progress=progress))
    events = list(library.events(progress))
    boot = [e["stage"] for kind, _, e in events if kind == PROGRESS and e["type"] == "boot"]
    assert boot == ["monitor", "engine", "agent", "mounts", "ready"] and events[-1] == (END, 0, None)
    e = Call(progress=progress)
    refused(INVALID, library, "sandbox_wait", sb, None, ctypes.byref(e), None)  # it served one call
    library.lib.msb_stream_close(progress)
    library("sandbox_stop", sb, 1, ctypes.c_int64(0), None, None)
    library.lib.msb_sandbox_close(sb)


@pytest.mark.parametrize("stage", ["monitor", "engine", "agent", "mounts"])
@pytest.mark.parametrize("name", [None, "named"])
def test_a_cancelled_create_leaves_nothing(home, library, context, stage, name):
    before = set(os.listdir(home.path / "sandboxes"))
    progress, cancel = library.new("progress"), library.new("cancel")
    seen = []

    def watch():
        for event in Library().events(progress):
            seen.append(event)
            if event[0] == PROGRESS and event[2].get("stage") == stage:
                library.lib.msb_cancel_fire(cancel)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        sb = create(library, context, Call(cancel=cancel, progress=progress), name)
    except CallError as e:
        assert e.code == CANCELLED
    else:  # it was ready before the switch was seen
        assert stage == "mounts"
        library("sandbox_stop", sb, 1, ctypes.c_int64(0), None, None)
        library.lib.msb_sandbox_close(sb)
        if name:
            library("remove", context, SANDBOX, name.encode(), 0, None)
    watcher.join()
    assert seen[-1][0] == END and seen[-1][1] in (CANCELLED, 0)
    assert names(library, context) == [] and set(os.listdir(home.path / "sandboxes")) == before
    assert eventually(lambda: not [p for p in home.processes().values() if p != os.path.basename(os.readlink("/proc/self/exe"))])
    library.lib.msb_stream_close(progress)
    library.lib.msb_cancel_free(cancel)


def test_a_create_in_no_time_leaves_nothing(home, library, context):
    with pytest.raises(CallError) as e:
        create(library, context, Call(timeout_ms=1), "late")
    assert e.value.code == TIMEOUT
    assert names(library, context) == []


def test_a_switch_that_is_on_lets_nothing_begin(home, library, context):
    cancel = library.new("cancel")
    library.lib.msb_cancel_fire(cancel)
    library.lib.msb_cancel_fire(cancel)
    with pytest.raises(CallError) as e:
        create(library, context, Call(cancel=cancel), "never")
    assert e.value.code == CANCELLED and names(library, context) == []
    library.lib.msb_cancel_free(cancel)


def test_a_wait_that_is_ended_changes_nothing(library, context, sandbox):
    cancel = library.new("cancel")
    threading.Timer(0.01, library.lib.msb_cancel_fire, [cancel]).start()
    refused(CANCELLED, library, "sandbox_wait", sandbox, b"ended", ctypes.byref(Call(cancel=cancel)), None)
    refused(TIMEOUT, library, "sandbox_wait", sandbox, None, ctypes.byref(Call(timeout_ms=1)), None)
    refused(INVALID, library, "sandbox_wait", sandbox, b"never", None, None)
    refused(INVALID, library, "sandbox_wait", sandbox, None, ctypes.byref(Call(timeout_ms=-2)), None)
    assert [s["status"] for s in json.loads(library.text("list", context, SANDBOX, None))] == ["running"]
    library.lib.msb_cancel_free(cancel)


def test_a_stop_that_is_ended_goes_on(library, sandbox):
    """A program that ignores TERM for an hour: the stop waits, the call does not."""
    stream = library.make("exec_open", sandbox, json.dumps(
        {"command": ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1000; done"]}).encode())
    events = library.events(stream)
    assert next(events)[0] == 1
    assert next(events)[0] == 2
    refused(TIMEOUT, library, "sandbox_stop", sandbox, 0, ctypes.c_int64(3600000),
            ctypes.byref(Call(timeout_ms=1)), None)
    library("sandbox_stop", sandbox, 1, ctypes.c_int64(0), None, None)
    library.lib.msb_stream_close(stream)


def test_a_removal_has_a_deadline(library, context, sandbox):
    code = refused(601, library, "remove", context, SANDBOX, b"up", 0, None)
    assert "stop it first" in str(code)
    refused(TIMEOUT, library, "remove", context, SANDBOX, b"up", FORCE, ctypes.byref(Call(timeout_ms=1)))
    assert names(library, context) == ["up"]
    library("sandbox_wait", sandbox, None, None, None)


def test_a_load_from_a_silent_pipe_ends(home, library, context):
    reader, writer = os.pipe()
    call = ctypes.byref(Call(timeout_ms=10))
    refused(TIMEOUT, library, "image_load", context, reader, b"a pipe", None, call, None)
    os.close(reader)
    os.close(writer)


def test_a_save_to_a_pipe_that_nobody_reads_ends(home, library, context):
    reader, writer = os.pipe()
    names = (ctypes.c_char_p * 2)(b"busybox", None)
    call = ctypes.byref(Call(timeout_ms=1000))
    refused(TIMEOUT, library, "save", context, IMAGE, names, None, writer, None, call, None)
    os.close(reader)
    os.close(writer)


def test_save_tells_what_it_has_saved(home, library, context, tmp_path):
    names = (ctypes.c_char_p * 2)(b"busybox", None)
    path = str(tmp_path / "a.tar").encode()
    saved = json.loads(library.text("save", context, IMAGE, names, path, -1, None, None))["images"]
    assert saved[0]["references"] == ["docker.io/library/busybox:latest"]
    assert saved[0]["digest"] == saved[0]["saved_digest"]
    options = b'{"format": "docker"}'
    saved = json.loads(library.text("save", context, IMAGE, names, path, -1, options, None))["images"]
    assert saved[0]["saved_digest"] is None
    refused(INVALID, library, "save", context, SANDBOX, names, path, -1, None, None, None)
    refused(INVALID, library, "save", context, IMAGE, names, path, -1, b'{"fromat": "oci"}', None, None)


def test_a_stream_has_a_switch(library, sandbox):
    stream = library.make("exec_open", sandbox, b'{"command":["sleep","1000"]}')
    cancel = library.new("cancel")
    events = library.events(stream)
    assert next(events)[0] == 1
    library.lib.msb_cancel_fire(cancel)
    event = ctypes.create_string_buffer(256)
    refused(CANCELLED, library, "stream_wait", stream, ctypes.c_int64(-1), cancel, event)
    library.lib.msb_stream_close(stream)
    library.lib.msb_cancel_free(cancel)


def test_a_progress_stream_takes_no_input(library):
    progress = library.new("progress")
    n = ctypes.c_size_t()
    refused(INVALID, library, "stream_write", progress, b"x", ctypes.c_size_t(1), ctypes.byref(n))
    refused(INVALID, library, "exec_signal", progress, 15)
    library.lib.msb_stream_close(progress)
