# SPDX-License-Identifier: Apache-2.0
"""The command line itself: help, tree, usage errors. Nothing here boots a guest."""
import json
import subprocess

import pytest


def test_version_text_and_json_agree(msb):
    text = msb("version")
    assert text.returncode == 0
    assert text.stdout == f"msb {json.loads(msb('version', '--format', 'json').stdout)['version']}\n"
    assert msb("--version").stdout == text.stdout


@pytest.mark.parametrize("args", [[], ["--version"], ["--tree"], ["version"]])
def test_a_full_stdout_is_an_error(home, args):
    with open("/dev/full", "wb") as full:
        p = home.start(*args, stdout=full, stderr=subprocess.PIPE)
    assert p.communicate()[1] == b"error: write to standard output: No space left on device\n"
    assert p.returncode == 1


def test_help_lists_the_commands_in_groups(msb):
    r = msb()
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout == msb("--help").stdout
    for word in "Sandboxes:", "Images:", "run", "load", "image", "version", "--home DIR":
        assert word in r.stdout


def test_help_of_a_command_names_every_option(msb):
    r = msb("run", "--help")
    assert r.returncode == 0
    for option in "--cpus", "--memory", "--env", "--workdir", "--user", "--name", "--tty", "--timeout":
        assert option in r.stdout


def test_tree_works_at_any_place(msb):
    whole = msb("--tree").stdout
    assert "├── run [OPTIONS] IMAGE|DIR" in whole and "└── " in whole
    below = msb("run", "--nonsense", "--tree")
    assert below.returncode == 0 and "--memory SIZE" in below.stdout
    assert msb("image", "--tree").stdout.startswith("msb image\n")


@pytest.mark.parametrize("args, error", [
    (["run", "--memroy", "1G", "busybox"],
     "error: unknown option '--memroy' for 'run'; did you mean '--memory'?\n"),
    (["run", "-m", "12x", "busybox"],
     "error: --memory: '12x' is not a size; write 512M, 1.5GiB or 2048 (MiB)\n"),
    (["run", "--timeout", "90 min", "busybox"],
     "error: --timeout: '90 min' is not a duration; write 90m, 1h30m or 5400 (seconds)\n"),
    (["run", "busybox", "ls"],
     "error: unexpected argument 'ls'\n  → put -- before the guest command: msb run busybox -- ls\n"),
    (["rum"], "error: unknown command 'rum'; did you mean 'run'?\n  → see what there is: msb --help\n"),
    (["image", "lz"], "error: unknown command 'lz'; did you mean 'ls'?\n"
                      "  → see what there is: msb image --help\n"),
    (["run", "-t", "-T", "busybox"], "error: --tty and --no-tty exclude each other\n"),
    (["run", "-e", "NOT_SET_HERE", "busybox"],
     "error: --env: 'NOT_SET_HERE' is not set here; write NOT_SET_HERE=VALUE\n"),
    (["--log", "loud", "version"],
     "error: --log: 'loud' is not one of error, warn, info, debug, trace\n"),
])
def test_usage_errors_name_the_thing_and_the_next_step(msb, args, error):
    r = msb(*args)
    assert (r.returncode, r.stdout, r.stderr) == (2, "", error)


@pytest.mark.parametrize("args, words", [
    (["run", "-c", "0", "busybox"], ["cpus", "0"]),
    (["run", "-c", "65", "busybox"], ["cpus", "65"]),
    (["run", "-m", "8", "busybox"], ["memory_mib", "8"]),
    (["run", "--engine", "qmeu", "busybox"], ["engine", "qmeu", "qemu"]),
    (["run", "-n", "-bad", "busybox"], ["name"]),
    (["run", "Debian:latest"], ["lower case", "debian"]),
])
def test_bad_values_are_found_before_anything_is_made(home, args, words):
    r = home.run(*args)
    assert (r.returncode, r.stdout) == (2, "")
    assert r.stderr.startswith("error: ")
    for word in words:
        assert word in r.stderr


def test_a_missing_image_is_an_error_that_helps(msb):
    r = msb("run", "--pull", "never", "nosuchimage", "--", "true")
    assert (r.returncode, r.stdout) == (125, "")
    assert "nosuchimage" in r.stderr and "msb pull nosuchimage" in r.stderr


def test_a_missing_directory_is_an_error(msb):
    r = msb("run", "./nosuchdir", "--", "true")
    assert r.returncode == 125
    assert "nosuchdir" in r.stderr


def test_without_qemu_the_error_says_what_to_install(home, tmp_path):
    r = home.run("run", "--engine", "qemu", "busybox", "--", "true", env={"PATH": str(tmp_path)})
    assert r.returncode == 125
    assert "qemu" in r.stderr and "apt" in r.stderr and "install" in r.stderr


def test_more_memory_than_the_host_has(msb):
    r = msb("run", "-m", "8T", "busybox", "--", "true")
    assert r.returncode == 125
    assert "memory" in r.stderr
