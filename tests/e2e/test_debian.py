# SPDX-License-Identifier: Apache-2.0
"""A real Debian image, made by mmdebstrap and packed as a docker-archive."""
import os
import subprocess

import pytest

import debian_image
import mkimg
import trees


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("debian") / "debian.tar"
    debian_image.write_docker_archive(path)
    return path


@pytest.fixture
def debian(module_home, home, archive):
    if "debian" not in home.run("image", "ls", "-q").stdout:
        r = home.run("load", "-i", archive, timeout_s=300)
        assert r.returncode == 0, r.stderr
    return home


def test_python_computes(debian):
    r = debian.run("run", "debian", "--", "python3", "-c", "print(6*7)")
    assert (r.returncode, r.stdout) == (0, "42\n"), r.stderr


def test_sha256sum_of_a_file_equals_the_hosts(debian, tmp_path):
    data = tmp_path / "file"
    data.write_bytes(os.urandom(20_000_000))
    with open(data, "rb") as f:
        r = debian.run("run", "-i", "debian", "--", "sha256sum", stdin=f)
    want = subprocess.check_output(["sha256sum", data], text=True).split()[0]
    assert r.stdout.split()[0] == want


def test_the_tree_is_what_umoci_unpacks(home, tmp_path):
    """Every file as the guest sees it: type, mode, owner, size, times, links, attributes, content."""
    layers = [debian_image.rootfs().read_bytes(), trees.tools_layer()]
    r = home.run("load", input=mkimg.image(layers, "walked"), text=False)
    assert r.returncode == 0, r.stderr
    theirs, complaint = trees.unpack_with_umoci(layers, tmp_path)
    assert complaint is None
    r = home.run("run", "--root-disk", "none", "walked", "--", trees.WALK_IN_GUEST, "/", timeout_s=300, text=False)
    assert r.returncode == 0, r.stderr
    ours = trees.parse_walk(r.stdout)[0]
    found = trees.differences(trees.without_boot(ours), trees.without_boot(theirs), ("guest", "umoci"))
    assert len(ours) > 3000 and found == {}


def test_apt_and_dpkg_work_on_the_writable_root(debian):
    r = debian.run("run", "debian", "--", "sh", "-c",
                   "dpkg --verify base-files && dpkg -P --force-all mawk >/dev/null && ! which mawk",
                   timeout_s=300)
    assert r.returncode == 0, r.stdout + r.stderr
