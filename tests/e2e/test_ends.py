# SPDX-License-Identifier: Apache-2.0
"""How a sandbox ended is told as it was."""
import json
import os
import signal
import subprocess

import pytest

from conftest import BOOT_S
from library import SANDBOX, Library


def recorded(home, name):
    library = Library()
    context = library.make("open", json.dumps({"home": str(home.path)}).encode())
    found = json.loads(library.text("list", context, SANDBOX, None))
    library.lib.msb_close(context)
    return next((s["status"], s["reason"]) for s in found if s["name"] == name)


@pytest.mark.parametrize("name, script, status, reason", [
    ("plain", "true", "stopped", "main-exited"),
    ("panic", "echo c >/proc/sysrq-trigger", "crashed", "guest-panic"),
    ("reset", "echo b >/proc/sysrq-trigger; sleep 1000", "stopped", "guest-poweroff"),
])
def test_by_the_guest(home, name, script, status, reason):
    home.run("run", "--name", name, "busybox", "--", "sh", "-c", script)
    assert recorded(home, name) == (status, reason)


def test_by_the_death_of_qemu(home):
    child = home.start("run", "--name", "killed", "busybox", "--", "sh", "-c", "echo up; exec sleep 1000",
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "up\n"
    qemu = [pid for pid, program in home.processes().items() if program.startswith("qemu")]
    os.kill(qemu[0], signal.SIGKILL)
    _, stderr = child.communicate(timeout=BOOT_S)
    assert child.returncode == 125, stderr
    assert recorded(home, "killed") == ("crashed", "engine-failed")


def test_a_stop_does_not_wait_for_what_has_ended(home):
    """A persistent sandbox flushes its disk as soon as its programs are gone, not after the grace."""
    script = f"""
import json, ctypes, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from library import Event, Library
lib = Library()
context = lib.make("open", json.dumps({{"home": {str(home.path)!r}}}).encode())
spec = {{"image": "busybox", "name": "graceful", "lifecycle": {{"stop_timeout_ms": 3600000}}}}
sandbox = lib.make("sandbox_create", context, json.dumps(spec).encode(), 0, None)
stream = lib.make("exec_open", sandbox, b'{{"command": ["sleep", "1000"]}}')
end = ctypes.c_char_p()
event = Event(struct_size=ctypes.sizeof(Event))
assert lib("stream_wait", stream, ctypes.c_int64(60000), None, ctypes.byref(event)) == 1
lib("sandbox_stop", sandbox, 0, ctypes.c_int64(-1), None, ctypes.byref(end))
print(end.value.decode())
"""
    r = subprocess.run(["/usr/bin/python3", "-c", script], env=home.env, capture_output=True, text=True,
                       timeout=BOOT_S)
    assert r.returncode == 0, r.stderr
    assert json.loads(r.stdout)["flushed"], r.stdout
