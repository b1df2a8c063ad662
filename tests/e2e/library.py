# SPDX-License-Identifier: Apache-2.0
"""libmicrosandbox as an embedder sees it, by ctypes."""
import ctypes
import json
import os
import pathlib

LIBRARY = pathlib.Path(os.environ["MSB"]).parent / "src/lib/libmicrosandbox.so.1"
SANDBOX = 1  # MSB_SANDBOX


class Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int32), ("sys", ctypes.c_int32), ("stage", ctypes.c_char * 24),
                ("reason", ctypes.c_char * 32), ("subject", ctypes.c_char * 256),
                ("message", ctypes.c_char * 512)]


class Event(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("type", ctypes.c_int32),
                ("channel", ctypes.c_int32), ("data", ctypes.c_void_p), ("len", ctypes.c_size_t),
                ("json", ctypes.c_char_p), ("number", ctypes.c_int64)]


class Call(ctypes.Structure):
    """Options of a blocking call: Call(timeout_ms=500, cancel=handle)."""
    _fields_ = [("struct_size", ctypes.c_size_t), ("cancel", ctypes.c_void_p),
                ("progress", ctypes.c_void_p), ("timeout_ms", ctypes.c_int64)]

    def __init__(self, **fields):
        super().__init__(struct_size=ctypes.sizeof(Call), **fields)


DATA, EXITED, FAILED, PROGRESS, END = 2, 5, 6, 14, 15


class CallError(Exception):
    """What struct msb_error says."""
    def __init__(self, name, err):
        super().__init__(f"{name}: {err.message.decode()}")
        self.code, self.reason = err.code, err.reason.decode()


class Library:
    def __init__(self):
        self.lib = ctypes.CDLL(str(LIBRARY))
        self.lib.msb_stream_want.restype = ctypes.c_short
        self.err = Error()

    def __call__(self, name, *args):
        """Call msb_NAME; handles go in as c_void_p. Negative results raise."""
        r = getattr(self.lib, f"msb_{name}")(*args, ctypes.byref(self.err))
        if r < 0:
            raise CallError(name, self.err)
        return r

    def make(self, name, *args):
        handle = ctypes.c_void_p()
        self(name, *args, ctypes.byref(handle))
        return handle

    def text(self, name, *args):
        """The string that msb_NAME gives."""
        p = self.make(name, *args)
        value = ctypes.string_at(p).decode()
        self.lib.msb_free(p)
        return value

    def open(self, home):
        return self.make("open", json.dumps({"home": str(home.path)}).encode())

    def new(self, what):
        """A handle of msb_WHAT_new()."""
        handle = ctypes.c_void_p()
        assert getattr(self.lib, f"msb_{what}_new")(ctypes.byref(handle)) == 0
        return handle

    def events(self, stream):
        """Events of a stream up to END: (type, number, json as a value or None)."""
        event = Event(struct_size=ctypes.sizeof(Event))
        while event.type != END:
            assert self("stream_wait", stream, ctypes.c_int64(-1), None, ctypes.byref(event)) == 1
            yield event.type, event.number, json.loads(event.json) if event.json else None
