# SPDX-License-Identifier: Apache-2.0
"""Many programs at once in one guest, through the library: 100 streams over one vsock."""
import ctypes
import hashlib
import json
import random
import select

import pytest

from library import DATA, END, EXITED, FAILED, Event, Library

STREAMS = 100
BYTES = 256 << 10  # each; all that the credit of a vsock connection allows
WAIT_S = 120       # without any event: something is stuck


class Cat:
    """One `cat`: what goes in must come out."""

    def __init__(self, lib, sandbox, seed):
        self.lib = lib
        self.data = random.Random(seed).randbytes(BYTES)
        self.sent, self.hash, self.ended, self.closed = 0, hashlib.sha256(), False, False
        self.stream = lib.make("exec_open", sandbox,
                               json.dumps({"command": ["cat"], "stdin": "pipe"}).encode())

    def write(self):
        n = ctypes.c_size_t()
        rest = self.data[self.sent:self.sent + 65536]
        if rest:
            self.lib("stream_write", self.stream, rest, ctypes.c_size_t(len(rest)), ctypes.byref(n))
            self.sent += n.value
        if self.sent == len(self.data) and not self.closed:
            self.closed = True
            self.lib("stream_close_write", self.stream)

    def read(self):
        event = Event(struct_size=ctypes.sizeof(Event))
        while self.lib("stream_next", self.stream, ctypes.byref(event)) == 1:
            assert event.type != FAILED, event.json
            if event.type == DATA:
                self.hash.update(ctypes.string_at(event.data, event.len))
            elif event.type == EXITED:
                assert event.number == 0
            elif event.type == END:
                assert event.number == 0, event.json
                self.ended = True
                return

    def step(self):
        """Do what can be done now; what to wait for."""
        self.write()
        self.read()
        if self.ended:
            return 0
        return self.lib.lib.msb_stream_want(self.stream) | (0 if self.closed else select.POLLOUT)


@pytest.fixture
def library():
    return Library()


def test_a_hundred_programs_at_once(home, library):
    context = library.make("open", json.dumps({"home": str(home.path)}).encode())
    sandbox = library.make("sandbox_create", context, b'{"image":"busybox"}', 0, None)
    cats = [Cat(library, sandbox, seed) for seed in range(STREAMS)]
    poll, by_fd = select.poll(), {}
    for cat in cats:
        fd = library.lib.msb_stream_fd(cat.stream)
        by_fd[fd] = cat
        poll.register(fd, select.POLLIN | select.POLLOUT)
    while by_fd:
        ready = poll.poll(WAIT_S * 1000)
        assert ready, f"{len(by_fd)} of {STREAMS} programs are stuck"
        for fd, _ in ready:
            events = by_fd[fd].step()
            if events:
                poll.modify(fd, events)
            else:
                poll.unregister(fd)
                del by_fd[fd]
    for cat in cats:
        assert cat.hash.digest() == hashlib.sha256(cat.data).digest()
        library.lib.msb_stream_close(cat.stream)
    library("sandbox_stop", sandbox, 0, ctypes.c_int64(-1), None, None)
    library.lib.msb_sandbox_close(sandbox)
    library.lib.msb_close(context)
