"""What is installed for an engine, and the one error where nothing can be."""

from __future__ import annotations

import os
import shutil

import pytest

from rollproof.errors import Problem
from staging.machine import debian_packages


def test_everything_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    everything = ["docker.io", "docker-cli", "docker-compose", "docker-buildx", "git"]
    assert debian_packages.missing_packages(engine=True) == everything


def test_a_missing_plugin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/it")
    monkeypatch.setattr(debian_packages, "has_plugin", lambda name: name != "buildx")
    assert debian_packages.missing_packages(engine=True) == ["docker-buildx"]


@pytest.mark.parametrize(("user", "apt"), [(1000, "/usr/bin/apt-get"), (0, None)])
def test_nothing_is_installed_without_root_or_debian(
    monkeypatch: pytest.MonkeyPatch, user: int, apt: str | None
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(shutil, "which", lambda program: apt if program == "apt-get" else None)
    with pytest.raises(Problem) as caught:
        debian_packages.install_missing(lambda _: None, engine=True)
    assert str(caught.value).splitlines()[1] == (
        "HINT: start Docker and put yourself in its group, or run this as root on Debian"
    )


def test_an_installation_that_brings_nothing_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian_packages, "install", lambda *_: None)
    monkeypatch.setattr(debian_packages, "missing_packages", lambda **_: ["git"])
    with pytest.raises(Problem, match="git is still missing"):
        debian_packages.install_missing(lambda _: None)


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        (set(), ["chromium", "chromium-driver"]),
        ({"chromium"}, ["chromium-driver"]),
        ({"chromium", "chromedriver"}, []),
    ],
)
def test_what_is_missing_of_the_browser_is_installed(
    monkeypatch: pytest.MonkeyPatch, there: set[str], missing: list[str]
) -> None:
    installed: list[str] = []
    monkeypatch.setattr(shutil, "which", lambda program: program if program in there else None)
    monkeypatch.setattr(debian_packages, "install", lambda names, *_, **__: installed.extend(names))
    debian_packages.install_browser(lambda _: None)
    assert installed == missing


def test_a_browser_that_cannot_be_installed_is_a_problem_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Problem) as caught:
        debian_packages.install_browser(lambda _: None)
    assert str(caught.value) == (
        "browser of the tests: expected chromium and chromedriver, observed a part missing (chromium"
        " chromium-driver), and no way to install it"
        " (from this machine (another system than Debian, or not root))\n"
        "HINT: install Chromium and its driver, or run this as root on Debian"
    )
