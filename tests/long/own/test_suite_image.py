"""The suite as an image: built here, and run as its documentation says, by a user who is not root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.home import version
from rollproof.profile.profile import PREFIX
from staging.stack.images import build_suite_image
from staging.stack.stack import Stack
from tests.stack.verifier import Verifier, patient

pytestmark = pytest.mark.timeout(1800)
SECONDS = 600
SOCKET = Path("/var/run/docker.sock")


@pytest.fixture(scope="module")
def image(stack: Stack) -> str:
    return build_suite_image(stack.root, print)


def _run(image: str, options: Sequence[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["docker", "run", "--rm", *options, image, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.mark.long(minutes=4)
def test_it_says_its_version_to_a_user_who_is_not_root(image: str) -> None:
    done = _run(image, ["--network=none", "--read-only"], "--version")
    assert (done.returncode, done.stdout.strip()) == (ExitCode.VERIFIED, f"rollproof {version()}")
    asked = _run(image, ["--entrypoint=id"], "-u")
    assert asked.stdout.strip() == "1000"


@pytest.mark.long(minutes=1)
def test_the_stack_is_verified_from_inside_a_container(
    image: str, stack: Stack, verifier: Verifier, tmp_path: Path
) -> None:
    """Every path of the profile is mounted where it is; what is written is next to the profile."""
    incidents = tmp_path / "incidents"
    incidents.mkdir()
    settings = {**verifier.environment, **patient(FOLDERS__INCIDENTS=str(incidents))}
    options = [
        "--network=host",
        # The files of this stack's secrets belong to who made them.
        f"--user={os.getuid()}:{SOCKET.stat().st_gid}",
        f"--volume={SOCKET}:{SOCKET}",
        # The host's disk is asked where the engine keeps its data.
        "--volume=/var/lib/docker:/var/lib/docker:ro",
        f"--volume={stack.root}:{stack.root}:ro",
        f"--volume={verifier.folder}:{verifier.folder}:ro",
        f"--volume={tmp_path}:{tmp_path}",
        *(f"--env={name}={value}" for name, value in settings.items() if name.startswith(PREFIX)),
    ]
    verifier.capture()
    done = _run(image, options, "verify", "--incident=in-a-container")
    assert done.returncode == ExitCode.VERIFIED, done.stdout[-4000:] + done.stderr[-4000:]
    # Allure and Node are inside.
    assert (incidents / "in-a-container" / "report.html").stat().st_size > 100_000
