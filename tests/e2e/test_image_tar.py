# SPDX-License-Identifier: Apache-2.0
"""Archives that are hard to convert: what the loader makes of them, seen by another reader."""
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import erofs_reader  # noqa: E402
import mixes  # noqa: E402
import mkimg  # noqa: E402

DUMP = pathlib.Path(os.environ.get("MSB_BUILD", HERE.parent.parent / "build")) / "tests" / "image_dump"


def load(home, archive, disk):
    return subprocess.run([DUMP, home, archive, disk], capture_output=True, text=True, timeout=60)


CASES = {**mkimg.CASES, **mixes.CASES}


@pytest.mark.parametrize("name", list(CASES))
def test_torture(tmp_path, name):
    _, layers, want, absent = CASES[name]
    archive = tmp_path / "a.tar"
    archive.write_bytes(mkimg.archive(name, layers))
    home, disk = tmp_path / "home", tmp_path / "disk"
    home.mkdir()
    r = load(home, archive, disk)
    if "error" in want:
        assert r.returncode == 1 and want["error"] in r.stderr
        left = [p for p in (home / "images").rglob("*") if p.is_file() and p.name != "lock"]
        assert left == []
        return
    assert r.returncode == 0, r.stderr
    assert f"name docker.io/library/{name}:latest\n" in r.stdout
    assert not list((home / "images" / "tmp").iterdir())
    got = erofs_reader.tree(disk)
    for path, exp in want.items():
        for key, value in exp.items():
            if key == "same":
                assert got[path]["nid"] == got[value]["nid"]
            else:
                assert got[path].get(key) == value, (path, key)
    for path in absent:
        assert path not in got
    for e in got.values():
        assert not any("msb" in x for x in e["xattrs"])
