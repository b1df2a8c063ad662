# SPDX-License-Identifier: Apache-2.0
"""The registry client (src/registry) against a registry that fails on demand: tests/tools/registry_get."""
import base64
import json
import os
import pathlib
import random
import signal
import subprocess

import pytest

from fake_registry import (Authority, Basic, Bearer, FakeProxy, FakeRegistry, before, digest,
                           drop_after, drop_at_once, hang_after, ignore_range, more_bytes, raw,
                           short_body, status)

GET = pathlib.Path(os.environ["MSB"]).parent / "tests/registry_get"
BLOB = random.Random(1).randbytes(3_000_000)
MANIFEST = b'{"schemaVersion": 2}'
WAIT_S = 60  # nothing here is timed: a run that takes longer hangs


def get(*args, env=None):
    clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return subprocess.run([GET, *map(str, args)], capture_output=True, timeout=WAIT_S,
                          env={**clean, **(env or {})})


def said(run):
    return run.stderr.decode()


def failed(run, reason, *words):
    """It failed for this reason, and its sentence has these words."""
    text = said(run)
    assert run.returncode == 1, text
    line = text[text.index("error "):]
    assert line.startswith((f"error {reason} ", f"error {reason}:")), text
    for word in words:
        assert word in line, text
    return text


@pytest.fixture()
def registry():
    with FakeRegistry() as r:
        r.blob = r.add_blob(BLOB)
        r.add_manifest("team/app", "1", MANIFEST)
        yield r


def get_blob(registry, *options, start=(), env=None):
    return get(*options, registry.host, "team/app", "blob", registry.blob, len(BLOB), *start, env=env)


def get_manifest(registry, *options, reference="1", env=None):
    return get(*options, registry.host, "team/app", "manifest", reference, env=env)


# ---- documents and blobs


def test_manifest_and_blob(registry):
    run = get_manifest(registry)
    assert run.stdout == MANIFEST
    assert "type application/vnd.oci.image.manifest.v1+json\n" in said(run)
    assert f"source {registry.host}\n" in said(run)
    assert get_manifest(registry, reference=digest(MANIFEST)).stdout == MANIFEST
    assert get_blob(registry).stdout == BLOB
    accept = registry.asked("/manifests/1")[0]["Accept"]
    for media_type in ("oci.image.index.v1+json", "docker.distribution.manifest.list.v2+json"):
        assert media_type in accept


def test_blob_from_the_middle(registry):
    run = get_blob(registry, start=[1_000_000])
    assert run.stdout == BLOB[1_000_000:]
    assert registry.asked("/blobs/")[0]["Range"] == "bytes=1000000-"


def test_content_type_without_parameters(registry):
    registry.add_manifest("team/app", "1", MANIFEST, "application/json; charset=utf-8")
    assert "type application/json\n" in said(get_manifest(registry))


def test_unknown_tag(registry):
    failed(get_manifest(registry, reference="none"), "image-not-found 302", registry.host,
           "'none' not found", "no such thing")


def test_large_manifest(registry):
    registry.add_manifest("team/app", "big", b"x" * 4097)
    failed(get_manifest(registry, reference="big"), "limit-exceeded 901", "4096 bytes")
    assert len(registry.asked("/manifests/big")) == 1


# ---- resume and retry


def test_resume_where_it_broke(registry):
    registry.fault("/blobs/", drop_after(1_000_000), drop_after(500_000))
    run = get_blob(registry)
    assert run.stdout == BLOB
    ranges = [h.get("Range") for h in registry.asked("/blobs/")]
    assert ranges[0] is None and len(ranges) == 3
    assert all(0 < int(r[len("bytes="):-1]) <= 1_500_000 for r in ranges[1:])
    assert said(run).count("retry ") == 2


def test_resume_at_any_byte(registry):
    cuts = random.Random(2).sample(range(len(BLOB)), 4)
    for cut in cuts:
        registry.fault("/blobs/", drop_after(cut))
        assert get_blob(registry).stdout == BLOB, cut


def test_resume_with_200_for_a_range(registry):
    registry.fault("/blobs/", drop_after(1_000_000), ignore_range)
    assert get_blob(registry).stdout == BLOB


def test_faults_at_random(registry):
    """Whatever comes in whatever order: all the bytes, or an error, and never others."""
    dice = random.Random(3)
    kinds = [lambda: drop_after(dice.randrange(1_500_000)), lambda: short_body(dice.randrange(1, 1000)),
             lambda: ignore_range, lambda: drop_at_once, lambda: status(503),
             lambda: status(429, Retry_After="0"), lambda: more_bytes]
    for _ in range(25):
        registry.fault("/blobs/", *[dice.choice(kinds)() for _ in range(dice.randrange(1, 6))])
        run = get_blob(registry)
        assert BLOB.startswith(run.stdout) and (run.returncode or run.stdout == BLOB), said(run)
        registry.faults.clear()


def test_progress_starts_the_count_anew(registry):
    registry.add_blob(BLOB)
    registry.fault("/blobs/", drop_after(1_200_000), *[drop_at_once] * 3, drop_after(1_200_000),
                   *[drop_at_once] * 3)
    assert get_blob(registry).stdout == BLOB


def test_gives_up_without_progress(registry):
    registry.fault("/blobs/", *[drop_after(10)] * 5)
    failed(get_blob(registry), "registry-unreachable 808", registry.host, "broke")
    assert len(registry.asked("/blobs/")) == 5
    assert not registry.faults


def test_short_body_goes_on(registry):
    registry.fault("/blobs/", short_body(1000))
    assert get_blob(registry).stdout == BLOB


def test_more_bytes_than_promised(registry):
    registry.fault("/blobs/", more_bytes)
    run = get_blob(registry)
    failed(run, "registry-protocol 900", registry.blob)
    assert len(run.stdout) <= len(BLOB)
    assert len(registry.asked("/blobs/")) == 1


def test_another_length(registry):
    failed(get(registry.host, "team/app", "blob", registry.blob, len(BLOB) + 1),
           "registry-protocol 900", "another length")
    failed(get(registry.host, "team/app", "blob", registry.blob, len(BLOB) - 1),
           "registry-protocol 900", "another length")


def test_silence(registry):
    registry.fault("/blobs/", hang_after(1_000_000))
    run = get_blob(registry, "--time", "stall=300")
    assert run.stdout == BLOB
    assert "sends nothing" in said(run)


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_busy_server(registry, code):
    registry.fault("/manifests/", status(code), status(code))
    assert get_manifest(registry).stdout == MANIFEST
    assert len(registry.asked("/manifests/")) == 3


@pytest.mark.parametrize("code", [400, 405, 410, 501])
def test_final_status(registry, code):
    registry.fault("/manifests/", status(code, "go away"))
    failed(get_manifest(registry), "registry-protocol 900", str(code), "go away")
    assert len(registry.asked("/manifests/")) == 1


def test_retry_after(registry):
    registry.fault("/blobs/", status(429, Retry_After="1"))
    run = get_blob(registry)
    assert run.stdout == BLOB
    assert 1000 <= int(said(run).split("retry ")[1].split()[0]) < 1100


def test_retry_after_too_long(registry):
    registry.fault("/blobs/", status(429, "slow down", Retry_After="301"))
    failed(get_blob(registry), "registry-unreachable 808", "too many requests: slow down")
    assert len(registry.asked("/blobs/")) == 1


def test_nobody_there():
    with FakeRegistry() as r:
        host = r.host
    failed(get(host, "a/b", "manifest", "1"), "registry-unreachable 808", host, "refused")
    run = get(host, "a/b", "blob", "sha256:" + "0" * 64, "1")
    assert failed(run, "registry-unreachable 808", "refused").count("retry ") == 1


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                                    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000 + b"\r\n"],
                         ids=["ssh", "length", "endless"])
def test_no_http(registry, answer):
    registry.fault("/manifests/", *[raw(answer)] * 5)
    run = get_manifest(registry)
    assert run.returncode == 1 and b"error registry-" in run.stderr


def test_server_text_is_made_printable(registry):
    registry.fault("/manifests/", status(400, "\x1b[31mred\nline"))
    assert "?[31mred?line" in failed(get_manifest(registry), "registry-protocol 900")


def test_cancel(registry):
    registry.fault("/blobs/", hang_after(100))
    run = subprocess.Popen([GET, registry.host, "team/app", "blob", registry.blob, str(len(BLOB))],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert registry.hanging.wait(WAIT_S)
    run.send_signal(signal.SIGUSR1)
    out, err = run.communicate(timeout=20)  # less than the 30 s of silence that end it otherwise
    assert BLOB[:100].startswith(out) and b"error cancelled " in err


def test_cancel_in_a_pause(registry):
    registry.fault("/blobs/", status(503, Retry_After="250"))
    run = subprocess.Popen([GET, registry.host, "team/app", "blob", registry.blob, str(len(BLOB))],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stderr.readline().startswith(b"retry ")
    run.send_signal(signal.SIGUSR1)
    assert run.communicate(timeout=WAIT_S)[1].endswith(b"error cancelled 0 : cancelled\n")


# ---- who asks


def test_basic(registry):
    registry.auth = Basic("ann", "s3cret:x")
    run = get_manifest(registry, "--user", "ann", "--secret", "s3cret:x")
    assert run.stdout == MANIFEST
    text = failed(get_manifest(registry, "--user", "ann", "--secret", "wr0ng"), "registry-auth 501 auth",
                  registry.host, "ann")
    assert "wr0ng" not in text
    failed(get_manifest(registry), "registry-auth 501 auth", "manifest '1'", "msb registry login")


def test_no_challenge_no_credentials(registry):
    assert get_manifest(registry, "--user", "ann", "--secret", "s3cret").stdout == MANIFEST
    assert all("Authorization" not in h for h in registry.asked("/"))


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_bearer_for_anybody(registry, key):
    registry.auth = Bearer(registry.url + "/token", key=key)
    assert get_manifest(registry).stdout == MANIFEST
    path = registry.requests[1][1]
    assert "service=fake%20service" in path and "scope=repository%3Ateam%2Fapp%3Apull" in path


def test_bearer_with_login(registry):
    registry.auth = Bearer(registry.url + "/token?x=y", "ann", "s3cret", expires_in=None)
    assert get_blob(registry, "--user", "ann", "--secret", "s3cret").stdout == BLOB
    assert "/token?x=y&service=" in registry.requests[1][1]
    text = failed(get_blob(registry, "--user", "ann", "--secret", "wr0ng"), "registry-auth 501 auth")
    assert "wr0ng" not in text
    failed(get_blob(registry), "registry-auth 501 auth", "msb registry login")


def test_identity_token(registry, tmp_path):
    registry.auth = Bearer(registry.url + "/token", refresh="refresh+me", key="access_token")
    write_config(tmp_path, {registry.host: {"auth": b64("<token>:"), "identitytoken": "refresh+me"}})
    assert get_manifest(registry, "--docker", tmp_path).stdout == MANIFEST
    method, path, headers, form = registry.requests[1]
    assert (method, path) == ("POST", "/token") and "Authorization" not in headers
    assert "grant_type=refresh_token" in form and "refresh_token=refresh%2Bme" in form
    assert "scope=repository%3Ateam%2Fapp%3Apull" in form


def test_registry_token(registry, tmp_path):
    registry.auth = Bearer(registry.url + "/token", "nobody", "x")
    registry.auth.valid = {"Bearer as-it-is"}
    write_config(tmp_path, {registry.host: {"registrytoken": "as-it-is"}})
    assert get_manifest(registry, "--docker", tmp_path).stdout == MANIFEST
    registry.auth.revoke()
    text = failed(get_manifest(registry, "--docker", tmp_path), "registry-auth 501")
    assert "as-it-is" not in text


def test_connection_is_kept(registry):
    registry.auth = Bearer(registry.url + "/token")
    assert get_manifest(registry).stdout == MANIFEST
    assert len(registry.requests) == 3
    assert registry.http.connections == 2  # the first one was an attempt at TLS


def test_token_ends_in_mid_layer(registry):
    registry.auth = Bearer(registry.url + "/token")
    registry.fault("/blobs/", before(registry.auth.revoke, drop_after(1_000_000)))
    assert get_blob(registry).stdout == BLOB
    assert registry.auth.given == 2


def test_token_that_has_ended_is_not_sent(registry):
    registry.auth = Bearer(registry.url + "/token", expires_in=0)
    registry.fault("/blobs/", drop_after(1_000_000))
    assert get_blob(registry).stdout == BLOB
    assert registry.auth.given == 3  # after the challenge, and before each request
    assert sum("Authorization" not in h for h in registry.asked("/blobs/")) == 1


def test_token_that_is_never_good(registry):
    registry.auth = Bearer(registry.url + "/token")
    registry.auth.allows = lambda *_: False
    failed(get_manifest(registry), "registry-auth 501")
    assert registry.auth.given == 1


def test_token_server_in_trouble(registry):
    registry.auth = Bearer(registry.url + "/token")
    registry.fault("/token", status(503), drop_at_once)
    assert get_manifest(registry).stdout == MANIFEST


@pytest.mark.parametrize("answer", [b"{}", b"[]", b'{"token": 7}', b'{"token": "a\\r\\nX: y"}', b"x" * 300_000],
                         ids=["no token", "no object", "number", "two lines", "long"])
def test_token_server_with_junk(registry, answer):
    registry.auth = Bearer(registry.url + "/token")
    registry.fault("/token", lambda h, *_: h.answer(200, answer) or True)
    failed(get_manifest(registry), "registry-protocol 900")


def test_four_threads_share_a_token(registry):
    registry.auth = Bearer(registry.url + "/token")
    run = get(registry.host, "team/app", "threads", registry.blob, len(BLOB))
    assert run.returncode == 0 and run.stdout.decode() == f"0 {len(BLOB)}\n" * 4, said(run)
    assert registry.auth.given == 1


def test_unknown_kind_of_login(registry):
    registry.auth = Basic("ann", "x")
    registry.auth.challenge = "Negotiate"
    failed(get_manifest(registry, "--user", "ann", "--secret", "x"), "registry-auth 501", "'Negotiate'")


# ---- where logins come from


def b64(text):
    return base64.b64encode(text.encode()).decode()


def write_config(folder, auths=None, name="config.json", **more):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"auths": auths or {}, **more}))


def write_helper(folder, name, script):
    folder.mkdir(exist_ok=True)
    path = folder / f"docker-credential-{name}"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)


def test_order_of_sources(registry, tmp_path):
    registry.auth = Basic("ann", "right")
    home, user = tmp_path / "home", tmp_path / "user"
    home.mkdir()
    options = ["--home", home, "--user-dir", user, "--runtime", tmp_path / "run",
               "--path", tmp_path / "bin", "--host", registry.host, "--set", "user=ann",
               "--set", f"password_file={tmp_path}/password"]
    right, wrong = {"auth": b64("ann:right")}, {"auth": b64("ann:wrong")}
    # From the last to the first: each is used although what stands behind it is wrong.
    (tmp_path / "password").write_text("right\n")
    write_config(user, {registry.host: right}, ".config/containers/auth.json")
    assert get_manifest(registry, *options[:-6]).stdout == MANIFEST
    write_config(user, {registry.host: wrong}, ".config/containers/auth.json")
    failed(get_manifest(registry, *options[:-6]), "registry-auth", ".config/containers/auth.json")
    write_config(tmp_path / "run", {registry.host: right}, "containers/auth.json")
    assert get_manifest(registry, *options[:-6]).stdout == MANIFEST
    write_config(tmp_path / "run", {registry.host: wrong}, "containers/auth.json")
    write_config(user, {f"https://{registry.host}/v1/": right}, ".docker/config.json")
    assert get_manifest(registry, *options[:-6]).stdout == MANIFEST
    write_config(user, {registry.host: wrong}, ".docker/config.json", credsStore="all")
    write_helper(tmp_path / "bin", "all", """echo '{"Username": "ann", "Secret": "right"}'\n""")
    assert get_manifest(registry, *options[:-6]).stdout == MANIFEST
    write_helper(tmp_path / "bin", "all", """echo '{"Username": "ann", "Secret": "wrong"}'\n""")
    write_helper(tmp_path / "bin", "one", f"""read host; test "$host" = {registry.host} || exit 1
        test "$1" = get && echo '{{"Username": "ann", "Secret": "right"}}'\n""")
    write_config(user, {registry.host: wrong}, ".docker/config.json", credsStore="all",
                 credHelpers={registry.host: "one"})
    assert get_manifest(registry, *options[:-6]).stdout == MANIFEST
    write_helper(tmp_path / "bin", "one", """echo '{"Username": "ann", "Secret": "wrong"}'\n""")
    assert get_manifest(registry, *options).stdout == MANIFEST
    (tmp_path / "password").write_text("wrong")
    failed(get_manifest(registry, *options), "registry-auth", f"{tmp_path}/password")
    assert get("--home", home, registry.host, "store", "ann", "right").returncode == 0
    assert get_manifest(registry, *options).stdout == MANIFEST
    failed(get_manifest(registry, *options, "--user", "ann", "--secret", "wrong"), "registry-auth")


def test_longest_path_of_containers(registry, tmp_path):
    registry.auth = Basic("ann", "right")
    right, wrong = {"auth": b64("ann:right")}, {"auth": b64("ann:wrong")}
    write_config(tmp_path, {registry.host: wrong, f"{registry.host}/team": right,
                            f"{registry.host}/tea": wrong, f"{registry.host}/team/app/x": wrong},
                 "containers/auth.json")
    assert get_manifest(registry, "--runtime", tmp_path).stdout == MANIFEST


@pytest.mark.parametrize("script, words", [
    ("echo 'keyring is locked'; exit 1\n", "failed: keyring is locked"),
    ("echo '<html>'\n", "no JSON"),
    ("head -c 70000 /dev/zero\n", "more than 65536 bytes"),
    ("sleep 1000\n", "no answer within 200 ms"),
    (None, "is not on PATH"),
])
def test_helper_that_fails_is_a_warning(registry, tmp_path, script, words):
    registry.auth = Basic("ann", "right")
    if script:
        write_helper(tmp_path / "bin", "bad", script.replace("sleep", "exec sleep"))
    write_config(tmp_path, {registry.host: {"auth": b64("ann:right")}}, credsStore="bad")
    run = get_manifest(registry, "--docker", tmp_path, "--path", f"{tmp_path}/bin:/usr/bin",
                       "--time", "helper=200")
    assert run.stdout == MANIFEST and words in said(run), said(run)


def test_helper_without_the_host(registry, tmp_path):
    write_helper(tmp_path / "bin", "none", "echo 'credentials not found in native keychain'; exit 1\n")
    write_config(tmp_path, {registry.host: {"auth": b64("ann:right")}}, credsStore="none")
    registry.auth = Basic("ann", "right")
    run = get_manifest(registry, "--docker", tmp_path, "--path", tmp_path / "bin")
    assert run.stdout == MANIFEST and "warn" not in said(run).lower()


def test_helper_with_identity_token(registry, tmp_path):
    registry.auth = Bearer(registry.url + "/token", refresh="r3fresh")
    write_helper(tmp_path / "bin", "id", """echo '{"Username": "<token>", "Secret": "r3fresh"}'\n""")
    write_config(tmp_path, credHelpers={registry.host: "id"})
    assert get_manifest(registry, "--docker", tmp_path, "--path", tmp_path / "bin").stdout == MANIFEST


def test_helper_is_cancelled(registry, tmp_path):
    registry.auth = Basic("ann", "right")
    started = tmp_path / "started"
    os.mkfifo(started)
    write_helper(tmp_path / "bin", "slow", f"echo > {started}\nexec /bin/sleep 1000\n")
    write_config(tmp_path, credsStore="slow")
    run = subprocess.Popen([GET, "--docker", tmp_path, "--path", tmp_path / "bin", registry.host, "a/b",
                            "manifest", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    started.read_text()
    run.send_signal(signal.SIGUSR1)
    assert run.communicate(timeout=20)[1].startswith(b"error cancelled ")


def test_broken_files_of_others_are_a_warning(registry, tmp_path):
    (tmp_path / "config.json").write_text('{"auths": {"x": {"auth": s3cret')
    run = get_manifest(registry, "--docker", tmp_path)
    assert run.stdout == MANIFEST and said(run).count("config.json") == 0  # nobody asked
    registry.auth = Bearer(registry.url + "/token")
    run = get_manifest(registry, "--docker", tmp_path)
    assert run.stdout == MANIFEST
    assert "config.json: line 1, column" in said(run) and "s3cret" not in said(run)


def test_logins(registry, tmp_path):
    registry.auth = Bearer(registry.url + "/token", "ann", "s3cret")
    assert get(registry.host, "check", "ann", "s3cret").returncode == 0
    assert all("scope" not in path for _, path, _, _ in registry.requests)
    failed(get(registry.host, "check", "ann", "wr0ng"), "registry-auth 501 auth", "ann")
    home = tmp_path / "home"
    home.mkdir()
    assert get("--home", home, registry.host, "store", "ann", "s3cret").returncode == 0
    assert get("--home", home, "https://index.docker.io/v1/", "store", "bob", "x").returncode == 0
    assert (home / "auth.json").stat().st_mode & 0o777 == 0o600
    assert os.listdir(home) == ["auth.json"]
    write_config(tmp_path, {"ghcr.io": {"auth": b64("eve:y")}, "empty.io": {}}, credsStore="all",
                 credHelpers={"gcr.io": "gcloud"})
    write_helper(tmp_path / "bin", "all", """echo '{"https://quay.io": "ann"}'\n""")
    run = get("--home", home, "--docker", tmp_path, "--path", tmp_path / "bin", "list")
    assert run.stdout.decode().splitlines() == [
        f"{registry.host} ann auth.json", "docker.io bob auth.json",
        f"ghcr.io eve {tmp_path}/config.json", "gcr.io  docker-credential-gcloud",
        "quay.io ann docker-credential-all"]
    assert get("--home", home, "docker.io", "forget").returncode == 0
    failed(get("--home", home, "docker.io", "forget"), " 0", "no login for 'docker.io'")
    assert get_manifest(registry, "--home", home).stdout == MANIFEST


def test_broken_file_of_ours(registry, tmp_path):
    registry.auth = Basic("ann", "s3cret")
    (tmp_path / "auth.json").write_text('{"auths": s3cret')
    for run in (get_manifest(registry, "--home", tmp_path), get("--home", tmp_path, "list"),
                get("--home", tmp_path, "r.io", "store", "ann", "x")):
        assert "s3cret" not in failed(run, " 0", "auth.json: line 1, column")
    assert (tmp_path / "auth.json").read_text() == '{"auths": s3cret'


def test_logins_at_the_same_time(tmp_path):
    runs = [subprocess.Popen([GET, "--home", tmp_path, f"r{i}.io", "store", "ann", "x"]) for i in range(12)]
    assert [r.wait(WAIT_S) for r in runs] == [0] * 12
    assert len(json.loads((tmp_path / "auth.json").read_text())["auths"]) == 12


# ---- redirects


def test_redirect_to_another_host_has_no_login(registry):
    registry.auth = Basic("ann", "s3cret")
    with FakeRegistry() as store:
        store.add_blob(BLOB)
        registry.redirects[f"/v2/team/app/blobs/{registry.blob}"] = f"{store.url}/open/{registry.blob}"
        registry.redirects["/v2/team/app/manifests/1"] = "/v2/team/app/manifests/other"
        registry.add_manifest("team/app", "other", MANIFEST)
        login = ["--user", "ann", "--secret", "s3cret"]
        store.fault("/open/", drop_after(1000))
        assert get_manifest(registry, *login).stdout == MANIFEST
        assert "Authorization" in registry.asked("/manifests/other")[-1]
        assert get_blob(registry, *login).stdout == BLOB
        assert "Authorization" in registry.asked("/blobs/")[-1]
        assert len(store.requests) == 2
        assert all("Authorization" not in h and "Cookie" not in h for h in store.asked("/"))


def test_redirect_target_gets_no_login(registry):
    """A server that the registry sends us to cannot ask for the login by a challenge of its own."""
    registry.auth = Basic("ann", "s3cret")
    with FakeRegistry() as thief:
        for challenge in ("Basic", f'Bearer realm="{thief.url}/token"'):
            thief.fault("/open/", status(401, WWW_Authenticate=challenge))
            thief.add_blob(BLOB)
            registry.redirects[f"/v2/team/app/blobs/{registry.blob}"] = f"{thief.url}/open/{registry.blob}"
            failed(get_blob(registry, "--user", "ann", "--secret", "s3cret"), "registry-protocol 900",
                   "redirects to refuses", "401")
        assert all("Authorization" not in h for h in thief.asked("/")) and not thief.asked("/token")


def test_redirects_end(registry):
    for i in range(9):
        registry.redirects[f"/v2/team/app/manifests/r{i}"] = f"/v2/team/app/manifests/r{i + 1}"
    registry.redirects["/v2/team/app/manifests/loop"] = "/v2/team/app/manifests/loop"
    registry.add_manifest("team/app", "r9", MANIFEST)
    assert get_manifest(registry, reference="r4").stdout == MANIFEST
    failed(get_manifest(registry, reference="r3"), "registry-protocol 900", "5 redirects")
    failed(get_manifest(registry, reference="loop"), "registry-protocol 900", "5 redirects")


@pytest.mark.parametrize("where", ["ftp://example.com/x", "file:///etc/passwd", "http://u:p@localhost/",
                                   "http://[::1"])
def test_redirect_to_what_is_no_address(registry, where):
    registry.redirects["/v2/team/app/manifests/1"] = where
    failed(get_manifest(registry), "registry-protocol 900", "redirects")


# ---- mirrors


def mirrored(*mirrors):
    return [arg for m in mirrors for arg in ("--set", f"mirror={m}")]


def test_mirror_first(registry):
    with FakeRegistry() as mirror:
        mirror.add_manifest("team/app", "1", b'"mirror"')
        run = get_manifest(registry, "--host", registry.host, *mirrored(mirror.url))
        assert run.stdout == b'"mirror"' and not registry.requests
        assert f"source {mirror.host}\n" in said(run)
        assert "distrust" not in said(run)


def test_mirror_with_a_path(registry):
    with FakeRegistry() as mirror:
        mirror.add_manifest("hub/team/app", "1", MANIFEST)
        for url in (f"{mirror.url}/hub", f"{mirror.url}/v2/hub/"):
            run = get_manifest(registry, "--host", registry.host, *mirrored(url))
            assert run.stdout == MANIFEST and not registry.requests


@pytest.mark.parametrize("fault", [drop_at_once, status(404), status(403), status(500), raw(b"junk"),
                                   lambda h, *_: h.answer(200, b"x" * 5000) or True])
def test_mirror_that_fails(registry, fault):
    with FakeRegistry() as mirror:
        mirror.add_manifest("team/app", "1", MANIFEST)
        mirror.fault("/manifests/", fault)
        run = get_manifest(registry, "--host", registry.host, *mirrored("http://127.0.0.1:1", mirror.url))
        assert run.stdout == MANIFEST and f"source {registry.host}\n" in said(run)


def test_mirror_that_breaks_is_gone_on_with(registry):
    with FakeRegistry() as mirror:
        mirror.add_blob(BLOB)
        mirror.fault("/blobs/", drop_after(1_000_000))
        run = get_blob(registry, "--host", registry.host, *mirrored(mirror.url))
        assert run.stdout == BLOB
        assert registry.asked("/blobs/")[0]["Range"] != "bytes=0-"
        assert len(mirror.requests) == 1


def test_mirror_has_a_login_of_its_own(registry, tmp_path):
    with FakeRegistry() as mirror:
        mirror.add_manifest("team/app", "1", MANIFEST)
        mirror.auth = Basic("m", "mirror")
        write_config(tmp_path, {mirror.host: {"auth": b64("m:mirror")}})
        run = get_manifest(registry, "--docker", tmp_path, "--user", "ann", "--secret", "s3cret",
                           "--host", registry.host, *mirrored(mirror.url))
        assert run.stdout == MANIFEST and not registry.requests
        assert b64("ann:s3cret") not in str(mirror.requests)


def test_mirror_that_lies_is_distrusted(registry):
    with FakeRegistry() as mirror:
        mirror.add_manifest("team/app", "1", b'"lie"')
        run = get("--host", registry.host, *mirrored(mirror.url), registry.host, "team/app", "manifest",
                  "1", "lie")
        assert "distrust 1\n" in said(run)
        assert run.stdout == MANIFEST and len(mirror.requests) == 1
        assert "distrust 0\n" in said(get(registry.host, "team/app", "manifest", "1", "lie"))


# ---- TLS, proxies, Docker Hub: a proxy leads any name to a fake


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


class World:
    """Registries with names, behind a proxy; tls=False: plain HTTP on port 443."""

    def __init__(self, authority):
        self.authority = authority
        self.proxy = FakeProxy({})
        self.env = {"https_proxy": self.proxy.url}
        self.servers = []

    def add(self, *names, tls=True, **kw):
        r = FakeRegistry(self.authority.server(*names, **kw) if tls else None)
        self.servers.append(r)
        for name in names:
            self.proxy.routes[f"{name}:443"] = r.port
        r.add_manifest("team/app", "1", MANIFEST)
        r.blob = r.add_blob(BLOB)
        return r

    def get(self, *args, ca=True):
        return get(*(["--ca-cert", self.authority.ca] if ca else []), *args, env=self.env)


@pytest.fixture()
def world(authority):
    w = World(authority)
    yield w
    for server in w.servers:
        server.close()
    w.proxy.close()


def test_own_ca(world):
    world.add("r.test")
    run = world.get("r.test", "team/app", "manifest", "1")
    assert run.stdout == MANIFEST, said(run)
    assert world.proxy.asked == ["r.test:443"]
    failed(world.get("r.test", "team/app", "manifest", "1", ca=False), "registry-unreachable 808",
           "r.test", "certificate", "--ca-cert")
    assert len(world.proxy.asked) == 2  # what is wrong with a certificate does not pass
    run = world.get("--host", "r.test", "--set", f"ca_file={world.authority.ca}", "r.test", "team/app",
                    "manifest", "1", ca=False)
    assert run.stdout == MANIFEST


def test_resume_over_tls(world):
    server = world.add("r.test")
    server.fault("/blobs/", drop_after(1_000_000), drop_at_once, status(503), drop_after(10))
    assert world.get("r.test", "team/app", "blob", server.blob, len(BLOB)).stdout == BLOB


def test_certificate_of_another(world):
    world.add("r.test")
    world.proxy.routes["evil.test:443"] = world.proxy.routes["r.test:443"]
    failed(world.get("evil.test", "team/app", "manifest", "1"), "registry-unreachable 808", "evil.test")


def test_ca_file_that_is_none(tmp_path):
    failed(get("--ca-cert", tmp_path / "none", "r.test", "a/b", "manifest", "1"), " 0", f"{tmp_path}/none")
    (tmp_path / "junk").write_text("junk")
    failed(get("--ca-cert", tmp_path / "junk", "r.test", "a/b", "manifest", "1"), " 0", "PEM")


def test_insecure(world):
    world.add("r.test")
    assert world.get("--insecure", "r.test", "team/app", "manifest", "1", ca=False).stdout == MANIFEST
    run = world.get("--host", "r.test", "--set", "insecure=1", "r.test", "team/app", "manifest", "1", ca=False)
    assert run.stdout == MANIFEST


def test_insecure_server_that_wants_a_client(authority):
    with FakeRegistry(authority.server("localhost", want_client=True)) as r:
        run = get(r.host, "team/app", "manifest", "1")
        failed(run, "registry-unreachable 808", r.host)
        assert not r.requests and " 400" not in said(run)  # plain HTTP was not tried


def test_plain_http_needs_insecure(world):
    world.add("plain.test", tls=False)
    text = failed(world.get("plain.test", "team/app", "manifest", "1"), "registry-unreachable 808",
                  "does not speak TLS", "--insecure")
    assert "retry" not in text


def test_client_certificate(world):
    world.add("r.test", want_client=True)
    cert, key = world.authority.issue("client")
    args = ["r.test", "team/app", "manifest", "1"]
    failed(world.get(*args), "registry-unreachable 808", "r.test")
    run = world.get("--host", "r.test", "--set", f"client_cert={cert}", "--set", f"client_key={key}", *args)
    assert run.stdout == MANIFEST, said(run)


def test_https_is_never_left(world, registry):
    secure = world.add("r.test")
    secure.redirects["/v2/team/app/manifests/1"] = registry.url + "/v2/team/app/manifests/1"
    failed(world.get("r.test", "team/app", "manifest", "1"), "registry-protocol 900", "r.test", "plain http")
    assert not registry.requests


def test_login_and_client_certificate_stay_with_the_host(world):
    secure = world.add("r.test")
    other = world.add("cdn.test")
    secure.auth = Bearer("https://auth.test/token", "ann", "s3cret")
    world.proxy.routes["auth.test:443"] = world.add("auth.test").port
    world.servers[-1].auth = secure.auth
    secure.redirects[f"/v2/team/app/blobs/{secure.blob}"] = f"https://cdn.test/open/{secure.blob}"
    run = world.get("--user", "ann", "--secret", "s3cret", "r.test", "team/app", "blob", secure.blob, len(BLOB))
    assert run.stdout == BLOB, said(run)
    assert all("Authorization" not in h for h in other.asked("/"))


def test_token_server_with_plain_http(world, registry):
    secure = world.add("r.test")
    secure.auth = Bearer("http://tokens.test/token", "ann", "s3cret")
    text = failed(world.get("--user", "ann", "--secret", "s3cret", "r.test", "team/app", "manifest", "1"),
                  "registry-protocol 900", "tokens.test", "plain HTTP")
    assert "s3cret" not in text


def test_no_login_over_plain_http_to_a_mirror(world, registry, tmp_path):
    mirror = FakeRegistry()
    world.servers.append(mirror)
    mirror.auth = Basic("m", "mirror")
    write_config(tmp_path, {"mirror.test": {"auth": b64("m:mirror")}})
    env = {"http_proxy": mirror.url}  # a proxy of plain HTTP gets the whole request
    run = get("--docker", tmp_path, "--host", registry.host, *mirrored("http://mirror.test"), registry.host,
              "team/app", "manifest", "1", env=env)
    assert run.stdout == MANIFEST
    assert mirror.requests and all("Authorization" not in h for h in mirror.asked(""))


def test_proxy_that_refuses(world):
    run = world.get("nowhere.test", "team/app", "manifest", "1")
    failed(run, "registry-unreachable 808", "nowhere.test", "response 502", "https_proxy", "no_proxy")
    assert len(world.proxy.asked) == 5
    world.proxy.refusal = 407
    failed(world.get("nowhere.test", "team/app", "manifest", "1"), "registry-unreachable 808", "response 407")
    assert len(world.proxy.asked) == 6


def test_proxy_that_is_not_there(world):
    world.env = {"HTTPS_PROXY": "http://127.0.0.1:1"}
    failed(world.get("r.test", "team/app", "manifest", "1"), "registry-unreachable 808", "HTTPS_PROXY")


def test_loopback_needs_no_proxy(registry):
    env = {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}
    assert get_manifest(registry, env=env).stdout == MANIFEST


def test_offline():
    """Without any network the cause is named at once, but for this machine itself."""
    alone = ["unshare", "-rn"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    run = subprocess.run([*alone, GET, "ghcr.io", "a/b", "blob", "sha256:0", "1"], capture_output=True,
                         timeout=WAIT_S)
    assert "retry" not in failed(run, "registry-unreachable 808", "ghcr.io", "no network")


@pytest.fixture()
def hub(world):
    r = world.add("registry-1.docker.io", "auth.docker.io")
    r.auth = Bearer("https://auth.docker.io/token", service="registry.docker.io")
    r.add_manifest("library/debian", "12", MANIFEST)
    return r


def test_docker_hub(world, hub, tmp_path):
    assert world.get("docker.io", "library/debian", "manifest", "12").stdout == MANIFEST
    hub.auth.login = Basic("ann", "right").expected
    write_config(tmp_path, {"https://index.docker.io/v1/": {"auth": b64("ann:right")}})
    run = world.get("--docker", tmp_path, "docker.io", "library/debian", "manifest", "12")
    assert run.stdout == MANIFEST, said(run)


def test_docker_hub_hides_what_is_private(world, hub):
    hub.auth.allows = lambda *_: False
    failed(world.get("docker.io", "library/none", "manifest", "1"), "image-not-found 302", "docker.io",
           "msb registry login docker.io")


def test_docker_hub_limit(world, hub):
    words = "You have reached your pull rate limit"
    hub.fault("/manifests/", *[status(429, words)] * 5)
    failed(world.get("docker.io", "library/debian", "manifest", "12"), "registry-unreachable 808",
           "Docker Hub's limit", words, "msb registry login docker.io")
