"""This machine: programs, room on its disks, and channels to people."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from shlex import quote

from pydantic import SecretStr

from rollproof.backups.newest_backup import newest_backup
from rollproof.backups.room import existing, no_room
from rollproof.doctor.examination import Lacking, Probe
from rollproof.errors import Mismatch, Problem, Unverifiable, reason_of
from rollproof.profile.channels import said_of, sender_of
from rollproof.profile.profile import Target
from rollproof.sealing.signature import sign
from rollproof.system.command import Deadline, run_command

_PROGRAM_SECONDS = 2.5


def programs(target: Target, patience: float = 1.0) -> Iterator[Probe]:
    """Yield a probe for each program that a command of this target starts."""
    seconds = patience * _PROGRAM_SECONDS
    yield Probe("docker compose", partial(_version, seconds, "docker", "compose", "version", "--short"))
    yield Probe("git", partial(_version, seconds, "git", "--version"))
    if target.signing.key is not None:
        yield Probe("signing key", partial(_signs, target))


def _version(seconds: float, program: str, *arguments: str) -> str:
    place = shutil.which(program)
    if place is None:
        raise Lacking(
            what=program,
            expected=f"the program {program}",
            observed="none",
            source="PATH",
            hint=f"install it, or name the folder that it is in in PATH: command -v {program}",
        )
    what = " ".join((program, *arguments))
    said = run_command([place, *arguments], what=what, deadline=Deadline(seconds))
    return said.splitlines()[0] if said.strip() else place


def _signs(target: Target) -> str:
    sign(b"doctor", target.signing)
    return f"signs: {target.signing.key}"


def room(target: Target) -> Iterator[Probe]:
    """Yield a probe for each folder of records: its free space, also for a copy of all stores."""
    for name, needed in (("backups", True), ("incidents", True), ("baselines", False)):
        yield Probe(f"room for {name}", partial(_free, target, getattr(target.folders, name), copied=needed))


def _free(target: Target, folder: Path, *, copied: bool) -> str:
    try:
        there = existing(folder)
        usage = shutil.disk_usage(there)
    except OSError as error:
        raise _unreadable(folder, error) from None
    if not os.access(there, os.W_OK | os.X_OK):
        raise Mismatch(
            what=f"folder {folder}",
            expected="one that can be written",
            observed="one that this user cannot write",
            source=str(there),
            hint=_permissions(there),
        )
    percent = 100 * usage.free / usage.total if usage.total else 0.0
    limit = target.limits.disk_free_percent
    if percent < limit:
        raise Mismatch(
            what=f"disk of {folder}",
            expected=f"{limit:g} % free",
            observed=f"{percent:.1f} %, {_size(usage.free)}",
            source=f"limits.disk_free_percent, {there}",
            hint=f"make room, or name another folder in the profile: df -h {quote(str(there))}",
        )
    said = f"{_size(usage.free)} free, {percent:.0f} %"
    if not copied:
        return said
    try:
        backup = newest_backup(target.folders.backups, target.name)
    except (Mismatch, Problem):
        return f"{said}; how much a backup needs is not known yet"
    if problem := no_room(folder, backup, [name for name in target.stores if name in backup.stores]):
        raise problem
    return f"{said}; the newest backup is {_size(sum(one.size for one in backup.stores.values()))}"


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"  # noqa: PLR2004


def _unreadable(folder: Path, error: OSError) -> Unverifiable:
    return Unverifiable(
        what=f"disk of {folder}",
        expected="its free space",
        observed=reason_of(error),
        source=str(folder),
        hint=_permissions(folder),
    )


def _permissions(folder: Path) -> str:
    return f"correct the folder in the profile, or its permissions: ls -ld {quote(str(folder))}"


def channels(target: Target) -> Iterator[Probe]:
    """Yield a probe for each channel: its URL is understood; nothing is sent."""
    contacts = target.contacts
    every = {
        "team channel": target.premigration.team.channels,
        "on-call channel": contacts.on_call.channels,
        "tech-lead channel": contacts.tech_lead.channels,
        "post-mortem channel": contacts.post_mortem,
    }
    for name, urls in every.items():
        for number, url in enumerate(urls, start=1):
            numbered = name if len(urls) == 1 else f"{name} {number}"
            yield Probe(numbered, partial(_understood, url), seconds=8.0)
    if not any(every.values()):
        yield Probe("channels", _no_channel)


def _no_channel() -> str:
    raise Lacking(
        what="channels",
        expected="one at least, for the team or the contacts",
        observed="none",
        source="premigration.team.channels and contacts of the profile",
        hint='in [premigration.team]: channels = [{file = "path"}]; the file holds one Apprise URL',
    )


def _understood(url: SecretStr) -> str:
    said = said_of(url.get_secret_value())
    if sender_of(url) is None:
        raise Mismatch(
            what="channel",
            expected="a URL that Apprise understands",
            observed=said,
            source="the profile",
            hint="see github.com/caronc/apprise/wiki for the URL of each kind of channel",
        )
    return f"{said}: understood; no message was sent"
