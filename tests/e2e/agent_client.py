# SPDX-License-Identifier: Apache-2.0
"""The agent protocol as bytes, without the library: what a client may do and what it should not."""
import socket
import struct

HELLO, ERROR, PING, PONG = 1, 2, 23, 24
OPEN_EXEC, STARTED, FAILED, STDIN, STDIN_EOF, STDIN_CLOSED, STDOUT, STDERR, TTY = range(32, 41)
RESIZE, SIGNAL, EXITED, TIMED_OUT, GAP, OPEN_ATTACH = range(41, 47)
OPEN_TCP, CONNECTED, TCP_DATA, TCP_EOF = range(48, 52)
OPEN_REQUESTS, DONE, SESSIONS, SESSION_LIST, STATS, STATS_REPLY, KILL, DRAIN = range(80, 88)
CLOCK, WAIT_PORT, FREEZE, THAW = range(88, 92)
SHUTDOWN = 21
KEEP = 2  # on_disconnect


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    size = 1 if n < 1 << 8 else 2 if n < 1 << 16 else 4 if n < 1 << 32 else 8
    return bytes([major << 5 | 24 + (1, 2, 4, 8).index(size)]) + n.to_bytes(size, "big")


def encode(v):
    """CBOR in its shortest form: maps by ascending keys, lists, bytes, bools, numbers."""
    if isinstance(v, bool):
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        return head(0, v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, list):
        return head(4, len(v)) + b"".join(map(encode, v))
    return head(5, len(v)) + b"".join(encode(k) + encode(v[k]) for k in sorted(v))


def decode(data, at=0):
    """A value and where it ends."""
    major, n, at = data[at] >> 5, data[at] & 31, at + 1
    if major == 7:
        return n == 21, at
    if n >= 24:
        size = 1 << n - 24
        n, at = int.from_bytes(data[at:at + size], "big"), at + size
    if major == 0:
        return n, at
    if major == 1:
        return -1 - n, at
    if major in (2, 3):
        return data[at:at + n], at + n
    if major == 4:
        items = []
        for _ in range(n):
            v, at = decode(data, at)
            items.append(v)
        return items, at
    items = {}
    for _ in range(n):
        k, at = decode(data, at)
        items[k], at = decode(data, at)
    return items, at


class AgentClient:
    """One connection to the agent of the sandbox whose run folder is given."""

    def __init__(self, run_dir, hello=True):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)  # nothing here is timed: something is stuck
        self.sock.connect(f"{run_dir}/agent.sock")
        self.data = b""
        if hello:
            self.say(HELLO, {1: 1, 2: 1})
            assert self.next()[0] == HELLO

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def raw(self, data):
        self.sock.sendall(data)

    def say(self, kind, payload=b""):
        if not isinstance(payload, bytes):
            payload = encode(payload)
        self.raw(struct.pack("<HHI", kind, 0, len(payload)) + payload)

    def read(self, n):
        while len(self.data) < n:
            more = self.sock.recv(1 << 16)
            if not more:
                return None
            self.data += more
        got, self.data = self.data[:n], self.data[n:]
        return got

    def next(self):
        """The next frame: type and payload, bytes or a decoded map. None: the connection ended."""
        header = self.read(8)
        if header is None:
            return None
        kind, _, size = struct.unpack("<HHI", header)
        payload = self.read(size) if size else b""
        if payload is None:
            return None
        if kind in (STDOUT, STDERR, TTY, PONG, TCP_DATA):
            return kind, payload
        return kind, decode(payload)[0] if payload else {}

    def ask(self, kind, payload=b""):
        self.say(kind, payload)
        return self.next()

    def exec(self, *argv, **fields):
        """Start a program; fields by key: k7=True."""
        keys = {int(k[1:]): v for k, v in fields.items()}
        self.say(OPEN_EXEC, {1: [a.encode() for a in argv], **keys})
        return self.next()

    def requests(self):
        self.say(OPEN_REQUESTS, {})
        return self
