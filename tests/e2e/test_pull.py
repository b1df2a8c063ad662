# SPDX-License-Identifier: Apache-2.0
"""msb pull from Debian's docker-registry, and what is run afterwards."""
import base64
import json
import os
import signal
import subprocess
import threading

import pytest

import debian_image
import fake_registry
import pulling
import registry
import trees
from conftest import Home, eventually
from fault_proxy import FaultProxy, hold
from pulling import BUSYBOX, MIB, check_sentence, layer, listed, noise, pull


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return fake_registry.Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with registry.Registry(tmp_path_factory.mktemp("registry")) as r:
        r.push(BUSYBOX, "busybox:1")
        yield r


@pytest.fixture(scope="module")
def secure(tmp_path_factory, authority):
    """TLS, and a login."""
    with registry.Registry(tmp_path_factory.mktemp("registry"), authority.issue("localhost"), login=True) as r:
        r.push(BUSYBOX, "busybox:1")
        yield r


@pytest.fixture
def home(tmp_path):
    """An empty home for each test."""
    return Home(tmp_path / "home")


def docker_config(folder, host, **entry):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"auths": {host: entry}}))
    return {"DOCKER_CONFIG": str(folder)}


LOGIN = base64.b64encode(f"{registry.USER}:{registry.PASSWORD}".encode()).decode()


def test_debian_over_tls_with_a_login_and_again_without_the_registry(home, tmp_path, authority, secure):
    secure.push(f"oci:{debian_image.layout()}:{trees.TAG}", "debian:bookworm")
    ref = f"{secure.host}/debian:bookworm"
    env = docker_config(tmp_path / "docker", secure.host, auth=LOGIN)
    r = pull(home, "--ca-cert", authority.ca, ref, env=env, timeout_s=300)
    assert r.returncode == 0, r.stderr
    assert list(listed(home)) == [ref]
    question = ["--", "python3", "-c", "print(6*7)"]
    r = home.run("run", ref, *question)
    assert (r.returncode, r.stdout) == (0, "42\n"), r.stderr
    secure.stop()
    try:
        r = home.run("run", ref, *question)
        assert (r.returncode, r.stdout) == (0, "42\n"), r.stderr
        r = home.run("run", "--pull", "always", ref, *question)
        assert r.returncode == 125 and "--pull missing" in r.stderr, r.stderr
        check_sentence(pull(home, ref), secure.host)
    finally:
        secure.start()


def test_run_pulls_what_is_missing(home, plain):
    ref = f"{plain.host}/busybox:1"
    r = home.run("run", "--pull", "never", ref, "--", "true")
    assert r.returncode == 125 and f"msb pull {ref}" in r.stderr, r.stderr
    r = home.run("run", ref, "--", "echo", "pulled")
    assert (r.returncode, r.stdout) == (0, "pulled\n"), r.stderr


def test_what_is_here_is_not_fetched_again(home, plain):
    with FaultProxy(plain) as proxy:
        ref = f"{proxy.host}/busybox:1"
        assert pull(home, ref).returncode == 0
        digest = listed(home)[ref]["digest"]
        proxy.forget()
        assert home.run("run", ref, "--", "true").returncode == 0
        assert proxy.requests == []
        # A digest cannot mean anything else.
        assert home.run("run", "--pull", "always", f"{proxy.host}/busybox@{digest}", "--", "true").returncode == 0
        assert proxy.requests == []
        # A tag can: the registry is asked what it means now, and for nothing else.
        assert pull(home, ref).returncode == 0
        assert proxy.requests and not [path for path, _ in proxy.requests if "/blobs/" in path]


def test_a_tag_that_moved_is_followed_only_when_asked(home, plain):
    ref = f"{plain.host}/moving:1"
    for text in (b"first", b"second"):
        plain.push_layers([pulling.busybox_layer(), layer("text", text)], "moving:1")
        r = home.run("run", ref, "--", "/bin/busybox", "cat", "/text")
        assert r.stdout == "first", r.stderr
    r = home.run("run", "--pull", "always", ref, "--", "/bin/busybox", "cat", "/text")
    assert r.stdout == "second", r.stderr


@pytest.mark.parametrize("how", ["gzip", "zstd", "docker"])
def test_every_form_of_layers_and_manifests(home, plain, how):
    options = {"gzip": ["--format=oci"], "zstd": ["--format=oci", "--dest-compress-format=zstd", "--dest-compress"],
               "docker": ["--format=v2s2"]}[how]
    plain.push(BUSYBOX, f"form/{how}:1", *options)
    ref = f"{plain.host}/form/{how}:1"
    assert pull(home, ref).returncode == 0
    r = home.run("run", ref, "--", "echo", how)
    assert (r.returncode, r.stdout) == (0, how + "\n"), r.stderr


def write_index(folder, platforms):
    """An OCI layout whose tag is an index of images for these platforms."""
    manifests = []
    for platform in platforms:
        system, arch = platform.split("/")
        part = folder / arch
        trees.write_layout(part, [layer("arch", platform.encode())], architecture=arch)
        entry = json.loads((part / "index.json").read_text())["manifests"][0]
        manifests.append({**entry, "annotations": {}, "platform": {"os": system, "architecture": arch}})
        for blob in (part / "blobs/sha256").iterdir():
            (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
            blob.rename(folder / "blobs/sha256" / blob.name)
    index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                        "manifests": manifests}).encode()
    digest = fake_registry.digest(index)
    (folder / "blobs/sha256" / digest[7:]).write_bytes(index)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": len(index),
        "annotations": {"org.opencontainers.image.ref.name": trees.TAG}}]}))


def test_platforms_of_an_index(home, plain, tmp_path):
    write_index(tmp_path / "two", ["linux/amd64", "linux/arm64"])
    plain.push(f"oci:{tmp_path}/two:{trees.TAG}", "two:1", "--all")
    ref = f"{plain.host}/two:1"
    assert pull(home, ref).returncode == 0
    first = listed(home)[ref]
    assert first["platform"] == "linux/amd64"
    assert pull(home, "--platform", "linux/arm64", ref).returncode == 0
    assert listed(home)[ref]["platform"] == "linux/arm64"
    r = home.run("run", ref, "--", "/x")
    assert r.returncode == 125 and "arm64" in r.stderr and "amd64" in r.stderr, r.stderr
    check_sentence(pull(home, "--platform", "linux/s390x", ref), "linux/s390x", "linux/amd64", "linux/arm64")


# ---- whom we trust, and who we are ----------------------------------------------------------------

@pytest.fixture
def named(authority, plain):
    """The registry under a name that is not this machine's, over TLS: by a proxy that knows the name."""
    with FaultProxy(plain, authority.server("registry.test")) as front, \
            fake_registry.FakeProxy({"registry.test:443": front.port}) as proxy:
        yield {"HTTPS_PROXY": proxy.url, "https_proxy": proxy.url}, proxy


def test_a_proxy_and_an_authority_of_its_own(home, authority, named):
    env, proxy = named
    ref = "registry.test/busybox:1"
    check_sentence(pull(home, ref, env=env), "registry.test", "--ca-cert")
    assert listed(home) == {}
    assert proxy.asked
    r = pull(home, "--ca-cert", authority.ca, ref, env=env)
    assert r.returncode == 0, r.stderr
    pulling.write_config(home, {"registry.test": {"ca_file": str(authority.ca)}})
    r = pull(home, "-f", ref, env=env)
    assert r.returncode == 0, r.stderr


def test_insecure_only_when_asked(home, named):
    env, _ = named
    r = pull(home, "--insecure", "registry.test/busybox:1", env=env)
    assert r.returncode == 0, r.stderr


def write_helper(folder, script):
    path = folder / "docker-credential-test"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_a_credential_helper(home, secure, tmp_path):
    answer = json.dumps({"ServerURL": secure.host, "Username": registry.USER, "Secret": registry.PASSWORD})
    env = write_helper(tmp_path, f"echo \"$1 $(cat)\" >{tmp_path}/asked; cat <<'END'\n{answer}\nEND\n")
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").write_text(json.dumps({"credHelpers": {secure.host: "test"}}))
    env["DOCKER_CONFIG"] = str(tmp_path / "docker")
    r = pull(home, f"{secure.host}/busybox:1", env=env)
    assert r.returncode == 0, r.stderr
    assert (tmp_path / "asked").read_text() == f"get {secure.host}\n"


def test_login_list_and_logout(home, secure):
    env = registry.nowhere(home.path / "nobody")
    ref = f"{secure.host}/busybox:1"
    check_sentence(pull(home, ref), secure.host, f"msb registry login {secure.host}")
    login = ["registry", "login", secure.host, "-u", registry.USER, "--password-stdin"]
    r = home.run(*login, input="wrong", env=env)
    assert r.returncode == 1 and "wrong" not in r.stderr.replace("wrong password", ""), r.stderr
    check_sentence(pull(home, ref), secure.host)
    r = home.run(*login, input=registry.PASSWORD + "\n", env=env)
    assert r.returncode == 0, r.stderr
    assert (home.path / "auth.json").stat().st_mode & 0o777 == 0o600
    r = home.run("registry", "ls", "--format", "json", env=env)
    assert registry.PASSWORD not in r.stdout and LOGIN not in r.stdout
    assert [(x["host"], x["user"]) for x in json.loads(r.stdout)] == [(secure.host, registry.USER)]
    assert pull(home, ref).returncode == 0
    assert home.run("registry", "logout", secure.host, env=env).returncode == 0
    check_sentence(pull(home, "-f", ref), secure.host)


# ---- mirrors --------------------------------------------------------------------------------------

def test_a_mirror_is_asked_first_and_may_fail(home, plain):
    with FaultProxy(plain) as host, FaultProxy(plain) as mirror:
        pulling.write_config(home, {host.host: {"mirrors": [f"http://localhost:{mirror.port}"]}})
        ref = f"{host.host}/busybox:1"
        assert pull(home, ref).returncode == 0
        assert mirror.requests and not host.requests
        assert list(listed(home)) == [ref]
    with FaultProxy(plain) as host:
        pulling.write_config(home, {host.host: {"mirrors": [f"http://localhost:{mirror.port}"]}})
        assert pull(home, "-f", f"{host.host}/busybox:1").returncode == 0
        assert host.requests


# ---- many at once ---------------------------------------------------------------------------------

def test_eight_pulls_of_four_images_fetch_each_blob_once(home, plain):
    shared = [layer(f"s{i}", noise(i, MIB)) for i in range(3)]
    for i in range(4):
        plain.push_layers([*shared[:1 + i % 3], layer("own", noise(10 + i, MIB // 2))], f"many/{i}:1")
    with FaultProxy(plain) as proxy:
        refs = [f"{proxy.host}/many/{i}:1" for i in range(4)]
        env = registry.nowhere(home.path / "nobody")
        runs = [subprocess.Popen([home.msb, "pull", ref], env={**home.env, **env}, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) for ref in refs * 2]
        for run in runs:
            _, complaint = run.communicate(timeout=120)
            assert run.returncode == 0, complaint
        layers = {d for i in range(4) for d in pulling.layers_of(plain, f"many/{i}", "1")}
        assert len(layers) == 7
        for digest in layers:
            assert proxy.sent_of(digest) == plain.blob(digest).stat().st_size, digest
        assert sorted(listed(home)) == sorted(refs)


def test_several_references_in_one_call(home, plain):
    refs = [f"{plain.host}/busybox:1", f"{plain.host}/nothing:1"]
    r = pull(home, *refs)
    assert r.returncode == 1 and "nothing" in r.stderr, r.stderr
    assert list(listed(home)) == refs[:1]


# ---- pulls that end early -------------------------------------------------------------------------

@pytest.mark.parametrize("how, code", [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_ended_pull_is_continued(home, plain, how, code):
    """Layers above 64 MiB are kept; what came before the end is not asked for again."""
    size = 70 * MIB
    plain.push_layers([layer("big", noise(1, size))], "big:1")
    digest, = pulling.layers_of(plain, "big", "1")
    size = plain.blob(digest).stat().st_size
    released = threading.Event()
    with FaultProxy(plain) as proxy:
        proxy.fault(f"/blobs/{digest}", hold(66 * MIB, released))
        child = subprocess.Popen([home.msb, "pull", f"{proxy.host}/big:1"], stderr=subprocess.PIPE,
                                 env={**home.env, **registry.nowhere(home.path / "nobody")})
        try:
            assert proxy.reached.wait(60)
            assert eventually(lambda: pulling.partial_bytes(home) >= 60 * MIB)
            child.send_signal(how)
            assert child.wait(10) == code
        finally:
            released.set()
            child.kill()
            child.communicate()
        assert listed(home) == {}
        proxy.forget()
        r = pull(home, f"{proxy.host}/big:1")
        assert r.returncode == 0, r.stderr
        assert proxy.sent_of(digest) <= size - 60 * MIB
        assert not list((home.path / "images/partial").iterdir())
        assert not list((home.path / "images/tmp").iterdir())
