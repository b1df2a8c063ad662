# SPDX-License-Identifier: Apache-2.0
"""Completion of command lines, and the command table as JSON."""
import json
import pathlib
import subprocess

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs/cli"


def words(msb, *line):
    result = msb("__complete", "--", *line)
    assert result.returncode == 0 and result.stderr == ""
    return [row.split("\t")[0] for row in result.stdout.splitlines()]


def tree(msb):
    return json.loads(msb("--tree", "--format", "json").stdout)


def commands(node, path=()):
    for c in node["commands"]:
        yield (*path, c["name"]), c
        yield from commands(c, (*path, c["name"]))


def test_commands_and_options_come_from_the_table(msb):
    root = tree(msb)
    names = [c["name"] for c in root["commands"]]
    assert set(words(msb, "")) == set(names)
    assert words(msb, "comp") == ["completion"]
    assert not any(name.startswith("__") for name in names)
    for path, c in commands(root):
        if c["commands"]:
            assert set(words(msb, *path, "")) == {s["name"] for s in c["commands"]}, path
        options = {f"--{o['name']}" for o in c["options"]} | {"--help"}
        assert set(words(msb, *path, "-")) == options, path


def test_values_of_options(msb):
    assert words(msb, "version", "--format", "") == ["text", "json"]
    assert words(msb, "version", "--format=j") == ["--format=json"]
    assert words(msb, "logs", "--source", "k") == ["kernel"]
    assert words(msb, "run", "--cpus", "") == []
    assert words(msb, "run", "busybox", "--", "") == []
    assert words(msb, "nonsense", "") == []


def test_live_names(home, msb):
    assert msb("run", "--name", "complete-me", "busybox", "--", "true").returncode == 0
    assert words(msb, "logs", "comp") == ["complete-me"]
    assert words(msb, "logs", "-f", "") == ["complete-me"]
    assert words(msb, "logs", "complete-me", "") == []
    assert words(msb, "image", "rm", "busy") == words(msb, "run", "busy")
    assert any(name.startswith("busybox") for name in words(msb, "run", ""))


def bash(home, line):
    script = 'source <("$1" completion bash); COMP_LINE=$2; COMP_POINT=${#2}; _msb; ' \
             'printf "%s\\n" "${COMPREPLY[@]}"'
    result = subprocess.run(["bash", "-c", script, "bash", home.msb, line.replace("msb", home.msb, 1)],
                            env=home.env, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and result.stderr == ""
    return result.stdout.split()


def test_bash(home, msb):
    assert msb("image", "tag", "busybox", "busybox:other").returncode == 0
    assert bash(home, "msb comp") == ["completion"]
    assert bash(home, "msb image ins") == ["inspect"]
    assert bash(home, "msb run busybox:o") == ["other"]
    assert bash(home, "msb version --format=") == ["text", "json"]
    assert "run" in bash(home, "msb ")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_their_script(msb, shell):
    script = msb("completion", shell).stdout
    assert "__complete" in script
    assert subprocess.run([shell, "-n"], input=script, text=True, timeout=60).returncode == 0


def test_wrong_shell_is_named(msb):
    result = msb("completion", "bahs")
    assert result.returncode == 2 and "bash" in result.stderr
    assert msb("--format", "json", "version").returncode == 2
    assert msb("--tree", "--format", "yaml").returncode == 2


def test_a_part_of_the_tree(msb):
    image = json.loads(msb("image", "--tree", "--format=json").stdout)
    assert image["name"] == "image" and image["commands"]
    assert "├──" in msb("image", "--tree").stdout


def test_help_and_page_agree_with_the_table(msb):
    """Each option stands in the help, and in the page of the command unless that leaves it to the help."""
    for path, c in commands(tree(msb)):
        if c["commands"]:
            continue
        help_text = msb(*path, "--help").stdout
        page = DOCS / f"{path[0]}.md"
        whole = len(path) == 1 and page.exists() and "--help` lists the options" not in page.read_text()
        for o in c["options"]:
            assert f"--{o['name']}" in help_text, path
            if whole:
                assert f"--{o['name']}" in page.read_text(), (path, o["name"])
