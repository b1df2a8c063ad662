# SPDX-License-Identifier: Apache-2.0
"""kill -9 of pull, load, rm and prune at random moments: what is listed boots, the rest can go."""
import random
import signal
import subprocess

import pytest

import mkimg
import pulling
import registry
from conftest import Home
from pulling import MIB, layer, left, listed, noise

MOMENTS = 50
LATEST_S = 0.4  # a pull of these images takes about as long


# Images that share layers; they are pulled, or loaded, or both.
LAYERS = [layer(f"n{i}", noise(i, MIB)) for i in range(4)]
IMAGES = {"a": [0, 1], "b": [1, 2], "c": [2, 3], "d": [0, 1, 2, 3]}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with registry.Registry(tmp_path_factory.mktemp("registry")) as r:
        for name, numbers in IMAGES.items():
            r.push_layers([pulling.busybox_layer(), *(LAYERS[i] for i in numbers)], f"{name}:1")
        yield r


def commands(rng, archive, host):
    """Four commands that get into each other's way."""
    refs = [f"{host}/{name}:1" for name in IMAGES]
    choice = [["pull", rng.choice(refs)], ["pull", rng.choice(refs)], ["load", "-i", archive],
              ["image", "rm", rng.choice([*refs, "loaded:1"])], ["image", "prune", "-y"]]
    return [choice[0], *rng.sample(choice[1:], 3)]


def test_kill_9_at_random_moments(tmp_path, plain):
    home = Home(tmp_path / "home")
    archive = tmp_path / "loaded.tar"
    archive.write_bytes(mkimg.image([pulling.busybox_layer(), LAYERS[1], LAYERS[3]], "loaded"))
    rng = random.Random("moments")
    env = {**home.env, **registry.nowhere(tmp_path)}
    moments = verified = 0
    while moments < MOMENTS:
        running = [subprocess.Popen([home.msb, *map(str, c)], env=env, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                   for c in commands(rng, archive, plain.host)]
        try:
            running[0].wait(rng.uniform(0, LATEST_S))
        except subprocess.TimeoutExpired:
            pass
        for child in running:
            child.kill()
        codes = {child.wait(10) for child in running}
        assert codes <= {0, 1, -signal.SIGKILL}
        moments += -signal.SIGKILL in codes
        if moments % 10 == 9:
            verified += verify(home)
    assert verified > 0
    check_store(home, plain)


def verify(home):
    """How many images are listed; each has all its bytes."""
    images = listed(home)
    for ref in images:
        r = home.run("image", "verify", ref)
        assert r.returncode == 0, (ref, r.stdout, r.stderr)
    return len(images)


def check_store(home, plain):
    for ref in listed(home):
        r = home.run("run", ref, "--", "/bin/busybox", "echo", "boots")
        assert (r.returncode, r.stdout) == (0, "boots\n"), (ref, r.stderr)
    # All can be had after all that.
    for name in IMAGES:
        assert pulling.pull(home, f"{plain.host}/{name}:1").returncode == 0
    assert not list((home.path / "images/tmp").iterdir())
    # Without images, there is nothing.
    r = home.run("image", "prune", "-y")
    assert r.returncode == 0, r.stderr
    assert listed(home) == {}
    assert left(home) == []
