"""This machine: programs, room on its disks, and channels to people."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from shlex import quote

from pydantic import SecretStr

from rollproof.backups.room import existing
from rollproof.doctor.examination import Lacking, Need
from rollproof.errors import Mismatch, Unverifiable, reason_of
from rollproof.profile.channels import said_of, sender_of
from rollproof.profile.profile import Target
from rollproof.sealing.signature import sign
from rollproof.system.command import Deadline, run_command

_PROGRAM_SECONDS = 2.5


def programs(target: Target, patience: float = 1.0) -> Iterator[Need]:
    """Yield a probe for each program that a command of this target starts."""
    seconds = patience * _PROGRAM_SECONDS
    yield Need("docker compose", partial(_version, seconds, "docker", "compose", "version", "--short"))
    yield Need("git", partial(_version, seconds, "git", "--version"))
    if target.signing.key is not None:
        yield Need("signing key", partial(_signs, target))


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


def room(target: Target) -> Iterator[Need]:
    """Yield a probe for each folder of records: it can be written, and its disk has free space."""
    for name in ("backups", "incidents", "baselines"):
        yield Need(f"room for {name}", partial(_free, target, getattr(target.folders, name)))


def _free(target: Target, folder: Path) -> str:
    there = existing(folder)
    hint = (
        f"name another folder in the profile, or see: ls -ld {quote(str(there))}; df -h {quote(str(there))}"
    )
    try:
        usage = shutil.disk_usage(there)
    except OSError as error:
        raise Unverifiable(
            what=f"disk of {folder}",
            expected="its free space",
            observed=reason_of(error),
            source=str(folder),
            hint=hint,
        ) from None
    percent = 100 * usage.free / usage.total if usage.total else 0.0
    said, limit = f"{usage.free / 1e9:,.1f} GB free, {percent:.1f} %", target.limits.disk_free_percent
    if percent < limit or not os.access(there, os.W_OK | os.X_OK):
        raise Mismatch(
            what=f"disk of {folder}",
            expected=f"a folder that can be written, with {limit:g} % free",
            observed=said if percent < limit else "one that this user cannot write",
            source=f"limits.disk_free_percent, {there}",
            hint=hint,
        )
    return said


def channels(target: Target) -> Iterator[Need]:
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
            yield Need(numbered, partial(_understood, url), seconds=8.0)
    if not any(every.values()):
        yield Need("channels", _no_channel)


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
