# SPDX-License-Identifier: Apache-2.0
"""The store under kills and under many processes at once.

Whatever happens, every image that is listed boots, and what nothing needs can be freed.
"""
import json
import os
import random
import subprocess
import threading

import pytest

from conftest import BOOT_S, Home, eventually
from images import family, files, listed, names

SEED = int(os.environ.get("MSB_TEST_SEED", "20261125"))
NAMES = ["ash", "birch", "cedar", "date"]
KILLS = 50


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def archives(tmp_path):
    return family(tmp_path, NAMES)


def fresh_files(tmp_path, archives, references):
    """What a store holds that never knew anything but these images."""
    fresh = Home(tmp_path / "fresh")
    for reference in references:
        name = reference.split("/")[-1].split(":")[0]
        assert fresh.run("load", "-i", archives[name]).returncode == 0
    return files(fresh)


def whole(home):
    """Each listed image has all its bytes."""
    for image in listed(home):
        r = home.run("image", "verify", image["digest"], "--format", "json")
        assert r.returncode == 0, r.stdout + r.stderr


def boots(home):
    for reference in names(home):
        name = reference.split("/")[-1].split(":")[0]
        r = home.run("run", reference, "--", "cat", "/which")
        assert r.stdout == f"{name}\n", r.stderr


def same_as_fresh(home, tmp_path, archives):
    """After a sweep there is what the images need, and after a prune nothing."""
    home.run("load", "-i", archives[NAMES[0]])
    assert files(home) == fresh_files(tmp_path, archives, names(home))
    r = home.run("image", "prune", "-y", "--format", "json")
    assert r.returncode == 0, r.stderr
    assert files(home) == {} and names(home) == []


def test_kills_at_any_moment(home, archives, tmp_path):
    """Load, rm and prune at the same time, each killed at some moment."""
    rnd = random.Random(SEED)
    print("seed", SEED)
    kills = 0
    while kills < KILLS:
        jobs = [["load", "-i", archives[rnd.choice(NAMES)]],
                ["load", "-i", archives[rnd.choice(NAMES)]],
                ["image", "rm", f"test/{rnd.choice(NAMES)}:1"],
                ["image", "prune", "-y"]]
        rnd.shuffle(jobs)
        running = [home.start(*map(str, job), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                   for job in jobs[:3]]
        for p in running:
            try:
                p.wait(timeout=rnd.uniform(0, 0.05))
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
                kills += 1
        if kills % 10 == 0:
            whole(home)
    for name in NAMES[:2]:  # so that there is something to boot
        assert home.run("load", "-i", archives[name]).returncode == 0
    assert not list((home.path / "images/tmp").iterdir())
    whole(home)
    boots(home)
    same_as_fresh(home, tmp_path, archives)


# What may be said to one of many processes that work with the same images.
FINE = ("no image '", "is not here", "is used by ", "is being started, loaded or pulled", "was removed meanwhile")


def work(home, archives, seed, failed):
    rnd = random.Random(seed)
    for _ in range(6):
        name = rnd.choice(NAMES)
        job = rnd.choice([["load", "-i", archives[name]], ["load", "-i", archives[name]],
                          ["run", "--pull", "never", f"test/{name}:1", "--", "cat", "/which"],
                          ["image", "rm", f"test/{name}:1"], ["image", "prune", "-y"],
                          ["image", "tag", f"test/{name}:1", f"test/{name}:1"],
                          ["image", "verify", f"test/{name}:1"]])
        r = home.run(*job, timeout_s=2 * BOOT_S)
        right = r.stdout == f"{name}\n" if job[0] == "run" else True
        if (r.returncode == 0 and not right) or \
                (r.returncode != 0 and not any(text in r.stderr for text in FINE)):
            failed.append((job, r.returncode, r.stdout, r.stderr))


def test_eight_processes_at_once(home, archives, tmp_path):
    print("seed", SEED)
    failed = []
    threads = [threading.Thread(target=work, args=(home, archives, SEED + i, failed)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == []
    assert eventually(lambda: not home.leftovers()), home.leftovers()
    whole(home)
    boots(home)
    same_as_fresh(home, tmp_path, archives)


def test_a_sandbox_keeps_its_image_against_all(home, archives):
    """Removal at the same time as starts: what was started, starts again."""
    assert home.run("load", "-i", archives["ash"]).returncode == 0
    done = threading.Event()

    def remove():
        while not done.is_set():
            home.run("image", "prune", "-y")
            home.run("image", "rm", "-f", "test/ash:1")
            home.run("load", "-i", archives["ash"])

    t = threading.Thread(target=remove)
    t.start()
    started = []
    try:
        for i in range(6):
            r = home.run("run", "--pull", "never", "--name", f"box{i}", "test/ash:1", "--", "cat", "/which")
            assert r.stdout == "ash\n" or any(text in r.stderr for text in FINE), r.stderr
            if r.returncode == 0:
                started.append(f"box{i}")
    finally:
        done.set()
        t.join()
    if not started:
        assert home.run("run", "--name", "box", "test/ash:1", "--", "true").returncode == 0
        started.append("box")
    kept = [i for i in listed(home) if i["used_by"]]
    assert sum(i["used_by"] for i in {i["digest"]: i for i in kept}.values()) == len(started)
    home.run("image", "rm", "-f", "test/ash:1")
    r = home.run("run", "--name", started[0], "test/ash:1", "--", "cat", "/which")
    assert r.stdout == "ash\n", r.stderr


def test_ls_of_a_thousand_images(home, archives):
    """The list of a large store: rows are made by hand, since only the database is asked."""
    import sqlite3

    assert home.run("load", "-i", archives["ash"]).returncode == 0
    with sqlite3.connect(home.path / "db") as db:
        shared = db.execute("SELECT max(id) FROM files").fetchone()[0]
        for i in range(1000):
            digest = f"sha256:{i:064x}"
            db.execute("INSERT INTO images (manifest_digest, config_digest, created, size, loaded_at,"
                       " platform) VALUES (?, ?, '2026-01-02T03:04:05Z', 5, 6, 'linux/amd64')",
                       (digest, digest))
            db.execute("INSERT INTO refs VALUES (?, ?)", (f"docker.io/many/image{i:04}:1", digest))
            for k in range(5):
                name = f"layers/{i * 5 + k:064x}.tar"
                f = db.execute("INSERT INTO files (name, digest, size, disk, inode, mtime)"
                               " VALUES (?, ?, 1, 1, 1, 1) RETURNING id",
                               (name, f"sha256:{i * 5 + k:064x}")).fetchone()[0]
                db.execute("INSERT INTO image_files VALUES (?, ?, 'layer', ?)", (digest, k, f))
            db.execute("INSERT INTO image_files VALUES (?, 5, 'layer', ?)", (digest, shared))
    images = listed(home)
    assert len(images) == 1001 and len(images[0]["layers"]) == 6
    assert len(home.run("image", "ls").stdout.splitlines()) == 1002
