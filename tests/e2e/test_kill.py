# SPDX-License-Identifier: Apache-2.0
"""kill -9 of each process at random moments leaves nothing behind."""
import os
import random
import signal
import subprocess

import pytest

from conftest import BOOT_S, eventually

TIMES = 20


def victim(home, child, program):
    """The process to kill, once it is there; None if the run ended before."""
    if program == "msb":
        return child.pid
    found = []

    def there():
        found[:] = [pid for pid, name in home.processes().items() if name.startswith(program)]
        return found or child.poll() is not None
    eventually(there)
    return found[0] if found else None


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("program", ["msb", "msb-sandbox", "qemu-system"])
def test_kill_9(home, program):
    rng = random.Random(program)  # the same moments in every run
    killed = 0
    for _ in range(TIMES):
        child = home.start("run", "busybox", "--", "sh", "-c", "echo up; exec sleep 1000",
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL)
        pid = victim(home, child, program)
        delay = rng.uniform(0, 2.5)
        try:
            child.wait(delay)
        except subprocess.TimeoutExpired:
            pass
        try:
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                killed += 1
        except ProcessLookupError:
            pass
        code = child.wait(BOOT_S)
        child.stdout.close()
        assert code in (-signal.SIGKILL, 125), code
        assert eventually(lambda: not home.processes()), home.processes()
    assert killed == TIMES
    r = home.run("run", "busybox", "--", "echo", "works")
    assert (r.returncode, r.stdout) == (0, "works\n"), r.stderr
