# SPDX-License-Identifier: Apache-2.0
"""Debian's docker-registry on a free port of this machine, and images to fill it with."""
import crypt
import pathlib
import re
import subprocess
import tempfile

import trees

USER, PASSWORD = "ann", "a secret: with / and %"

CONFIG = """version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/data}}
  delete: {{enabled: true}}
http:
  addr: {addr}
  secret: of these tests
  relativeurls: true
{tls}{auth}"""
TLS = "  tls: {{certificate: {0}, key: {1}}}\n"
AUTH = "auth: {{htpasswd: {{realm: tests, path: {0}}}}}\n"


class Registry:
    """docker-registry; with `cert` (certificate, key) over TLS, with `login` for USER only."""

    def __init__(self, folder, cert=None, login=False):
        self.folder, self.cert, self.login = pathlib.Path(folder), cert, login
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process, self.port = None, 0
        self.start()

    @property
    def host(self):
        return f"localhost:{self.port}"

    def start(self):
        """On the port it had, or on a free one."""
        passwords = self.folder / "htpasswd"
        passwords.write_text(f"{USER}:{crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}\n")
        config = self.folder / "config.yml"
        config.write_text(CONFIG.format(
            folder=self.folder, addr=f"127.0.0.1:{self.port}", tls=TLS.format(*self.cert) if self.cert else "",
            auth=AUTH.format(passwords) if self.login else ""))
        log = self.folder / "log"
        with open(log, "ab") as out:
            begin = out.tell()
            # Ends with this process, however that ends.
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "docker-registry", "serve", config],
                                            stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        assert self.wait_for_port(log, begin), log.read_text()

    def wait_for_port(self, log, begin):
        while self.process.poll() is None:
            found = re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text()[begin:])
            if found:
                self.port = int(found[1])
                return True
            try:
                self.process.wait(0.01)
            except subprocess.TimeoutExpired:
                pass
        return False

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def push(self, source, name, *options):
        """Copy what skopeo calls `source` to the image `name`."""
        login = [f"--dest-creds={USER}:{PASSWORD}"] if self.login else []
        subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", *login, *options,
                        source, f"docker://{self.host}/{name}"], check=True, timeout=300)

    def push_layers(self, layers, name, *options):
        """An image of these tar archives."""
        with tempfile.TemporaryDirectory() as folder:
            trees.write_layout(pathlib.Path(folder) / "oci", layers)
            self.push(f"oci:{folder}/oci:{trees.TAG}", name, *options)

    def blob(self, digest):
        """The file in which the registry keeps it."""
        name = digest.removeprefix("sha256:")
        return self.folder / f"data/docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data"


def nowhere(folder):
    """Variables with which no credentials of this user and no proxy are found."""
    return {"HOME": str(folder), "DOCKER_CONFIG": f"{folder}/docker", "XDG_RUNTIME_DIR": str(folder),
            **{name: "" for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY")}}
