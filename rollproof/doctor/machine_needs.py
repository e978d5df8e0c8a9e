"""This machine: programs, room on its disks, and channels to people."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from shlex import quote

from pydantic import SecretStr

from rollproof.backups.sets import existing
from rollproof.doctor.examination import REQUEST_SECONDS, Need, Wrong
from rollproof.profile.channels import public_part, sender_of
from rollproof.profile.profile import Target
from rollproof.sealing.signature import sign
from rollproof.system.command import Deadline, run_command


def machine_needs(target: Target) -> Iterator[Need]:
    """Yield a question about each program that is needed, the signing key, and each folder of records."""
    for program, option in (("docker compose", "version"), ("git", "--version")):
        yield Need(program, partial(_version, *program.split(), option))
    if target.signing.key is not None:
        yield Need("signing key", partial(_signs, target))
    for name in ("backups", "incidents", "baselines"):
        yield Need(f"room for {name}", partial(_free, target, getattr(target.folders, name)))


def _version(*command: str) -> str:
    said = run_command(command, what=" ".join(command), deadline=Deadline(REQUEST_SECONDS))
    return said.partition("\n")[0]


def _signs(target: Target) -> str:
    sign(b"doctor", target.signing)
    return f"signs: {target.signing.key}"


def _free(target: Target, folder: Path) -> str:
    there, limit = existing(folder), target.limits.disk_free_percent
    usage = shutil.disk_usage(there)
    percent = 100 * usage.free / usage.total if usage.total else 0.0
    said = f"{usage.free / 1e9:,.1f} GB free, {percent:.1f} %"
    is_full, shown = percent < limit, quote(str(there))
    if is_full or not os.access(there, os.W_OK | os.X_OK):
        raise Wrong(
            f"a folder that can be written, with {limit:g} % free (limits.disk_free_percent)",
            said if is_full else "one that this user cannot write",
            f"name another folder in the profile, or see: ls -ld {shown}; df -h {shown}",
        )
    return said


def channel_needs(target: Target) -> Iterator[Need]:
    """Yield a question about the channels of each kind of person; nothing is sent."""
    contacts = target.contacts
    every = {
        "team channels": target.premigration.team.channels,
        "on-call channels": contacts.on_call.channels,
        "tech-lead channels": contacts.tech_lead.channels,
        "post-mortem channels": contacts.post_mortem,
    }
    for name, urls in every.items():
        if urls:
            yield Need(name, partial(_understood, urls), seconds=REQUEST_SECONDS)


def _understood(urls: tuple[SecretStr, ...]) -> str:
    if odd := [public_part(url.get_secret_value()) for url in urls if sender_of(url) is None]:
        hint = "see github.com/caronc/apprise/wiki for the URL of each kind of channel"
        raise Wrong("URLs that Apprise understands", ", ".join(odd), hint)
    said = ", ".join(public_part(url.get_secret_value()) for url in urls)
    return f"{said}: understood; no message was sent"
