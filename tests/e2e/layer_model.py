# SPDX-License-Identifier: Apache-2.0
"""What a sequence of layers means, done the simple way: entry by entry, on a tree in memory.

An entry is a dict: "path" (str), "type" (file, dir, link, hardlink, fifo, char, whiteout, opaque)
and what the type needs: "mode", "uid", "gid", "mtime", "data", "target".  apply() lays one layer
over a tree, random_layer() makes one.
"""
import hashlib

import mkimg

SYMLINKS_MAX = 40
IMPLIED = {"mode": 0o755, "uid": 0, "gid": 0, "mtime": 0}


class Refused(Exception):
    """No loader may take it."""


class Unclear(Exception):
    """What is meant depends on the order in which names and the symlinks to them are seen.

    A layer blob does not know the layers below, so this is nothing that could be promised.
    """


class Node:
    def __init__(self, entry, layer):
        self.entry, self.layer = entry, layer
        self.way = 0  # the last layer that had something below this folder
        self.kids = {} if entry["type"] == "dir" else None

    def is_dir(self):
        return self.entry["type"] == "dir"

    def copy(self):
        """A copy of the directories; all else is shared, so hard links stay what they are."""
        new = Node(self.entry, self.layer)
        new.kids = {name: kid.copy() if kid.is_dir() else kid for name, kid in self.kids.items()}
        return new


def empty_tree():
    return Node({"type": "dir", **IMPLIED}, 0)


def parts(path):
    return [p for p in path.split("/") if p not in ("", ".")]


class Layer:
    """One layer being applied."""

    def __init__(self, below, number, entries):
        self.below, self.root, self.number = below, below.copy(), number
        self.entries = entries
        self.places = []  # (path as written, place it led to, through a symlink?)
        self.folders = {"/".join(parts(e["path"])) for e in entries if e["type"] == "dir"}

    def new_dir(self):
        return Node({"type": "dir", **IMPLIED}, self.number)

    def parent(self, path, make=True):
        """The folder of a path: symlinks are followed inside the root, missing ones are made."""
        todo, stack, links, literal, place = parts(path)[:-1], [self.root], 0, [], []
        while todo:
            name = todo.pop(0)
            if name == "..":
                stack, place = stack[:-1] or stack, place[:-1]
                continue
            literal = None if literal is None else [*literal, name]
            kid = stack[-1].kids.get(name)
            own = literal is not None and "/".join(literal) in self.folders
            if kid and kid.entry["type"] == "link" and not (own and kid.layer < self.number):
                target = parts_of_link(kid)
                if kid.layer < self.number and not self.leads_to_folder(stack, target, kid):
                    raise Unclear
                links += 1
                if links > SYMLINKS_MAX:
                    raise Refused
                if kid.entry["target"].startswith("/"):
                    stack, place = stack[:1], []
                todo, literal = target + todo, None
                continue
            if not (kid and kid.is_dir()):
                if not make:
                    return None
                kid = stack[-1].kids[name] = self.new_dir()
            if make:
                kid.way = self.number
            stack.append(kid)
            place.append(name)
        self.places.append((parts(path), place, literal is None))
        return stack[-1]

    def check_places(self):
        for path, place, followed in self.places:
            for path2, place2, _ in self.places if followed else ():
                n = min(len(place), len(place2) + 1)
                if path[:-1] == path2[:-1]:
                    unclear = place != place2
                else:
                    unclear = place[:n] == [*place2, path2[-1]][:n]
                if unclear:
                    raise Unclear

    def leads_to_folder(self, stack, target, link):
        """Does a symlink of a lower layer lead to a folder?"""
        todo, stack, links = list(target), stack[:1] if link.entry["target"].startswith("/") else list(stack), 0
        while todo:
            name = todo.pop(0)
            if name == "..":
                stack = stack[:-1] or stack
                continue
            kid = stack[-1].kids.get(name)
            if kid and kid.entry["type"] == "link":
                links += 1
                if links >= SYMLINKS_MAX:
                    return False
                if kid.entry["target"].startswith("/"):
                    stack = stack[:1]
                todo = parts_of_link(kid) + todo
            elif kid and kid.is_dir():
                stack.append(kid)
            else:
                return False
        return True

    def marks(self):
        """Whiteouts and opaque marks speak of lower layers only, wherever they stand."""
        for e in self.entries:
            folder = self.parent(e["path"], make=False) if e["type"] in ("whiteout", "opaque") else None
            if folder and e["type"] == "whiteout":
                folder.kids.pop(parts(e["path"])[-1], None)
            elif folder:
                folder.kids.clear()

    def put(self, e):
        folder = self.parent(e["path"])
        if e["type"] in ("whiteout", "opaque"):
            return
        name = parts(e["path"])[-1]
        old = folder.kids.get(name)
        if e["type"] == "dir" and old and old.is_dir():
            old.entry, old.layer = e, self.number
        elif e["type"] == "hardlink":
            self.put_link(e, folder, name)
        else:
            folder.kids[name] = Node(e, self.number)

    def own(self, path):
        """What this layer has of that name."""
        folder = self.parent(path, make=False)
        node = folder.kids.get(parts(path)[-1]) if folder else None
        return node if node and self.number in (node.layer, node.way) else None

    def put_link(self, e, folder, name):
        target = self.own(e["target"])
        if target and target.is_dir():
            if target.layer == self.number and "path" in target.entry:
                raise Refused
            target = None  # a folder without an entry may be something else below
        if target is folder.kids.get(name) and target:
            return
        waiting = target is None or target.entry["type"] == "hardlink"
        folder.kids[name] = Node(e, self.number) if waiting else target

    def resolve(self, node, seen=()):
        """What a hard link to a later or lower name stands for."""
        if node.entry["type"] != "hardlink":
            return node
        path = node.entry["target"]
        target = self.own(path)
        if self.places[-1][2]:
            raise Unclear
        if target is None or target.is_dir():
            layer = Layer(self.below, self.number, [])
            folder = layer.parent(path, make=False)
            target = folder.kids.get(parts(path)[-1]) if folder else None
        if target is None or target.is_dir() or node in seen:
            raise Refused
        return self.resolve(target, (*seen, node))

    def settle(self, folder):
        found = {name: self.resolve(kid) for name, kid in folder.kids.items()}
        return found, [self.settle(kid) for kid in folder.kids.values() if kid.is_dir()]

    def replace(self, folder, settled):
        found, below = settled
        for kid, deeper in zip([k for k in folder.kids.values() if k.is_dir()], below, strict=True):
            self.replace(kid, deeper)
        folder.kids.update(found)


def parts_of_link(node):
    return parts(node.entry["target"])


def apply(below, number, entries):
    layer = Layer(below, number, entries)
    layer.marks()
    for e in entries:
        layer.put(e)
    layer.check_places()
    layer.replace(layer.root, layer.settle(layer.root))
    return layer.root


def listing(root):
    """The tree in the form of trees.py."""
    tree, links = {}, {}

    def walk(node, path):
        e = node.entry
        tree[path] = {
            "type": e["type"], "mode": 0o777 if e["type"] == "link" else e["mode"], "uid": e["uid"], "gid": e["gid"], "mtime": f"{e['mtime']}.000000000",
            "size": len(e["data"]) if "data" in e else None, "rdev": "1:3" if e["type"] == "char" else None,
            "target": e["target"].encode() if e["type"] == "link" else None, "xattrs": {},
            "sha256": hashlib.sha256(e["data"]).hexdigest() if "data" in e else None}
        if not node.is_dir():
            links.setdefault(id(node), []).append(path)
            tree[path]["links"] = links[id(node)]
            return
        tree[path]["links"] = []
        for name, kid in node.kids.items():
            walk(kid, (path + b"/" if path != b"." else b"") + name.encode())

    walk(root, b".")
    for same in links.values():
        same.sort()
    return tree


# ---- random layers --------------------------------------------------------------------------------

NAMES = "abcd"
KINDS = ["file"] * 6 + ["dir"] * 5 + ["link"] * 2 + ["hardlink"] * 3 + ["whiteout"] * 3 + ["opaque", "fifo", "char"]


def random_path(rng, depth=3):
    return "/".join(rng.choice(NAMES) for _ in range(rng.randint(1, depth)))


def random_layer(rng, below):
    """Entries that hit names of the tree below, and each other."""
    there = listing(below)
    files = [p.decode() for p, e in there.items() if e["type"] != "dir"]
    there = [p.decode() for p in there if p != b"."]
    made, entries = [], []
    for _ in range(rng.randint(1, 12)):
        known = there + made
        path = rng.choice(known) if known and rng.random() < 0.5 else random_path(rng)
        e = {"path": path, "type": rng.choice(KINDS), "mode": rng.choice((0o644, 0o755, 0o4711, 0o1777)),
             "uid": rng.randrange(3), "gid": rng.randrange(3), "mtime": mkimg.MTIME + rng.randrange(1000)}
        if e["type"] == "file":
            e["data"] = b"%d\n" % rng.randrange(10 ** 6)
        elif e["type"] == "link":
            e["target"] = rng.choice(("", "/", "../")) + random_path(rng)
        elif e["type"] == "hardlink":
            if not files or path in files:
                continue
            e["target"] = rng.choice(files)
        if e["type"] in ("file", "fifo", "link"):
            files.append(path)
        made.append(path)
        entries.append(e)
    return entries


def random_sequence(rng):
    """(layers, tree); the tree is None if the image must be refused."""
    tree, layers = empty_tree(), []
    for number in range(1, rng.randint(2, 6)):
        while True:
            layer = random_layer(rng, tree)
            try:
                tree = apply(tree, number, layer)
            except Unclear:
                continue
            except Refused:
                return [*layers, layer], None
            layers.append(layer)
            break
    return layers, tree


def pack(entries):
    """The layer as a tar archive."""
    types = {"file": b"0", "dir": b"5", "link": b"2", "hardlink": b"1", "fifo": b"6", "char": b"3"}
    out = b""
    for e in entries:
        folder, _, name = e["path"].rpartition("/")
        if e["type"] == "whiteout":
            out += mkimg.F((folder + "/" if folder else "") + f".wh.{name}", b"")
        elif e["type"] == "opaque":
            out += mkimg.F((folder + "/" if folder else "") + ".wh..wh..opq", b"")
        else:
            out += mkimg.entry(e["path"] + "/" * (e["type"] == "dir"), e.get("data", b""), typ=types[e["type"]],
                               mode=e["mode"], uid=e["uid"], gid=e["gid"], mtime=e["mtime"],
                               link=e.get("target", "").encode(), dev=(1, 3) if e["type"] == "char" else (0, 0))
    return out + bytes(1024)
