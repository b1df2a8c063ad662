# SPDX-License-Identifier: Apache-2.0
"""What a guest sees of an image, judged by others: umoci, the programs that made the archive, an
independent reader of EROFS, and a model of what layers mean."""
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import time

import pytest

import layer_model
import mixes
import mkimg
import trees

CASES = {**mkimg.CASES, **mixes.CASES}
GOOD = [name for name, case in CASES.items() if "error" not in case[2]]
SEQUENCES = 200  # through the reader
BOOTED = 10      # of these, in a guest

# Where umoci 0.4.7 does something else, what Docker does decides (docs/internals/image.md).
# {case: (reason, paths that differ, or None if umoci refuses the image)}
UMOCI = {
    "acl_bad": ("an attribute that the host refuses ends umoci; it is dropped with a warning here", None),
    "hl_fwd": ("umoci links at once; a target later in the layer is found here", None),
    "link_to_link": ("the same", None),
    "pax_global": ("umoci does not know global pax headers; Docker's archive/tar does", None),
    "pax_scope": ("the same", None),
    "sparse_gnu": ("umoci does not know the type of old GNU sparse files", None),
    "odd_types": ("nor that of contiguous files", None),
    "wh_char": ("a device 0:0 is a whiteout, as on overlayfs; umoci makes the device", {b"a"}),
    "caps_acls": ("umoci does not read ACLs in text", {b"t"}),
    "opaque_depth": ("what an opaque mark hides does not come back as a parent; umoci keeps its time",
                     {b"a/b", b"a/b/c"}),
    "times": ("the file system of the host ends in 2446, EROFS does not", {b"c"}),
}


@pytest.fixture
def short_dir():
    """Names in the archives are nearly as long as PATH_MAX."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="u", dir="/tmp"))
    yield path
    subprocess.run(["chmod", "-R", "u+rwx", path], check=True)
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def memory_dir():
    """For hundreds of small stores: where fsync() costs nothing, if there is such a place."""
    path = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    yield path
    shutil.rmtree(path)


def dump(folder, layers, disk):
    """Write the root disk of an image of these layers; the loader's complaint, or None."""
    (folder / "home").mkdir(parents=True)
    (folder / "a.tar").write_bytes(mkimg.image(layers, "image"))
    r = subprocess.run([trees.DUMP, folder / "home", folder / "a.tar", disk], capture_output=True, text=True,
                       timeout=60)
    shutil.rmtree(folder)
    return r.stderr if r.returncode else None


def sequence(seed):
    layers, tree = layer_model.random_sequence(random.Random(seed))
    return [layer_model.pack(e) for e in layers], tree and layer_model.listing(tree)


def root_layers():
    """One image that has something of everything, and the program that walks over it."""
    def F(name, data=b"x", **kw):
        return mkimg.F(name, data, **{"mode": 0o600, **kw})

    tools = [mkimg.D("bin"), mkimg.F("bin/walk", trees.WALK.read_bytes(), mode=0o755)]
    lower = [mkimg.D(".", 0o1711, uid=7, gid=8, px={"mtime": "1234567.000000089", mkimg.X + "trusted.root": "1"}),
             mkimg.D("d", 0o2750, uid=5), F("d/cap", px={mkimg.X + "security.capability": mkimg.CAP}), F("d/gone"),
             F("file", b"1", px={"mtime": "-2.5", mkimg.X + "user.bin": mkimg.BIN}), mkimg.H("second", "file"),
             mkimg.S("link", "d"), mkimg.entry("null", typ=b"3", mode=0o666, dev=(1, 3)), mkimg.entry("p", typ=b"6"),
             mkimg.sparse_pax("sparse", mkimg.HOLES, mkimg.REAL),
             F("acl", mode=0o674, px={mkimg.X + "system.posix_acl_access": mkimg.ACL})]
    upper = [F("d/.wh.gone", b""), mkimg.H("third", "second"), F("link/via"), F("null", b"now a file")]
    return [b"".join(layer) + bytes(1024) for layer in (tools, lower, upper)]


@pytest.fixture(scope="module")
def rootfs(memory_dir):
    """A root folder with the disk of each case and of some random sequences."""
    folder = memory_dir / "rootfs"
    trees.make_rootfs(folder)
    for name in GOOD:
        assert dump(folder / "tmp/x", mkimg.blobs_of(name, CASES[name][1]), folder / "disks" / name) is None
    seed = 0
    while len(os.listdir(folder / "disks")) < len(GOOD) + BOOTED:
        layers, tree = sequence(seed)
        if tree:
            assert dump(folder / "tmp/x", layers, folder / f"disks/random-{seed}") is None
        seed += 1
    return folder


def test_the_guest_sees_what_the_reader_sees(home, rootfs):
    seen = trees.walk_in_guest(home, rootfs)
    assert len(seen) == len(GOOD) + BOOTED
    for name, tree in seen.items():
        read = trees.walk_erofs(rootfs / "disks" / name)
        # The upper folder of the overlay covers the attributes of the root.
        tree[b"."]["xattrs"] = read[b"."]["xattrs"]
        assert trees.differences(tree, read, ("guest", "image")) == {}, name


@pytest.mark.parametrize("disk", ["none", "8G"])
def test_the_root_of_a_guest(home, memory_dir, disk):
    archive = mkimg.image(root_layers(), "rooted")
    r = home.run("load", input=archive, text=False)
    assert r.returncode == 0, r.stderr
    r = home.run("run", "--root-disk", disk, "rooted", "--", "/bin/walk", "/", text=False)
    assert r.returncode == 0, r.stderr
    seen = trees.parse_walk(r.stdout)[0]
    assert dump(memory_dir / "x", root_layers(), memory_dir / "disk") is None
    image = trees.walk_erofs(memory_dir / "disk")
    found = trees.differences(seen, image, ("guest", "image"))
    # Places that a guest needs are made at boot, and the root is written then.
    made = {path for path, what in found.items() if what == "only in guest"}
    assert {p.split(b"/")[0] for p in made} <= {b"dev", b"proc", b"sys", b"run", b"tmp", b"etc", b"lib", b"var"}, made
    assert {p: what for p, what in found.items() if p not in made} == {}


def as_umoci(tree, other, since):
    """The tree without what umoci cannot keep, or does not set: times of folders it wrote into."""
    tree = trees.without_root(tree) if os.geteuid() != 0 else tree
    return {path: {**e, "mtime": other[path]["mtime"]}
            if e["type"] == "dir" and path in other and float(other[path]["mtime"]) >= since else e
            for path, e in tree.items()}


@pytest.mark.parametrize("name", GOOD)
def test_umoci_unpacks_the_same(rootfs, short_dir, name):
    reason, paths = UMOCI.get(name, ("", set()))
    since = time.time() - 1  # a file system may round down
    theirs, complaint = trees.unpack_with_umoci(mkimg.blobs_of(name, CASES[name][1]), short_dir)
    if paths is None:
        assert complaint, f"umoci does it now: {reason}"
        return
    assert complaint is None
    ours = as_umoci(trees.walk_erofs(rootfs / "disks" / name), theirs, since)
    theirs = trees.without_root(theirs) if os.geteuid() != 0 else theirs
    found = trees.differences(ours, theirs, ("image", "umoci"))
    assert found.keys() == paths or os.geteuid() != 0 and found.keys() <= paths, (found, reason)


def test_random_layers_against_a_model(memory_dir):
    refused = 0
    for seed in range(SEQUENCES):
        layers, tree = sequence(seed)
        complaint = dump(memory_dir / "x", layers, memory_dir / "disk")
        assert (complaint is None) == (tree is not None), (seed, complaint)
        if tree:
            assert trees.differences(trees.walk_erofs(memory_dir / "disk"), tree, ("image", "model")) == {}, seed
        refused += tree is None
    assert 0 < refused < SEQUENCES / 2


# ---- archives of other programs -------------------------------------------------------------------

def set_attributes(root):
    """Attributes that this user may set here; a tmpfs of Linux 6.1 knows none of a user."""
    wanted = [("file", "user.text", b"value"), ("file", "user.bin", mkimg.BIN), ("folder", "user.of.a.folder", b"")]
    if os.geteuid() == 0:
        wanted += [("bin", "security.capability", mkimg.CAP), ("bin", "trusted.t", b"1")]
    for name, attribute, value in wanted:
        try:
            os.setxattr(root / name, attribute, value)
        except OSError:
            pass


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Something of everything that tar can pack."""
    root = tmp_path_factory.mktemp("source")
    (root / "folder" / ("long" * 40) / ("name" * 50)).mkdir(parents=True)
    (root / "folder" / ("long" * 40) / ("name" * 50) / "leaf").write_bytes(b"deep")
    (root / "file").write_bytes(os.urandom(70_000))
    (root / "empty").write_bytes(b"")
    (root / "bin").write_bytes(b"\x7fELF")
    (root / "bin").chmod(0o4755)
    (root / "naïve ☃").write_bytes(b"utf-8")
    (root / os.fsdecode(b"latin-\xe9\n")).write_bytes(b"not utf-8")
    os.link(root / "file", root / "folder/second")
    os.link(root / "file", root / "third")
    (root / "symlink").symlink_to("folder/" + "t" * 150)
    os.link(root / "symlink", root / "symlink2", follow_symlinks=False)
    os.mkfifo(root / "fifo", 0o620)
    with open(root / "sparse", "wb") as f:
        for at in (0, 1 << 20, 3 << 20, (3 << 20) + 65536):
            f.seek(at)
            f.write(b"S" * 5000)
        f.truncate(8 << 20)
    if os.geteuid() == 0:
        os.mknod(root / "device", 0o640 | 0o020000, os.makedev(259, 70000))
        os.chown(root / "file", 3_000_000_000, 70_000)
    set_attributes(root)
    (root / "folder").chmod(0o1770)
    os.utime(root / "empty", ns=(0, -1_500_000_000))
    os.utime(root / "file", ns=(0, 1_600_000_000_123_456_789))
    os.utime(root, ns=(0, 1_500_000_000_000_000_001))
    return root


GNU = ["tar", "--sort=name", "-c", "-f", "-", "."]
BSD = ["bsdtar", "-c", "-f", "-"]
PYTHON = ["/usr/bin/python3", "-c",
          "import sys,tarfile; tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=int(sys.argv[1])).add('.')"]
# {name: (command, what is lost on the way: by the format, or by the program)}
MAKERS = {
    "gnu-posix": ([*GNU, "--format=posix", "--xattrs", "--xattrs-include=*", "--acls"], ""),
    "gnu-posix-sparse-0.0": ([*GNU, "--format=posix", "-S", "--sparse-version=0.0", "--xattrs", "--xattrs-include=*"], ""),
    "gnu-posix-sparse-0.1": ([*GNU, "--format=posix", "-S", "--sparse-version=0.1", "--xattrs", "--xattrs-include=*"], ""),
    "gnu-posix-sparse-1.0": ([*GNU, "--format=posix", "-S", "--sparse-version=1.0", "--xattrs", "--xattrs-include=*"], ""),
    "gnu": ([*GNU, "--format=gnu"], "ns xattrs"),
    "gnu-sparse": ([*GNU, "--format=gnu", "-S"], "ns xattrs"),
    "gnu-old": ([*GNU, "--format=oldgnu", "-S"], "ns xattrs"),
    "bsdtar": ([*BSD, "--format=pax", "--xattrs", "--acls", "."], "negative"),
    "bsdtar-gnu": ([*BSD, "--format=gnutar", "."], "ns xattrs negative"),
    "python-pax": ([*PYTHON, "2"], "ns xattrs links"),
    "python-gnu": ([*PYTHON, "1"], "ns xattrs links negative"),
}


def without(tree, lost):
    for path, e in tree.items():
        if "ns" in lost:
            e["mtime"] = e["mtime"].split(".")[0] + ".000000000"
        if "xattrs" in lost:
            e["xattrs"] = {}
        if "negative" in lost and path == b"empty":
            e["mtime"] = None
        if "links" in lost and e["type"] == "link":
            e["links"] = [path]
    return tree


@pytest.mark.parametrize("maker", MAKERS)
def test_archives_of_other_programs(source, tmp_path, maker):
    command, lost = MAKERS[maker]
    r = subprocess.run(command, cwd=source, stdout=subprocess.PIPE, check=True, timeout=60)
    assert dump(tmp_path / "x", [r.stdout], tmp_path / "disk") is None
    got = without(trees.walk_erofs(tmp_path / "disk"), lost)
    assert trees.differences(got, without(trees.walk_here(source)[0], lost), ("image", "source")) == {}
