# SPDX-License-Identifier: Apache-2.0
"""make install with DESTDIR and prefix gives a tree that works."""
import os
import pathlib
import subprocess


def test_an_installed_tree_runs(home, tmp_path):
    build = pathlib.Path(os.environ["MSB"]).parent
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", tmp_path],
                   check=True, timeout=60, stdout=subprocess.DEVNULL)
    msb = next(tmp_path.rglob("bin/msb"))
    assert next(tmp_path.rglob("include/microsandbox.h"))
    libs = [str(p.parent) for p in tmp_path.rglob("libmicrosandbox.so.1")]
    r = subprocess.run([msb, "run", "busybox", "--", "echo", "installed"], capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, timeout=120, env={**home.env, "LD_LIBRARY_PATH": ":".join(libs)})
    assert (r.returncode, r.stdout) == (0, "installed\n"), r.stderr
