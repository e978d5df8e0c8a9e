"""The Debian packages of the engine, its commands and the tests' browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from rollproof.errors import Problem
from staging.machine.processes import finish, run

UPDATE_SECONDS = 180
INSTALL_SECONDS = 600
VERSION_SECONDS = 20
# Each program with its package.
_BROWSER = (("chromium", "chromium"), ("chromedriver", "chromium-driver"))


def missing_packages(*, engine: bool) -> list[str]:
    """Return the packages of missing programs: docker, its plugins, git, and dockerd for an engine."""
    missing = []
    if engine and shutil.which("dockerd") is None:
        missing.append("docker.io")
    if shutil.which("docker") is None:
        missing += ["docker-cli", "docker-compose", "docker-buildx"]
    else:
        missing += [f"docker-{plugin}" for plugin in ("compose", "buildx") if not has_plugin(plugin)]
    if shutil.which("git") is None:
        missing.append("git")
    return missing


def has_plugin(name: str) -> bool:
    """Return True if docker knows the plugin `name`."""
    command = ["docker", name, "version"]
    return finish(command, seconds=VERSION_SECONDS, hint="see why docker does not answer").returncode == 0


def install_missing(report: Callable[[str], None], *, engine: bool = False) -> None:
    """Install the missing packages with apt-get, as root.

    Args:
        report: Is told of the installation.
        engine: Whether dockerd is needed too.

    Raises:
        Problem: A program is missing and this is not Debian, or not root, or apt-get failed.
    """
    missing = missing_packages(engine=engine)
    if not missing:
        return
    install(missing, report)
    left = missing_packages(engine=engine)
    if left:
        raise Problem(
            what="installation",
            expected=f"{', '.join(missing)} to bring what was missing",
            observed=f"that {', '.join(left)} is still missing",
            source="PATH",
            hint="install a Docker engine with its compose and buildx plugins yourself, and run this again",
        )


def install_browser(report: Callable[[str], None]) -> None:
    """Install the browser that opens reports in the tests, with apt-get, as root, unless it is present.

    Raises:
        Problem: The browser is missing and this is not Debian, or not root, or apt-get failed.
    """
    missing = [package for program, package in _BROWSER if shutil.which(program) is None]
    if missing:
        install(
            missing,
            report,
            what="browser of the tests",
            expected="chromium and chromedriver",
            instead="install Chromium and its driver",
        )


def install(
    packages: list[str],
    report: Callable[[str], None],
    *,
    what: str = "Docker engine",
    expected: str = "an engine that answers, with compose, buildx and git",
    instead: str = "start Docker and put yourself in its group",
) -> None:
    """Install packages with apt-get; `what`, `expected` and `instead` word the error if that is impossible.

    Raises:
        Problem: This is not Debian, or not root, or apt-get failed.
    """
    names = " ".join(packages)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise Problem(
            what=what,
            expected=expected,
            observed=f"a part missing ({names}), and no way to install it",
            source="this machine (another system than Debian, or not root)",
            hint=f"{instead}, or run this as root on Debian",
        )
    report(f"installing {names}")
    options = ["-o", "DPkg::Lock::Timeout=120", "-y", "-q"]
    hint = f"make `apt-get install {names}` work on this machine, and run this again"
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", *options], seconds=UPDATE_SECONDS, hint=hint, environment=quiet)
    run(
        ["apt-get", "install", "--no-install-recommends", *options, *packages],
        seconds=INSTALL_SECONDS,
        hint=hint,
        environment=quiet,
    )
