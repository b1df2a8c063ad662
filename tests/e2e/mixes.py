# SPDX-License-Identifier: Apache-2.0
"""More archives in the form of mkimg.CASES: habits of the programs that write images, and mixes
of whiteouts, opaque marks, links and types over several layers."""
import struct

from mkimg import (BIN, CAP, MTIME, NOID, D, F, H, S, X, acl, d, entry, f, gnu_long, header, pad, pax,
                   want)

CAP3 = struct.pack("<IIIIII", 0x03000001, 0x400, 0, 0, 0, 1000)  # of a user namespace: with a root id
ACL_DEFAULT = acl((1, 7, NOID), (4, 5, NOID), (8, 7, 50), (16, 7, NOID), (32, 0, NOID))
ACL_TEXT = "user::rw-,user:1234:rwx,group::r--,mask::rwx,other::r--"
ACL_OF_TEXT = acl((1, 6, NOID), (2, 7, 1234), (4, 4, NOID), (16, 7, NOID), (32, 4, NOID))
EVERY_BYTE = bytes(b for b in range(1, 256) if b != ord("/")).decode("utf-8", "surrogateescape")


def raw(name, data=b"", **kw):
    """An entry whose name is bytes."""
    return header(name, size=len(data), **kw) + pad(data)


def v7(name, data=b"", **kw):
    """Before ustar: no magic, and the slash at the end makes the directory."""
    h = bytearray(header(name.encode(), size=len(data), **{"typ": b"\0", **kw}))
    h[257:345] = bytes(88)
    h[148:156] = b" " * 8
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h) + pad(data)


def sparse_0(name, version, chunks, real):
    """pax sparse formats 0.0 and 0.1."""
    body = b"".join(data for _, data in chunks)
    records = [("GNU.sparse.size", str(real)), ("GNU.sparse.numblocks", str(len(chunks)))]
    if version == 0:
        for offset, data in chunks:
            records += [("GNU.sparse.offset", str(offset)), ("GNU.sparse.numbytes", str(len(data)))]
    else:
        records += [("GNU.sparse.name", name), ("GNU.sparse.map", ",".join(f"{o},{len(x)}" for o, x in chunks))]
    # A dict would lose the repeated keys of 0.0.
    head = b"".join(pax({key: value})[512:].rstrip(b"\0") for key, value in records)
    return (header(b"PaxHeaders/x", b"x", size=len(head)) + pad(head)
            + entry(name if version == 0 else f"GNUSparseFile.7/{name}", body))


CHUNKS = [(512, b"A" * 512), (4096, b"B" * 1000), (10000, b"C" * 7)]
REAL = 20000


def dense():
    out = bytearray(REAL)
    for offset, data in CHUNKS:
        out[offset:offset + len(data)] = data
    return bytes(out)


T = f"{MTIME}.000000000"

CASES = {
    "docker": ("Docker's diff: parents first, whiteouts sorted among the files, links inside the layer",
               [[D("etc"), F("etc/a"), F("etc/z"), D("var", 0o750, uid=3), F("var/old")],
                [D("etc"), F("etc/.wh.a", b""), F("etc/b", b"1"), H("etc/c", "etc/b"), D("var", 0o750, uid=3),
                 F("var/.wh.old", b""), F("var/new", px={X + "security.capability": CAP})]],
               {"etc/b": f(b"1", nlink=2, same="etc/c"), "etc/z": f(), "var": d(0o750, uid=3, mtime=T),
                "var/new": f(xattrs={"security.capability": CAP})}, ["etc/a", "var/old", "etc/.wh.a"]),
    "buildkit": ("BuildKit's diff: an opaque mark for a directory that was made anew",
                 [[D("app"), D("app/lib"), F("app/lib/x"), F("app/y")],
                  [D("app", 0o700), F("app/.wh..wh..opq", b""), D("app/lib", 0o711), F("app/lib/z")]],
                 {"app": d(0o700), "app/lib": d(0o711), "app/lib/z": f()}, ["app/lib/x", "app/y"]),
    "kaniko": ("Kaniko: a root entry '/', names from the root, no parents for whiteouts",
               [[D("/", 0o711), F("/usr/bin/tool"), F("/usr/share/doc")],
                [F("/usr/share/.wh.doc", b""), H("/usr/bin/alias", "/usr/bin/tool")]],
               {".": d(0o711), "usr/bin/tool": f(nlink=2, same="usr/bin/alias"), "usr/share": d(mtime="0.000000000")},
               ["usr/share/doc"]),
    "bazel": ("Bazel: './' before every name, time 0, parents again and again",
              [[D(".", mtime=0), D("./app", mtime=0), F("./app/a", mtime=0), D(".", mtime=0), D("./app", 0o555, mtime=0),
                S("./app/l", "./a", mtime=0), F("./app/b", mtime=0, uid=65532)]],
              {".": d(mtime="0.000000000"), "app": d(0o555), "app/a": f(mtime="0.000000000"),
               "app/l": want("link", 0o777, target="./a"), "app/b": f(uid=65532)}, []),
    "jib": ("Jib: second 1 for all, folders only where it made them",
            [[D("app", mtime=1), F("app/libs/x.jar", mtime=1), F("app/classes/Main.class", mtime=1)],
             [F("app/resources/r", mtime=1)]],
            {"app": d(mtime="1.000000000"), "app/libs": d(mtime="0.000000000"), "app/resources/r": f(mtime="1.000000000")},
            []),
    "ko": ("ko: a symlink entry with the mode of a file; Linux shows 0777",
           [[D("ko-app"), F("ko-app/main", mode=0o555), entry("current", typ=b"2", mode=0o644, link=b"/ko-app/main")]],
           {"current": want("link", 0o777, target="/ko-app/main"), "ko-app/main": f(mode=0o555)}, []),
    "v7": ("the oldest headers: no magic, a directory by its slash",
           [[v7("d/", mode=0o711), v7("d/f", b"old"), v7("d/l", typ=b"2", link=b"f")]],
           {"d": d(0o711), "d/f": f(b"old"), "d/l": want("link", target="f")}, []),
    "odd_types": ("a contiguous file is a file; a directory with a size has no content",
                  [[entry("c", b"data", typ=b"7"), header(b"d/", b"5", 0o755, size=4096), F("after")]],
                  {"c": f(b"data"), "d": d(), "after": f()}, []),
    "sparse_00": ("pax sparse format 0.0", [[sparse_0("s", 0, CHUNKS, REAL)]], {"s": f(dense())}, []),
    "sparse_01": ("pax sparse format 0.1", [[sparse_0("s", 1, CHUNKS, REAL)]], {"s": f(dense())}, []),
    "every_byte": ("names and targets of every byte but '/' and NUL; UTF-8 or not",
                   [[raw(b"\xff\xfe\n"), D("dir"), raw(b"dir/" + bytes(range(1, 47)), b"low"),
                     gnu_long(EVERY_BYTE[-60:].encode("utf-8", "surrogateescape").decode("latin-1"), b"high"),
                     entry("l", typ=b"2", px={"linkpath": EVERY_BYTE.encode("utf-8", "surrogateescape")}),
                     F("u", px={"path": "naïve ☃ 𝄞"})]],
                   {"naïve ☃ 𝄞": f(), "l": want("link", target=EVERY_BYTE), "\udcff\udcfe\n": f(b"")}, []),
    "almost_marks": ("names that only look like whiteouts are files",
                     [[F(".wh"), F("a.wh.b"), F(".WH.x"), F("x")], [F(".who")]],
                     {".wh": f(), "a.wh.b": f(), ".WH.x": f(), "x": f(), ".who": f()}, []),
    "pax_scope": ("a global header is overruled and taken back; comments and unknown keys mean nothing",
                  [[pax({"mtime": "1000.5", "gid": "77", "comment": "git commit"}, b"g"), F("a"),
                    F("b", gid=5, px={"gid": "", "VENDOR.key": "v"}), pax({"mtime": ""}, b"g"), F("c")]],
                  {"a": f(gid=77, mtime="1000.500000000"), "b": f(gid=5, mtime="1000.500000000"), "c": f(gid=77, mtime=T)},
                  []),
    "times": ("years 2038, 2106 and 2446 are no end; digits below a nanosecond are cut off",
              [[F("a", mtime=2 ** 31), F("b", mtime=2 ** 32 + 5), F("c", px={"mtime": "15032385536.000000001"}),
                F("e", px={"mtime": "1.9999999999"}), D("d", px={"mtime": "2.000000001"})]],
              {"a": f(mtime="2147483648.000000000"), "b": f(mtime="4294967301.000000000"),
               "c": f(mtime="15032385536.000000001"), "e": f(mtime="1.999999999"), "d": d(mtime="2.000000001")}, []),
    "caps_acls": ("capabilities with a root id, ACLs for a directory's files, text of star; upper layers replace them",
                  [[F("c", mode=0o755, px={X + "security.capability": CAP3}), F("t", mode=0o674, px={"SCHILY.acl.access": ACL_TEXT}),
                    D("d", 0o770, px={X + "system.posix_acl_default": ACL_DEFAULT, X + "trusted.t": "1"}),
                    F("gone", px={X + "user.bin": BIN})],
                   [F("gone"), F("d/x", px={X + "user.bin": BIN})]],
                  {"c": f(mode=0o755, xattrs={"security.capability": CAP3}),
                   "t": f(mode=0o674, xattrs={"system.posix_acl_access": ACL_OF_TEXT}),
                   "d": d(0o770, xattrs={"system.posix_acl_default": ACL_DEFAULT, "trusted.t": b"1"}),
                   "gone": f(xattrs={}), "d/x": f(xattrs={"user.bin": BIN})}, []),
    "rename": ("what a rename leaves: a link to the lower name, and its whiteout",
               [[F("old", b"kept", uid=9, px={X + "user.a": "1"}), F("other")], [H("new", "old"), F(".wh.old", b"")]],
               {"new": f(b"kept", uid=9, nlink=1, xattrs={"user.a": b"1"}), "other": f()}, ["old"]),
    "group_breaks": ("a lower group of links: one name rewritten, one removed, one replaced; the rest stays one inode",
                     [[F("a", b"v1"), H("b", "a"), H("c", "a"), H("e", "a"), H("g", "a"), H("h", "a")],
                      [F("b", b"v2"), F(".wh.c", b""), S("e", "a")], [H("i", "h")]],
                     {"a": f(b"v1", nlink=4, same="i"), "g": f(b"v1", nlink=4, same="a"), "b": f(b"v2", nlink=1),
                      "e": want("link", target="a", nlink=1)}, ["c"]),
    "opaque_depth": ("opaque below opaque, whiteout beside a new file of that name, in four layers",
                     [[D("a"), D("a/b"), D("a/b/c"), F("a/b/c/1"), F("a/x")],
                      [D("a"), D("a/b"), F("a/b/.wh..wh..opq", b""), D("a/b/c"), F("a/b/c/2")],
                      [D("a"), F("a/.wh.x", b""), F("a/x", b"again"), D("a/b"), D("a/b/c"), F("a/b/c/.wh.2", b"")],
                      [D("a"), F("a/b/c/3"), F("a/.wh..wh..opq", b""), F("a/y")]],
                     {"a/y": f(), "a/b/c/3": f(), "a/b/c": d(mtime="0.000000000")}, ["a/x", "a/b/c/1", "a/b/c/2"]),
    "whiteout_twice": ("gone in one layer, back in the next, gone again; what was below does not come back",
                       [[D("d"), F("d/1"), F("f", b"1")], [F(".wh.d", b""), F(".wh.f", b"")], [D("d"), F("d/2"), F("f", b"3")],
                        [F(".wh.d", b"")], [D("d")]],
                       {"d": d(), "f": f(b"3")}, ["d/1", "d/2"]),
    "type_chain": ("one name is file, directory, symlink, FIFO, link and file again, layer by layer",
                   [[F("n", b"1"), F("keep", b"k")], [D("n"), F("n/child")], [S("n", "keep")],
                    [entry("n", typ=b"6")], [H("n", "keep")], [F("m", b"6"), H("n", "m")]],
                   {"n": f(b"6", nlink=2, same="m"), "keep": f(b"k", nlink=1)}, ["n/child"]),
    "types_in_one": ("the same within one layer; a directory in the place of a file hides what is below",
                     [[D("n"), F("n/low"), D("o"), F("o/low")],
                      [F("n", b"1"), D("n"), F("n/new"), S("o", "n"), F("o/via"), F("p", b"1"), H("q", "p"), F("p", b"2")]],
                     {"n": d(), "n/new": f(), "n/via": f(), "o": want("link", target="n"), "p": f(b"2", nlink=1),
                      "q": f(b"1", nlink=1)}, ["n/low", "o/low"]),
    "usrmerge": ("a lower layer merged /usr; layers on top still use the old names, also for marks and links",
                 [[D("usr"), D("usr/lib"), D("usr/lib/x"), F("usr/lib/x/1"), S("lib", "usr/lib"), S("lib64", "/lib")],
                  [F("lib/x/2"), F("lib64/y", b"y"), H("lib/z", "lib64/y")], [F("lib/x/.wh.1", b""), H("w", "lib/z")]],
                 {"usr/lib/x/2": f(), "usr/lib/y": f(b"y", nlink=3, same="w"), "usr/lib/z": f(b"y", nlink=3),
                  "lib": want("link", target="usr/lib")}, ["usr/lib/x/1"]),
    "deep": ("600 directories in each other, taken apart in the next layer",
             [[F("d/" * 600 + "leaf", px={"path": "d/" * 600 + "leaf"})],
              [F("x", px={"path": "d/" * 599 + ".wh.d"}), F("y", px={"path": "d/" * 599 + "leaf"})]],
             {"d/" * 599 + "leaf": f()}, ["d/" * 600 + "leaf"]),
    "link_to_link": ("links to links, forward and over layers, end at one inode",
                     [[H("c", "b"), H("b", "a"), F("a", b"1")], [H("e", "c"), H("g", "e"), F("h", b"2"), H("i", "h")]],
                     {"a": f(b"1", nlink=5, same="g"), "i": f(b"2", nlink=2, same="h")}, []),
    "link_then_dir": ("a link to a lower file whose name becomes a directory afterwards",
                      [[F("a", b"low")], [H("b", "a"), D("a"), F("a/x")]], {"a": d(), "a/x": f(), "b": f(b"low", nlink=1)}, []),
    "link_to_dir": ("a hard link to a directory is refused", [[D("d"), H("l", "d")]], {"error": "directory"}, []),
    "link_loop": ("hard links to each other are refused", [[H("a", "b"), H("b", "a")]], {"error": "no such file"}, []),
    "symlink_loop": ("a parent that is a loop of symlinks is refused",
                     [[S("a", "b"), S("b", "a"), F("a/x")]], {"error": "symlinks"}, []),
    "below_mark": ("an entry below a whiteout is refused", [[F("a")], [F(".wh.a/b")]], {"error": "whiteout"}, []),
    "nul_name": ("a name with a NUL byte is refused", [[F("x", px={"path": b"a\0b"})]], {"error": "NUL"}, []),
    "huge_size": ("a size beyond the end of the archive is refused", [[header(b"big", size=1 << 40)]],
                  {"error": "big"}, []),
    "sparse_lies": ("a sparse map past the end of its file is refused",
                    [[sparse_0("s", 1, [(REAL, b"x" * 10)], REAL)]], {"error": "sparse"}, []),
}
