# SPDX-License-Identifier: Apache-2.0
"""msb pull when something is wrong: with the network, the registry, what it sends, or the disk."""
import base64
import json
import random
import re
import socket
import subprocess

import pytest

import pulling
import registry
from conftest import Home
from fault_proxy import FaultProxy, cut, flip, replace, say
from pulling import BUSYBOX, MIB, check_sentence, layer, left, listed, noise, pull

CUTS = 20
FLIPS = 12


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with registry.Registry(tmp_path_factory.mktemp("registry")) as r:
        r.push_layers([layer("one", noise(1, MIB // 2)), layer("two", b"two")], "small:1")
        r.push_layers([layer(f"n{i}", noise(i, 100_000)) for i in range(CUTS)], "cuts:1")
        yield r


@pytest.fixture
def proxy(plain):
    with FaultProxy(plain) as p:
        yield p


@pytest.fixture
def home(tmp_path):
    """An empty home for each test."""
    return Home(tmp_path / "home")


def check_nothing_is_left(home):
    assert listed(home) == {}
    assert not list((home.path / "images/tmp").iterdir())
    assert not [p for p in left(home) if p.startswith("merged")]


def test_a_pull_that_is_cut_everywhere_goes_on(home, plain, proxy):
    """Each of twenty layers is cut once, at a random byte; no byte is sent twice."""
    rng = random.Random("cuts")
    sizes = {d: plain.blob(d).stat().st_size for d in pulling.layers_of(plain, "cuts", "1")}
    assert len(sizes) == CUTS
    for digest, size in sizes.items():
        proxy.fault(f"/blobs/{digest}", cut(rng.randrange(size)))
    r = pull(home, f"{proxy.host}/cuts:1")
    assert r.returncode == 0, r.stderr
    assert proxy.faults == []
    assert {d: proxy.sent_of(d) for d in sizes} == sizes


def test_a_manifest_that_is_cut_is_asked_for_again(home, proxy):
    proxy.fault("/manifests/", cut(100))
    assert pull(home, f"{proxy.host}/small:1").returncode == 0


def test_a_flipped_byte_anywhere_is_refused(home, plain, proxy):
    rng = random.Random("flips")
    digest = pulling.layers_of(plain, "small", "1")[0]
    size = plain.blob(digest).stat().st_size
    for at in [0, size - 1, *(rng.randrange(size) for _ in range(FLIPS - 2))]:
        proxy.fault(f"/blobs/{digest}", flip(at))
        r = pull(home, f"{proxy.host}/small:1")
        check_sentence(r, digest)
        assert re.search(r"layer 1 of 2", r.stderr), r.stderr
        check_nothing_is_left(home)
    assert pull(home, f"{proxy.host}/small:1").returncode == 0


def test_a_flipped_byte_of_a_document_is_refused(home, plain, proxy):
    manifest, digest = pulling.manifest_of(plain, "small", "1")
    proxy.fault("/manifests/", flip(len(manifest) // 2))
    check_sentence(pull(home, f"{proxy.host}/small@{digest}"), digest)
    config = json.loads(manifest)["config"]["digest"]
    proxy.fault(f"/blobs/{config}", flip(10))
    check_sentence(pull(home, f"{proxy.host}/small:1"), config)
    check_nothing_is_left(home)


def test_a_layer_of_another_size_is_refused(home, plain, proxy):
    digest = pulling.layers_of(plain, "small", "1")[0]
    data = plain.blob(digest).read_bytes()
    proxy.fault(f"/blobs/{digest}", replace(data + b"!"))
    check_sentence(pull(home, f"{proxy.host}/small:1"), str(len(data)))
    check_nothing_is_left(home)


def test_a_mirror_that_lies_is_not_asked_again(home, plain, proxy):
    digest = pulling.layers_of(plain, "small", "1")[0]
    with FaultProxy(plain) as host:
        pulling.write_config(home, {host.host: {"mirrors": [f"http://localhost:{proxy.port}"]}})
        proxy.fault(f"/blobs/{digest}", flip(1000))
        r = pull(home, f"{host.host}/small:1")
        assert r.returncode == 0, r.stderr
        assert host.sent_of(digest) == plain.blob(digest).stat().st_size


def test_a_busy_registry_is_waited_for(home, plain, proxy):
    digest = pulling.layers_of(plain, "small", "1")[0]
    proxy.fault("/manifests/", say(429, Retry_After="1"))
    proxy.fault(f"/blobs/{digest}", say(503), say(500))
    r = pull(home, f"{proxy.host}/small:1")
    assert r.returncode == 0, r.stderr
    codes = [status for path, status in proxy.requests if path.endswith(digest)]
    assert codes == [503, 500, 200]
    assert [status for path, status in proxy.requests if "/manifests/1" in path] == [429, 200]


def test_an_unknown_tag(home, proxy):
    check_sentence(pull(home, f"{proxy.host}/small:2"), f"{proxy.host}/small:2")
    check_nothing_is_left(home)


def test_an_unknown_repository(home, proxy):
    check_sentence(pull(home, f"{proxy.host}/smal:1"), f"{proxy.host}/smal:1")


def test_a_platform_that_the_image_does_not_have(home, proxy):
    check_sentence(pull(home, "--platform", "linux/arm64", f"{proxy.host}/small:1"), "linux/arm64", "linux/amd64")
    check_nothing_is_left(home)


def test_a_wrong_password(home, tmp_path):
    with registry.Registry(tmp_path / "registry", login=True) as r:
        r.push(BUSYBOX, "busybox:1")
        (tmp_path / "docker").mkdir()
        auth = base64.b64encode(f"{registry.USER}:not it".encode()).decode()
        (tmp_path / "docker/config.json").write_text(json.dumps({"auths": {r.host: {"auth": auth}}}))
        result = pull(home, f"{r.host}/busybox:1", env={"DOCKER_CONFIG": str(tmp_path / "docker")})
        check_sentence(result, r.host, str(tmp_path / "docker/config.json"))
        assert "not it" not in result.stderr and auth not in result.stderr
    check_nothing_is_left(home)


def test_no_registry_there(home):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))  # nobody listens
        host = f"localhost:{s.getsockname()[1]}"
        check_sentence(pull(home, f"{host}/a:1"), host)


def test_a_name_that_is_nowhere(home):
    check_sentence(pull(home, "no-such-host.invalid/a:1"), "no-such-host.invalid")


def can_unshare(*flags):
    return subprocess.run(["unshare", *flags, "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_unshare("-rn"), reason="no user namespaces here")
def test_no_network_at_all(home):
    env = {**home.env, **registry.nowhere(home.path / "nobody")}
    r = subprocess.run(["unshare", "-rn", home.msb, "pull", "debian:12"], env=env, capture_output=True, text=True,
                       timeout=60)
    check_sentence(r, "debian:12", "no network")


# ---- a full disk ----------------------------------------------------------------------------------

def pull_on(home, size_mib, *args):
    """Pull into a home on a file system of this size, above the reserve of 1 GiB; what is left there."""
    script = ('mount -t tmpfs -o "size=$SIZE,mode=700" none "$MSB_HOME" || exit 99; "$MSB" pull --progress none "$@"; code=$?; '
              '"$MSB" image ls -q; find "$MSB_HOME/images" -type f; df -k --output=used "$MSB_HOME"; exit $code')
    home.path.mkdir(exist_ok=True)
    env = {**home.env, **registry.nowhere(home.path / "nobody"), "SIZE": f"{1024 + size_mib}m"}
    return subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", *args], env=env, capture_output=True, text=True,
                          timeout=120)


# Known before the download, by the size of the layers; and found on the way, as no size gives it away.
FULL = {"known": noise(7, 24 * MIB), "found": b"easily compressed, but no zeros" * (MIB * 24 // 31)}


@pytest.mark.skipif(not can_unshare("-rm"), reason="no user namespaces here")
@pytest.mark.parametrize("how", FULL)
def test_a_full_disk(home, plain, proxy, how):
    plain.push_layers([layer("a", FULL[how])], f"full-{how}:1")
    r = pull_on(home, 12, f"{proxy.host}/full-{how}:1")
    check_sentence(r, "not enough space", "MiB free", "msb image prune")
    blob = pulling.layers_of(plain, f"full-{how}", "1")[0]
    assert bool(proxy.sent_of(blob)) == (how == "found")
    *files, _, used = r.stdout.splitlines()
    assert not [f for f in files if "/images/tmp/" in f or "/layers/" in f or "/merged/" in f], files
    assert int(used) < 1024
    assert pull_on(home, 200, f"{proxy.host}/full-{how}:1").returncode == 0
