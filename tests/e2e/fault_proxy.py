# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy in front of a real registry: it fails on demand, and counts what it has sent.

Faults are called with the answer of the registry before the client gets it.  Each plays once, and
only on an answer that has content: not on the 401 that asks for a login.
"""
import http.client
import http.server
import ssl
import threading

from fake_registry import Server

COPIED = ("Content-Type", "Content-Range", "Docker-Content-Digest", "WWW-Authenticate", "Location", "Accept-Ranges")


class Answer:
    """What the registry said to one request."""

    def __init__(self, response):
        self.status, self.body = response.status, response.read()
        self.headers = {k: response.headers[k] for k in COPIED if k in response.headers}
        self.send = None  # bytes of the body that are sent before the connection ends; None: all
        self.pause = None  # (bytes, event): wait for the event after so many


# ---- faults

def cut(n):
    """The connection ends after n bytes of the body."""
    def fault(answer):
        answer.send = n
    return fault


def flip(n):
    """One bit of byte n is wrong."""
    def fault(answer):
        body = bytearray(answer.body)
        body[n % len(body)] ^= 1
        answer.body = bytes(body)
    return fault


def say(status, **headers):
    """Another status, with headers such as Retry_After="1"."""
    def fault(answer):
        answer.status, answer.body = status, b"{}"
        answer.headers = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return fault


def replace(body):
    """Something else, honestly sized."""
    def fault(answer):
        answer.body = body
    return fault


def hold(n, event):
    """After n bytes of the body nothing comes until the event."""
    def fault(answer):
        answer.pause = (n, event)
    return fault


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def ask(self):
        """The registry's answer to this request."""
        owner = self.server.owner
        if owner.there.cert:
            connection = http.client.HTTPSConnection("localhost", owner.there.port, timeout=60,
                                                     context=ssl._create_unverified_context())
        else:
            connection = http.client.HTTPConnection("localhost", owner.there.port, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "accept-encoding")}
        connection.request(self.command, self.path, headers=headers)
        answer = Answer(connection.getresponse())
        connection.close()
        return answer

    def do_GET(self):
        owner = self.server.owner
        answer = self.ask()
        fault = owner.next_fault(self.path) if answer.status in (200, 206) else None
        if fault:
            fault(answer)
        owner.count(self.path, answer.status)
        self.content = answer.status in (200, 206)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        at, (stop, event) = 0, answer.pause or (None, None)
        if event:
            self.write(answer.body[:stop])
            owner.reached.set()
            at = stop
            event.wait()
        end = len(answer.body) if answer.send is None else answer.send
        self.write(answer.body[at:end])
        if answer.send is not None:
            self.close_connection = True

    do_HEAD = do_GET

    def write(self, data):
        self.wfile.write(data)
        if self.content:
            self.server.owner.sent(self.path, len(data))


class FaultProxy(Server):
    """Serves what the registry `there` has, with TLS if given a context."""

    def __init__(self, there, tls=None):
        self.there = there
        self.lock = threading.Lock()
        self.faults = []  # [part of a path, fault]
        self.requests = []  # (path, status)
        self.bytes = {}  # {path: bytes of bodies}
        self.reached = threading.Event()  # a fault of hold() is there
        super().__init__(Handler, tls)

    @property
    def host(self):
        return f"localhost:{self.port}"

    def fault(self, part, *faults):
        """Play these, one a request for a path that has this part, in this order."""
        with self.lock:
            self.faults += [(part, f) for f in faults]

    def next_fault(self, path):
        with self.lock:
            for i, (part, fault) in enumerate(self.faults):
                if part in path:
                    del self.faults[i]
                    return fault
        return None

    def count(self, path, status):
        with self.lock:
            self.requests.append((path, status))

    def sent(self, path, n):
        with self.lock:
            self.bytes[path] = self.bytes.get(path, 0) + n

    def forget(self):
        """Start counting anew."""
        with self.lock:
            self.faults, self.requests, self.bytes = [], [], {}
        self.reached.clear()

    def sent_of(self, digest):
        """Bytes of this blob that went out, all requests together."""
        with self.lock:
            return sum(n for path, n in self.bytes.items() if path.endswith(f"/blobs/{digest}"))
