# SPDX-License-Identifier: Apache-2.0
"""Small images that share layers, and what a store holds."""
import hashlib
import io
import json
import os
import pathlib
import tarfile

BUILTIN = pathlib.Path(os.environ["MSB"]).parent / "libexec/microsandbox/images/busybox.tar"


def builtin_layer():
    with tarfile.open(BUILTIN) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
        return tar.extractfile(manifest[0]["Layers"][0]).read()


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def layer(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            add(tar, name, data)
    return out.getvalue()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def archive(layers, tag, cmd=("/bin/sh",)):
    """What `docker save` writes, of one image."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": list(cmd)},
                         "created": "2026-01-02T03:04:05Z",
                         "rootfs": {"type": "layers",
                                    "diff_ids": [f"sha256:{sha(x)}" for x in layers]}}).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for i, data in enumerate(layers):
            add(tar, f"layer{i}/layer.tar", data)
        add(tar, f"{sha(config)}.json", config)
        add(tar, "manifest.json", json.dumps([{
            "Config": f"{sha(config)}.json", "RepoTags": [tag],
            "Layers": [f"layer{i}/layer.tar" for i in range(len(layers))]}]).encode())
    return out.getvalue()


def family(folder, names, size=300_000):
    """Archives of bootable images that share two of three layers: {name: file}. /which has the name."""
    base, middle = builtin_layer(), layer({"etc/family": os.urandom(size)})
    files = {}
    for name in names:
        files[name] = folder / f"{name}.tar"
        top = layer({"which": f"{name}\n".encode(), "etc/own": os.urandom(size)})
        files[name].write_bytes(archive([base, middle, top], f"test/{name}:1"))
    return files


def listed(home):
    return json.loads(home.run("image", "ls", "--format", "json").stdout)


def names(home):
    return [i["reference"] for i in listed(home)]


def files(home):
    """All that the store holds, without its lock: {name below images/: size}."""
    root = home.path / "images"
    return {str(p.relative_to(root)): p.stat().st_size for p in root.rglob("*")
            if p.is_file() and p.name != "lock"}
