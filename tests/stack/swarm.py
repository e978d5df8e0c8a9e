"""A swarm of two nodes on this machine, and a tiny image on each: a web server and a shell, by busybox."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import pytest

from staging.engine import install
from staging.stack.slot import first_slot
from tests.conftest import ROOT

SCRIPT = ROOT / "staging" / "swarm.sh"
SECONDS = 120
NODES = {"node-b": "node-b"}
ADDRESS = f"10.214.{first_slot()}.2"
"""The address of the manager."""
_PROGRAMS = ("sh", "sleep", "test", "httpd", "touch", "stat", "kill")


def swarm(*words: str) -> str:
    """Run a command of `staging/swarm.sh`."""
    return _run([str(SCRIPT), *words])


@contextmanager
def two_nodes() -> Iterator[None]:
    """Let docker ask the manager of a new swarm meanwhile; skip, with the reason, where none can be made."""
    if os.geteuid() != 0 or which("unshare") is None:
        pytest.skip("a swarm of two nodes needs the right to make namespaces: run this as root")
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("DOCKER_CONFIG", swarm("up"))
            patched.setenv("DOCKER_CONTEXT", "node-a")
            yield
    finally:
        swarm("down")


def make_images(folder: Path, contexts: Sequence[str]) -> tuple[str, str]:
    """Make the images of two releases in the engines of `contexts`; return their ids."""
    programs = folder / "image" / "bin"
    programs.mkdir(parents=True)
    if which("busybox") is None:
        install("busybox-static", report=print)
    (programs / "busybox").write_bytes(Path(str(which("busybox"))).read_bytes())
    (programs / "busybox").chmod(0o755)
    for name in _PROGRAMS:
        (programs / name).symlink_to("busybox")
    root, saved = folder / "root.tar", folder / "images.tar"
    _run(["tar", "-C", str(folder / "image"), "-cf", str(root), "bin"])
    names = ("rollproof-tiny:1", "rollproof-tiny:2")
    ids = []
    for release, name in enumerate(names, 1):
        label = f"LABEL org.opencontainers.image.revision={str(release) * 40}"
        options = ("--change", label, "--change", "ENV PATH=/bin", str(root))
        ids.append(docker("--context", contexts[0], "import", *options, name))
    docker("--context", contexts[0], "save", "--output", str(saved), *names)
    for context in contexts[1:]:
        docker("--context", context, "load", "--input", str(saved))
    return ids[0], ids[1]


def docker(*words: str) -> str:
    """Run docker, and return what it printed."""
    return _run(["docker", *words])


def _run(words: Sequence[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout.strip()
