# SPDX-License-Identifier: Apache-2.0
"""Policies, progress and logins: `msb pull`, `msb run --pull`, `msb registry`, and the library below."""
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import threading

import pexpect
import pytest

from conftest import BOOT_S, eventually
from fault_proxy import FaultProxy, hold
from library import END, PROGRESS, Call, CallError, Library
from registry import PASSWORD, USER, Registry, nowhere
from pulling import BUSYBOX, layer, layers_of, noise

INVALID, NOT_FOUND, NO_IMAGE, AUTH, UNREACHABLE, CANCELLED = 200, 300, 302, 501, 808, 1100


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with Registry(tmp_path_factory.mktemp("registry")) as r:
        r.push(BUSYBOX, "bb:1")
        r.push_layers([layer("data", noise(1, 4 << 20))], "big:1")
        yield r


@pytest.fixture
def home(home, tmp_path):
    before, home.env = home.env, {**home.env, **nowhere(tmp_path)}
    yield home
    home.run("image", "prune", "-y")
    home.env = before


@pytest.fixture
def down():
    """A port of this machine where nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield f"localhost:{s.getsockname()[1]}"


def forget(home, ref):
    home.run("image", "rm", "-q", ref)


def ok(r):
    assert r.returncode == 0, r.stderr
    return r


def references(home):
    return [i["reference"] for i in json.loads(ok(home.run("image", "ls", "--format", "json")).stdout)]


def test_run_pulls_what_is_missing_once(home, registry):
    ref = f"{registry.host}/bb:1"
    forget(home, ref)
    r = home.run("run", "--pull", "never", ref, "--", "true")
    assert r.returncode == 125
    assert r.stderr == f"error: image '{ref}' is not here\n  → pull it first: msb pull {ref}\n"
    r = ok(home.run("run", ref, "--", "echo", "here"))
    assert r.stdout == "here\n" and f"✓ Pulled       {ref}" in r.stderr
    r = ok(home.run("run", ref, "--", "echo", "here"))
    assert (r.stdout, r.stderr) == ("here\n", "")
    r = ok(home.run("run", "--pull", "always", ref, "--", "echo", "here"))
    assert (r.stdout, r.stderr) == ("here\n", "")


def test_without_its_registry(home, registry):
    with FaultProxy(registry) as proxy:
        ref = f"{proxy.host}/bb:1"
        ok(home.run("pull", "-q", ref))
    ok(home.run("run", ref, "--", "true"))
    r = home.run("run", "--pull", "always", ref, "--", "true")
    assert r.returncode == 125 and "cannot reach localhost" in r.stderr
    assert f"  → an older one is here: msb run --pull missing {ref}\n" in r.stderr
    library, by_digest = Library(), references(home)
    m = library.open(home)
    digest = json.loads(library.text("image_pull", m, ref.encode(), None, None))["digest"]
    with pytest.raises(CallError) as e:
        library("image_pull", m, ref.encode(), b'{"pull":"always"}', None, None)
    assert (e.value.code, e.value.reason) == (UNREACHABLE, "registry-unreachable")
    # What a digest names does not change: nobody is asked.
    pinned = f"{proxy.host}/bb@{digest}"
    library("image_pull", m, pinned.encode(), b'{"pull":"always"}', None, None)
    library.lib.msb_close(m)
    assert by_digest == references(home)
    forget(home, ref)


def test_always_takes_what_the_registry_has_now(home, registry):
    registry.push(BUSYBOX, "moving:1")
    ref = f"{registry.host}/moving:1"
    r = ok(home.run("pull", ref))
    assert f"✓ Pulled       {ref}\n" in r.stderr and r.stdout == ""
    assert ok(home.run("pull", ref)).stderr == f"   ✓ Up to date   {ref}\n"
    registry.push_layers([b"\0" * 10240], "moving:1")
    ok(home.run("pull", "--platform", "linux/amd64", ref))
    assert len(references(home)) == len(set(references(home)))
    forget(home, ref)


def test_one_image_by_all_its_names(home):
    """The demo image stands for docker.io/library/busybox:latest without any registry."""
    ok(home.run("run", "busybox", "--", "true"))
    library = Library()
    m = library.open(home)
    names = ["busybox", "busybox:latest", "library/busybox", "docker.io/busybox", "index.docker.io/library/busybox",
             "docker.io/library/busybox:latest", "registry-1.docker.io/library/busybox:latest"]
    found = [json.loads(library.text("image_pull", m, n.encode(), None, None)) for n in names]
    assert {f["reference"] for f in found} == {"docker.io/library/busybox:latest"}
    assert len({f["digest"] for f in found}) == 1
    library.lib.msb_close(m)
    for name in names:
        assert ok(home.run("run", "--pull", "never", name, "--", "echo", "x")).stdout == "x\n"
    assert references(home).count("docker.io/library/busybox:latest") == 1
    ok(home.run("image", "rm", "docker.io/library/busybox"))
    assert "docker.io/library/busybox:latest" not in references(home)


def test_a_pull_tells_all_its_states(home, registry):
    library, ref = Library(), f"{registry.host}/big:1"
    forget(home, ref)
    m = library.open(home)
    progress = library.new("progress")
    library("image_pull", m, ref.encode(), None, ctypes.byref(Call(progress=progress)), None)
    *events, end = list(library.events(progress))
    states = [e["type"] for _, _, e in events if not e["type"].endswith("_progress")]
    assert states == ["resolving", "resolved", "layer_download_complete", "layer_materialize_complete",
                      "stitch_writing", "stitch_complete", "complete"]
    assert end[:2] == (END, 0) and all(e["reference"] == ref for _, _, e in events)
    cached = library.new("progress")
    library("image_pull", m, ref.encode(), None, ctypes.byref(Call(progress=cached)), None)
    assert [e["type"] for kind, _, e in library.events(cached) if kind == PROGRESS] == [
        "resolving", "resolved", "complete"]
    for s in progress, cached:
        library.lib.msb_stream_close(s)
    library.lib.msb_close(m)
    forget(home, ref)


def test_parallel_pulls_fetch_once(home, registry):
    with FaultProxy(registry) as proxy:
        ref = f"{proxy.host}/big:1"
        runs = [home.start("pull", "-q", ref, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                for _ in range(4)]
        errors = [r.communicate(timeout=BOOT_S)[1] for r in runs]
        assert [r.returncode for r in runs] == [0] * 4, errors
        sent = proxy.sent_of(layers_of(registry, "big", "1")[0])
    assert 4 << 20 <= sent < 5 << 20
    forget(home, ref)


def test_several_and_some_fail(home, registry):
    good, bad = f"{registry.host}/bb:1", f"{registry.host}/none:1"
    forget(home, good)
    r = home.run("pull", good, bad, "UPPER")
    assert r.returncode == 1 and f"✓ Pulled       {good}" in r.stderr
    assert f"error: cannot pull '{bad}': " in r.stderr and "lower case" in r.stderr
    forget(home, good)


def test_progress_as_lines(home, registry):
    ref = f"{registry.host}/bb:1"
    forget(home, ref)
    r = ok(home.run("pull", "--progress", "json", ref, f"{registry.host}/bb:1"))
    lines = [json.loads(line) for line in r.stdout.splitlines()]
    assert {"resolving", "resolved", "complete"} <= {e["type"] for e in lines} and r.stderr == ""
    r = home.run("pull", "--progress", "json", f"{registry.host}/none:1")
    last = json.loads(r.stdout.splitlines()[-1])
    assert r.returncode == 1 and (last["type"], last["detail"]) == ("error", "image-not-found")
    forget(home, ref)
    r = ok(home.run("pull", "--progress", "plain", ref))
    assert f"{ref}: layer 1/1: download complete " in r.stderr and "\033" not in r.stderr
    forget(home, ref)
    r = ok(home.run("pull", "--progress", "none", ref))
    assert (r.stdout, r.stderr) == ("", "")
    assert home.run("pull", "--progress", "bars", ref).returncode == 2


@pytest.fixture
def held(registry):
    """A registry that sends half of the layer of big:1, then waits: (proxy, go on)."""
    go_on = threading.Event()
    with FaultProxy(registry) as proxy:
        proxy.fault("/blobs/" + layers_of(registry, "big", "1")[0], hold(2 << 20, go_on))
        yield proxy, go_on
        go_on.set()


@pytest.mark.parametrize("env, bar", [({"LC_ALL": "C.UTF-8"}, "━"), ({"LC_ALL": "C"}, "#")])
def test_bars_on_a_terminal(home, held, env, bar):
    proxy, go_on = held
    ref = f"{proxy.host}/big:1"
    child = pexpect.spawn(home.msb, ["pull", ref], env={**home.env, "TERM": "xterm", "NO_COLOR": "1", **env},
                          dimensions=(10, 90), timeout=BOOT_S, encoding="utf-8")
    child.expect(re.escape(ref) + r" 0/1 layers +\d+%  \S+( MiB)?/4\.0 MiB")
    child.expect("  layer 1   " + bar)
    child.setwinsize(10, 40)
    child.expect(r"\r\033\[\d+A\033\[J" + re.escape(ref))
    child.expect("  layer 1   [0-9]")
    go_on.set()
    child.expect("Pulled       " + re.escape(ref))
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    forget(home, ref)


def test_run_shows_the_same_bars(home, held):
    proxy, go_on = held
    ref = f"{proxy.host}/big:1"
    child = pexpect.spawn(home.msb, ["run", ref, "--", "true"], env={**home.env, "TERM": "xterm"},
                          dimensions=(10, 90), timeout=BOOT_S, encoding="utf-8")
    child.expect("0/1 layers")
    child.expect("  layer 1   \033\\[36m━")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130 and ref not in references(home)


def test_an_interrupt_ends_at_once_and_the_rest_comes_later(home, registry, held):
    proxy, go_on = held
    ref = f"{proxy.host}/big:1"
    child = home.start("pull", "--progress", "json", ref, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True)
    for line in child.stdout:
        if json.loads(line)["type"] == "layer_download_progress":
            break
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=BOOT_S)
    assert child.returncode == 130, (out, err)
    assert ref not in references(home)
    go_on.set()
    ok(home.run("pull", ref))
    forget(home, ref)


def test_a_cancelled_call_ends(home, held):
    proxy, go_on = held
    library, ref = Library(), f"{proxy.host}/big:1"
    m = library.open(home)
    progress, cancel = library.new("progress"), library.new("cancel")

    def watch():
        for kind, _, event in Library().events(progress):
            if kind == PROGRESS and event["type"] == "layer_download_progress":
                library.lib.msb_cancel_fire(cancel)
    watcher = threading.Thread(target=watch)
    watcher.start()
    with pytest.raises(CallError) as e:
        library("image_pull", m, ref.encode(), None, ctypes.byref(Call(cancel=cancel, progress=progress)), None)
    assert e.value.code == CANCELLED
    watcher.join()
    with pytest.raises(CallError) as e:
        library("image_pull", m, ref.encode(), None, ctypes.byref(Call(timeout_ms=1)), None)
    assert e.value.code == 700
    library.lib.msb_stream_close(progress)
    library.lib.msb_cancel_free(cancel)
    library.lib.msb_close(m)


@pytest.mark.parametrize("options, says", [
    (b'{"pul":"never"}', "did you mean 'pull'?"), (b'{"pull":"nver"}', "did you mean 'never'?"),
    (b'{"auth":{"username":"u"}}', "needs both"), (b'{"ca_certs":["/nonexistent"],"pull":"always"}', "/nonexistent"),
    (b'{"platform":"linux"}', "linux"), (b'[]', "must be an object")])
def test_options_are_strict(home, down, options, says):
    library = Library()
    m = library.open(home)
    with pytest.raises(CallError) as e:
        library("image_pull", m, f"{down}/x".encode(), options, None, None)
    assert says in str(e.value)
    library.lib.msb_close(m)


def test_a_broken_config_is_told_by_those_who_need_it(home, registry):
    ref = f"{registry.host}/bb:1"
    (home.path / "config.json").write_text('{"registries":{"ghcr.io":{"insecuer":true}}}')
    for command in ["pull", ref], ["run", ref, "--", "true"]:
        r = home.run(*command)
        assert f"error: {home.path}/config.json: registries.ghcr.io.insecuer: unknown key, did you mean 'insecure'?" in r.stderr
    ok(home.run("image", "ls"))
    (home.path / "config.json").unlink()


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    with Registry(tmp_path_factory.mktemp("private"), login=True) as r:
        r.push(BUSYBOX, "bb:1")
        yield r


def test_login_checks_before_it_stores(home, private):
    ref, host = f"{private.host}/bb:1", private.host
    r = home.run("pull", ref)
    assert r.returncode == 1 and f"msb registry login {host}" in r.stderr
    r = home.run("registry", "login", host, "-u", USER, "--password-stdin", input="wrong\n")
    assert r.returncode == 1 and "refused" in r.stderr and "wrong" not in r.stderr
    assert not (home.path / "auth.json").exists()
    r = ok(home.run("registry", "login", f"https://{host}/v2/", "-u", USER, "--password-stdin", input=PASSWORD + "\n"))
    assert (home.path / "auth.json").stat().st_mode & 0o777 == 0o600
    assert json.loads(ok(home.run("registry", "ls", "--format", "json")).stdout) == [
        {"host": host, "user": USER, "source": "auth.json"}]
    assert ok(home.run("registry", "ls")).stdout.splitlines()[1].split() == [host, USER, "auth.json"]
    ok(home.run("pull", ref))
    ok(home.run("registry", "logout", host))
    assert ok(home.run("registry", "ls", "-q")).stdout == ""
    r = home.run("registry", "logout", host)
    assert r.returncode == 1 and f"there is no login for '{host}'" in r.stderr
    forget(home, ref)


def test_a_login_is_typed_unseen(home, private):
    child = pexpect.spawn(home.msb, ["registry", "login", private.host], env={**home.env, "TERM": "xterm"},
                          timeout=BOOT_S, encoding="utf-8")
    child.expect(f"User of {private.host}: ")
    child.sendline(USER)
    child.expect(f"Password or token of {USER}: ")
    child.sendline(PASSWORD)
    child.expect(f"Logged in    {private.host}")
    child.expect(pexpect.EOF)
    assert PASSWORD not in child.before
    child.close()
    assert child.exitstatus == 0
    ok(home.run("registry", "logout", private.host))
    child = pexpect.spawn(home.msb, ["registry", "login", private.host, "-u", USER],
                          env={**home.env, "TERM": "xterm"}, timeout=BOOT_S, encoding="utf-8")
    child.expect("Password or token")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


def test_credentials_of_one_call_are_not_stored(home, private):
    library = Library()
    m = library.open(home)
    spec = {"image": f"{private.host}/bb:1", "name": "with-auth",
            "registry": {"auth": {"username": USER, "password": PASSWORD}}}
    assert "password" not in library.text("spec_check", m, json.dumps(spec).encode())
    sb = library.make("sandbox_create", m, json.dumps(spec).encode(), 0, None)
    library("sandbox_stop", sb, 1, ctypes.c_int64(0), None, None)
    library.lib.msb_sandbox_close(sb)
    spec["registry"]["auth"]["password"] = "wrong"
    spec.update(name="again", image=f"{private.host}/bb:2")
    with pytest.raises(CallError) as e:
        library.make("sandbox_create", m, json.dumps(spec).encode(), 0, None)
    assert e.value.code == AUTH and "wrong" not in str(e.value)
    library.lib.msb_close(m)
    stored = b"".join(p.read_bytes() for p in home.path.glob("*") if p.is_file())
    assert PASSWORD.encode() not in stored
    library = Library()
    m = library.open(home)
    library("remove", m, 1, b"with-auth", 0, None)
    library.lib.msb_close(m)


@pytest.mark.parametrize("args, says", [
    (["registry", "login"], "no registry given"), (["registry", "login", "ghcr", "-u", "x", "--password-stdin"], "is no registry"),
    (["registry", "login", "ghcr.io"], "--user is missing"), (["registry", "logout", "a.b", "c.d"], "unexpected argument"),
    (["registry", "login", "ghcr.io", "-u", "x"], "--password-stdin"), (["pull"], "no image given")])
def test_usage(home, args, says):
    r = home.run(*args, input="secret\n") if "--password-stdin" in args else home.run(*args)
    assert r.returncode == 2 and says in r.stderr
