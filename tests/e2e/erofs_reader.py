# SPDX-License-Identifier: Apache-2.0
"""A reader of EROFS images, written from the kernel's documentation and nothing else.

tree(path) gives {"dir/name": {"type", "mode", "uid", ...}} as mkimg.py's expected.json has it.
"""
import base64
import hashlib
import os
import struct

PREFIX = {1: "user.", 2: "system.posix_acl_access", 3: "system.posix_acl_default", 4: "trusted.", 6: "security."}
KINDS = {0o100000: "file", 0o040000: "dir", 0o120000: "link", 0o010000: "fifo", 0o020000: "char", 0o060000: "block"}
FILE_TYPES = {"file": 1, "dir": 2, "char": 3, "block": 4, "fifo": 5, "link": 7}


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


class Image:
    def __init__(self, path):
        self.file = open(path, "rb")
        sb = self.at(1024, 128)
        magic, checksum, compat = struct.unpack_from("<III", sb)
        self.bits, _, self.root = struct.unpack_from("<BBH", sb, 12)
        _, _, _, self.blocks, self.meta, self.xattr = struct.unpack_from("<QQIIII", sb, 16)
        self.incompat, = struct.unpack_from("<I", sb, 80)
        assert magic == 0xE0F5E1E2 and compat == 1 and self.bits == 9 and self.incompat in (0, 4)
        block = bytearray(self.at(1024, 512))
        block[4:8] = bytes(4)
        assert crc32c(block) == checksum

    def at(self, offset, size):
        self.file.seek(offset)
        data = self.file.read(size)
        assert len(data) == size, (offset, size)
        return data

    def inode(self, nid):
        pos = (self.meta << self.bits) + nid * 32
        (fmt, icount, mode, _, size, u, _, uid, gid, mtime, nsec, nlink) = struct.unpack_from(
            "<HHHHQIIIIqII", self.at(pos, 64))
        assert fmt & 1
        layout = fmt >> 1
        xsize = 12 + 4 * (icount - 1) if icount else 0
        node = {"nid": nid, "mode": mode, "size": size, "uid": uid, "gid": gid, "mtime": mtime, "nsec": nsec,
                "nlink": nlink, "u": u, "layout": layout, "xattrs": self.xattrs(pos + 64, xsize) if icount else {}}
        node["body"] = pos + 64 + xsize
        return node

    def xattr_entry(self, pos):
        nlen, prefix, vlen = struct.unpack("<BBH", self.at(pos, 4))
        name = PREFIX[prefix] + os.fsdecode(self.at(pos + 4, nlen))
        return name, self.at(pos + 4 + nlen, vlen), (4 + nlen + vlen + 3) // 4 * 4

    def xattrs(self, pos, size):
        out = {}
        shared, = struct.unpack_from("<B", self.at(pos + 4, 1))
        for i in range(shared):
            ident, = struct.unpack("<I", self.at(pos + 12 + 4 * i, 4))
            name, value, _ = self.xattr_entry((self.xattr << self.bits) + 4 * ident)
            out[name] = value
        at = pos + 12 + 4 * shared
        while at < pos + size:
            name, value, n = self.xattr_entry(at)
            assert name not in out
            out[name] = value
            at += n
        assert at == pos + size
        return out

    def content(self, node):
        size, block = node["size"], 1 << self.bits
        if size == 0:
            return b""
        if node["layout"] == 0:
            return self.at(node["u"] * block, size)
        if node["layout"] == 2:
            full = size // block * block
            assert (node["body"] % block) + size - full <= block, "inline data crosses a block"
            return (self.at(node["u"] * block, full) if full else b"") + self.at(node["body"], size - full)
        assert node["layout"] == 4 and node["u"] < 32
        chunk = 1 << self.bits + node["u"]
        out = []
        for i in range((size + chunk - 1) // chunk):
            addr, = struct.unpack("<I", self.at(node["body"] + 4 * i, 4))
            n = min(chunk, size - i * chunk)
            out.append(bytes(n) if addr == 0xFFFFFFFF else self.at(addr * block, n))
        return b"".join(out)

    def names(self, node):
        data, last = self.content(node), b""
        for start in range(0, len(data), 512):
            block = data[start:start + 512]
            n = struct.unpack_from("<H", block, 8)[0] // 12
            offs = [struct.unpack_from("<QHBB", block, 12 * i) for i in range(n)]
            for i, (nid, off, kind, _) in enumerate(offs):
                end = offs[i + 1][1] if i + 1 < n else len(block)
                name = block[off:end].split(b"\0")[0]
                assert last < name, "names are not sorted"
                last = name
                yield name, nid, kind


def describe(img, node, kind):
    e = {"type": kind, "mode": "%04o" % (node["mode"] & 0o7777), "uid": node["uid"], "gid": node["gid"],
         "nlink": node["nlink"], "size": node["size"], "mtime": "%d.%09d" % (node["mtime"], node["nsec"]),
         "xattrs": {k: base64.b64encode(v).decode() for k, v in node["xattrs"].items()}, "nid": node["nid"]}
    if kind == "link":
        e["target"] = os.fsdecode(img.content(node))
    if kind == "file":
        e["sha256"] = hashlib.sha256(img.content(node)).hexdigest()
    if kind in ("char", "block"):
        dev = node["u"]
        e["rdev"] = f"{dev >> 8 & 0xfff}:{dev & 0xff | dev >> 12 & 0xfff00}"
    return e


def tree(path):
    img = Image(path)
    out = {}

    def walk(nid, parent, prefix):
        node = img.inode(nid)
        out[prefix or "."] = describe(img, node, "dir")
        subdirs = 0
        seen = set()
        for name, child, ftype in img.names(node):
            seen.add(name)
            if name in (b".", b".."):
                assert child == (nid if name == b"." else parent)
                continue
            sub = img.inode(child)
            kind = KINDS[sub["mode"] & 0o170000]
            assert ftype == FILE_TYPES[kind]
            full = (prefix + "/" if prefix else "") + os.fsdecode(name)
            if kind == "dir":
                subdirs += 1
                walk(child, nid, full)
            else:
                out[full] = describe(img, sub, kind)
        assert {b".", b".."} <= seen
        assert node["nlink"] == 2 + subdirs

    walk(img.root, img.root, "")
    links = {}
    for e in out.values():
        if e["type"] != "dir":
            links.setdefault(e["nid"], []).append(e)
    for same in links.values():
        assert all(e["nlink"] == len(same) for e in same)
    return out
