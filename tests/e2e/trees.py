# SPDX-License-Identifier: Apache-2.0
"""Trees of files in one form, whoever has looked at them: a guest, umoci, or a reader of EROFS.

A tree is {path: {"type", "mode", "uid", "gid", "mtime", "size", "rdev", "target", "sha256",
"xattrs", "links"}}.  Paths are bytes.  "links" are all paths of the same inode.
"""
import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import urllib.parse

import erofs_reader
import mkimg

BUILD = pathlib.Path(os.environ.get("MSB_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
WALK = BUILD / "agent/walk"
DUMP = BUILD / "tests/image_dump"
TYPES = {"-": "file", "d": "dir", "l": "link", "p": "fifo", "c": "char", "b": "block"}
TAG = "image"


def group_links(tree, inodes):
    paths = {}
    for path, inode in inodes.items():
        paths.setdefault(inode, []).append(path)
    for path, e in tree.items():
        e["links"] = [] if e["type"] == "dir" else sorted(paths[inodes[path]])
    return tree


def parse_walk(output):
    """The trees that the program walk has printed."""
    trees = []
    for block in output.split(b"\n\n")[:-1]:
        tree, inodes = {}, {}
        for line in block.splitlines():
            path, kind, mode, owner, mtime, size, rdev, nlink, inode, target, sha, *xattrs = line.split(b" ")
            e = {"type": TYPES[kind.decode()], "mode": int(mode, 8), "mtime": mtime.decode(),
                 "xattrs": dict(tuple(urllib.parse.unquote_to_bytes(t) for t in x.split(b"=")) for x in xattrs)}
            e["uid"], e["gid"] = map(int, owner.split(b":"))
            e["size"] = int(size) if e["type"] == "file" else None
            e["rdev"] = rdev.decode() if e["type"] in ("char", "block") else None
            e["target"] = urllib.parse.unquote_to_bytes(target) if e["type"] == "link" else None
            e["sha256"] = sha.decode() if e["type"] == "file" else None
            path = urllib.parse.unquote_to_bytes(path)
            tree[path], inodes[path] = e, inode
            e["nlink"] = int(nlink)
        group_links(tree, inodes)
        for e in tree.values():
            assert e.pop("nlink") == len(e["links"]) or e["type"] == "dir"
        trees.append(tree)
    return trees


def walk_here(*folders):
    return parse_walk(subprocess.run([WALK, *folders], check=True, stdout=subprocess.PIPE, timeout=120).stdout)


def walk_erofs(disk):
    """What the independent reader finds; it checks the number of links itself."""
    tree, inodes = {}, {}
    for path, e in erofs_reader.tree(disk).items():
        path = os.fsencode(path)
        inodes[path] = e["nid"]
        tree[path] = {"type": e["type"], "mode": int(e["mode"], 8), "uid": e["uid"], "gid": e["gid"],
                      "mtime": e["mtime"], "size": e["size"] if e["type"] == "file" else None,
                      "rdev": e.get("rdev"), "sha256": e.get("sha256"),
                      "target": os.fsencode(e["target"]) if "target" in e else None,
                      "xattrs": {os.fsencode(k): base64.b64decode(v) for k, v in e["xattrs"].items()}}
    return group_links(tree, inodes)


def differences(a, b, names=("a", "b")):
    """{path: what}, for every path that is not the same in both trees."""
    found = {}
    for path in a.keys() | b.keys():
        if path not in a or path not in b:
            found[path] = f"only in {names[0 if path in a else 1]}"
        elif a[path] != b[path]:
            found[path] = {k: (a[path][k], b[path][k]) for k in a[path] if a[path][k] != b[path][k]}
    return found


def config_of(layers, architecture):
    return json.dumps({"architecture": architecture, "os": "linux", "config": {}, "rootfs": {
        "type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(b).hexdigest() for b in layers]}}).encode()


def write_layout(folder, layers, architecture="amd64"):
    """An OCI layout of one image with tag TAG; its layers are not compressed."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data, media):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{media}", "digest": f"sha256:{digest}", "size": len(data)}

    manifest = put(json.dumps({"schemaVersion": 2, "config": put(config_of(layers, architecture), "config.v1+json"),
                               "layers": [put(x, "layer.v1.tar") for x in layers]}).encode(), "manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": TAG}
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))


def unpack_with_umoci(layers, folder):
    """(tree, None) or (None, the last line of what umoci says)."""
    write_layout(folder / "oci", layers)
    command = ["umoci", "unpack", "--image", f"{folder}/oci:{TAG}", folder / "u"]
    if os.geteuid() != 0:
        command.insert(2, "--rootless")
    r = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if r.returncode != 0:
        return None, r.stderr.strip().splitlines()[-1]
    return walk_here(folder / "u/rootfs")[0], None


def without_root(tree):
    """What is left of a tree where owners, devices and attributes of the system cannot be made."""
    kept = {}
    for path, e in tree.items():
        e = {**e, "uid": 0, "gid": 0, "mode": e["mode"] & 0o777}
        e["xattrs"] = {k: v for k, v in e["xattrs"].items() if e["type"] in ("file", "dir") and
                       k.startswith(b"user.") and k != b"user.rootlesscontainers"}  # umoci's note of the owner
        if e["type"] in ("char", "block"):
            e.update(type="file", size=0, rdev=None, sha256=hashlib.sha256().hexdigest())
        kept[path] = e
    return kept


MOUNT = """set -e
mkdir -p /low /up /m
mount -t tmpfs none /up
for disk in /disks/*; do
	mkdir -p "/up/$disk/u" "/up/$disk/w"
	mount -t erofs -o ro,loop "$disk" /low
	mount -t overlay -o "lowerdir=/low,upperdir=/up/$disk/u,workdir=/up/$disk/w,OPTIONS" none /m
	chown "$(stat -c %u:%g /low)" /m
	chmod "$(stat -c %a /low)" /m
	touch -r /low /m
	cd /m && /walk .
	cd / && umount /m /low
done
"""
# As agent/root.c mounts it.
OPTIONS = "redirect_dir=on,metacopy=off,index=off,xino=auto"


def make_rootfs(folder):
    """A root folder with busybox and walk."""
    for name in ("bin", "dev", "proc", "sys", "tmp", "root", "etc", "disks"):
        (folder / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", folder / "bin/busybox")
    shutil.copy(WALK, folder / "walk")
    for name in ("sh", "mount", "umount", "mkdir", "stat", "chown", "chmod", "touch"):
        (folder / "bin" / name).symlink_to("busybox")


def walk_in_guest(home, rootfs):
    """What a guest sees of each disk in rootfs/disks, by name; it boots once."""
    names = sorted(os.listdir(rootfs / "disks"))
    r = home.run("run", rootfs, "--", "sh", "-c", MOUNT.replace("OPTIONS", OPTIONS), text=False)
    assert r.returncode == 0, r.stderr
    return dict(zip(names, parse_walk(r.stdout), strict=True))


WALK_IN_GUEST = "/.tools/walk"


def tools_layer():
    """A layer with the program walk at WALK_IN_GUEST."""
    return mkimg.D(".tools") + mkimg.F(WALK_IN_GUEST, WALK.read_bytes(), mode=0o755) + bytes(1024)


# Folders that other file systems cover in a guest, and what its boot makes.
COVERED = (b"dev", b"proc", b"sys", b"run", b"tmp")
MADE = (b"etc/hosts", b"etc/hostname", b"etc/resolv.conf", b"lib/modules", b"usr/lib/modules", b"var/tmp")
WRITTEN = (b"etc", b"usr/lib", b"lib", b"var")  # folders in which it makes something: another time


def without_boot(tree):
    """The tree of an image or of a guest without what differs because a guest has booted."""
    kept = {}
    for path, e in tree.items():
        if not any(path == p or path.startswith(p + b"/") for p in COVERED + MADE):
            kept[path] = {**e, "mtime": None} if path in WRITTEN else e
    return kept
