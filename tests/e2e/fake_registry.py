# SPDX-License-Identifier: Apache-2.0
"""A registry that fails on demand, a proxy that leads any host name to it, and certificates.

FakeRegistry serves blobs and manifests from memory, asks for what `auth` says, records every
request, and plays the faults that a test has put into its list: each for one request.
"""
import base64
import hashlib
import http.server
import json
import socket
import ssl
import subprocess
import threading
import urllib.parse


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    connections = 0

    def process_request(self, request, client_address):
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request, client_address):
        pass  # clients that go away are part of the tests


class Server:
    """What registry and proxy share: a thread that serves on a free port of this machine."""

    def __init__(self, handler, tls=None):
        self.http = Quiet(("127.0.0.1", 0), handler)
        self.http.owner = self
        self.port = self.http.server_port
        self.scheme = "https" if tls else "http"
        self.released = threading.Event()  # ends what hangs
        if tls:
            # Handshakes in the thread of the connection, so that one that hangs stops no other.
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True,
                                               do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"{self.scheme}://{self.host}"

    def close(self):
        self.released.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


# ---- faults: each is called with the handler and the bytes it would send; True: it has answered


def drop_after(n):
    """The header of all, n bytes of the body, then the end of the connection."""
    def fault(h, body, start, status):
        h.head(status, body, start)
        h.wfile.write(body[start:start + n])
        h.cut()
        return True
    return fault


def drop_at_once(h, *_):
    """The end of the connection instead of an answer."""
    h.cut()
    return True


def short_body(n):
    """n bytes less, chunked, ended well."""
    def fault(h, body, start, status):
        h.send_response(status)
        if status == 206:
            h.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        part = body[start:len(body) - n]
        h.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(part), part))
        return True
    return fault


def more_bytes(h, body, start, status):
    """One byte too many, chunked: no header gives it away."""
    return short_body(0)(h, body + b"!", start, status)


def ignore_range(h, body, start, status):
    h.head(200, body, 0)
    h.wfile.write(body)
    return True


def hang_after(n):
    """n bytes, then silence."""
    def fault(h, body, start, status):
        h.head(status, body, start)
        h.wfile.write(body[start:start + n])
        h.wfile.flush()
        h.owner.hanging.set()
        h.owner.released.wait()
        h.cut()
        return True
    return fault


def status(code, words="", **headers):
    """Another status, with headers such as Retry_After="1"."""
    def fault(h, *_):
        error = {"errors": [{"code": "TEST", "message": words}]} if words else {}
        h.answer(code, json.dumps(error).encode(), "application/json",
                 {k.replace("_", "-"): v for k, v in headers.items()})
        return True
    return fault


def raw(data):
    """These bytes as the answer."""
    def fault(h, *_):
        h.wfile.write(data)
        h.cut()
        return True
    return fault


def before(what, fault=None):
    """Call what(), then play the fault, or answer as usual."""
    def both(h, *rest):
        what()
        return fault(h, *rest) if fault else False
    return both


# ---- who may read


class Anyone:
    def allows(self, registry, header):
        return True


class Basic:
    challenge = 'Basic realm="fake"'

    def __init__(self, user, password):
        self.expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def allows(self, registry, header):
        return header == self.expected


class Bearer:
    """Tokens from /token of a registry, for a login or (None) for anybody."""

    def __init__(self, realm, user=None, password=None, refresh=None, key="token", expires_in=300,
                 service="fake service"):
        self.challenge = f'Bearer realm="{realm}",service="{service}"'
        self.login = user and Basic(user, password).expected
        self.refresh = refresh
        self.key, self.expires_in, self.service = key, expires_in, service
        self.given = 0
        self.valid = set()

    def allows(self, registry, header):
        return header in self.valid

    def revoke(self):
        self.valid.clear()

    def give(self, query, header):
        """A token for this question, None if it is refused."""
        if query.get("grant_type") == ["refresh_token"]:
            if query.get("refresh_token") != [self.refresh]:
                return None
        elif self.refresh or (self.login and header != self.login):
            return None
        self.given += 1
        token = f"token-{self.given}"
        self.valid.add("Bearer " + token)
        return {self.key: token, **({} if self.expires_in is None else {"expires_in": self.expires_in})}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def owner(self):
        return self.server.owner

    def log_message(self, *args):
        pass

    def cut(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def answer(self, code, body=b"", content_type="text/plain", headers=None):
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def head(self, code, body, start, content_type="application/octet-stream"):
        """The header for the body from `start` on."""
        self.send_response(code)
        if code == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()

    def serve(self, body, content_type):
        start, code = 0, 200
        wanted = self.headers.get("Range")
        if wanted:
            start, code = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
        if code == 206 and start >= len(body):
            return self.answer(416)
        fault = self.owner.next_fault(self.path)
        if fault and fault(self, body, start, code):
            return None
        self.head(code, body, start, content_type)
        self.wfile.write(body[start:])
        return None

    def token(self, query):
        found = self.owner.auth.give(query, self.headers.get("Authorization"))
        if not found:
            return self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED"}]}', "application/json")
        fault = self.owner.next_fault("/token")
        if fault and fault(self, b"", 0, 200):
            return None
        return self.answer(200, json.dumps(found).encode(), "application/json")

    def do_POST(self):
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.owner.record("POST", self.path, self.headers, form)
        self.token(urllib.parse.parse_qs(form))

    def do_GET(self):
        owner = self.owner
        owner.record("GET", self.path, self.headers, None)
        _, _, path, query, _ = urllib.parse.urlsplit(self.path)
        if path == "/token":
            return self.token(urllib.parse.parse_qs(query))
        if path.startswith("/open/"):  # what a redirect leads to: needs no login
            return self.serve(owner.blobs[path.rsplit("/", 1)[1]], "application/octet-stream")
        if not owner.auth.allows(owner, self.headers.get("Authorization")):
            return self.answer(401, b"{}", "application/json",
                               {"WWW-Authenticate": owner.auth.challenge})
        if path in owner.redirects:
            return self.answer(307, headers={"Location": owner.redirects[path]})
        if path == "/v2/":
            return self.serve(b"{}", "application/json")
        kind, _, name = path.removeprefix("/v2/").rpartition("/")
        if kind.endswith("/blobs") and name in owner.blobs:
            return self.serve(owner.blobs[name], "application/octet-stream")
        if kind.endswith("/manifests") and (kind.removesuffix("/manifests"), name) in owner.manifests:
            content_type, body = owner.manifests[kind.removesuffix("/manifests"), name]
            return self.serve(body, content_type)
        fault = owner.next_fault(path)
        if fault and fault(self, b"", 0, 200):
            return None
        return self.answer(404, b'{"errors":[{"code":"NOT_FOUND","message":"no such thing"}]}',
                           "application/json")


class FakeRegistry(Server):
    def __init__(self, tls=None):
        self.blobs = {}
        self.manifests = {}
        self.redirects = {}  # path: Location
        self.auth = Anyone()
        self.hanging = threading.Event()
        self.requests = []  # (method, path, headers, form)
        self.faults = []  # (part of a path, fault)
        self.lock = threading.Lock()
        super().__init__(Handler, tls)

    def add_blob(self, data):
        self.blobs[digest(data)] = data
        return digest(data)

    def add_manifest(self, repository, reference, body,
                     content_type="application/vnd.oci.image.manifest.v1+json"):
        self.manifests[repository, reference] = (content_type, body)
        self.manifests[repository, digest(body)] = (content_type, body)
        return digest(body)

    def fault(self, part, *faults):
        """Play these, one a request for a path that has this part, in this order."""
        self.faults += [(part, f) for f in faults]

    def next_fault(self, path):
        with self.lock:
            for i, (part, fault) in enumerate(self.faults):
                if part in path:
                    del self.faults[i]
                    return fault
        return None

    def record(self, method, path, headers, form):
        with self.lock:
            self.requests.append((method, path, dict(headers), form))

    def asked(self, part):
        """Headers of the requests for paths that have this part."""
        with self.lock:
            return [headers for _, path, headers, _ in self.requests if part in path]


class ProxyHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_CONNECT(self):
        owner = self.server.owner
        owner.asked.append(self.path)
        if self.path not in owner.routes:
            self.send_error(owner.refusal)
            return
        there = socket.create_connection(("127.0.0.1", owner.routes[self.path]))
        self.send_response(200)
        self.end_headers()
        back = threading.Thread(target=self.copy, args=(there, self.connection), daemon=True)
        back.start()
        self.copy(self.connection, there)
        back.join()
        there.close()
        self.close_connection = True

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class FakeProxy(Server):
    """CONNECT to any of `routes`, {"ghcr.io:443": port of this machine}."""

    def __init__(self, routes):
        self.routes = routes
        self.asked = []
        self.refusal = 502
        super().__init__(ProxyHandler)


class Authority:
    """A certificate authority of its own, in a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.ca = folder / "ca.crt"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-keyout", folder / "ca.key", "-out", self.ca, "-subj",
                     "/CN=test authority", "-days", "30")

    @staticmethod
    def openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)

    def issue(self, name, *hosts):
        """A certificate for these names: paths of certificate and key."""
        cert, key = self.folder / f"{name}.cert", self.folder / f"{name}.key"
        request, extra = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extra.write_text("subjectAltName=" + ",".join(f"DNS:{h}" for h in hosts or [name]) + "\n")
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        self.openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey",
                     self.folder / "ca.key", "-CAcreateserial", "-out", cert, "-days", "30",
                     "-extfile", extra)
        return cert, key

    def server(self, *hosts, want_client=False):
        """An SSL context for a server of these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(hosts[0], *hosts))
        if want_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context
