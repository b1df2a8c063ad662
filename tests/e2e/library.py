# SPDX-License-Identifier: Apache-2.0
"""libmicrosandbox as an embedder sees it, by ctypes."""
import ctypes
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


DATA, EXITED, FAILED, END = 2, 5, 6, 15


class Library:
    def __init__(self):
        self.lib = ctypes.CDLL(str(LIBRARY))
        self.lib.msb_stream_want.restype = ctypes.c_short
        self.err = Error()

    def __call__(self, name, *args):
        """Call msb_NAME; handles go in as c_void_p. Negative results raise."""
        r = getattr(self.lib, f"msb_{name}")(*args, ctypes.byref(self.err))
        assert r >= 0, (name, self.err.message)
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
