"""This machine: programs, room on its disks, what is kept on them, and channels to people."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from shlex import quote

from pydantic import SecretStr

from rollproof.backups.newest_backup import NoBackup, newest_backup
from rollproof.backups.room import existing
from rollproof.baseline.folder import CURRENT
from rollproof.baseline.known_good import current_baseline
from rollproof.doctor.examination import Lacking, Need
from rollproof.errors import Mismatch, Unverifiable, reason_of
from rollproof.home import typed
from rollproof.monitoring.samples import Life, is_fresh, monitor_hint, read_samples, samples_path
from rollproof.profile.channels import said_of, sender_of
from rollproof.profile.profile import Target
from rollproof.sealing.signature import sign
from rollproof.system.clock import Moment, age
from rollproof.system.command import Deadline, run_command


def programs(target: Target, seconds: float) -> Iterator[Need]:
    """Yield a probe for each program that a command of this target starts, which has `seconds` for it."""
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
    shown = quote(str(there))
    hint = f"name another folder in the profile, or see: ls -ld {shown}; df -h {shown}"
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


def kept(target: Target) -> Iterator[Need]:
    """Yield the probes of what is kept on this machine: it is there, and whole.

    Whether it is recent enough, and of this commit, is the gate's to say: steps 1 to 3.
    """
    yield Need("baseline", partial(_baseline, target))
    yield Need("backup", partial(_backup, target))
    yield Need("monitor", partial(_monitor, target))


def _baseline(target: Target) -> str:
    folder = target.folders.baselines / CURRENT
    if not folder.exists():
        raise Lacking(
            what="baseline",
            expected="one that is current",
            observed="none",
            source=str(folder),
            hint=f"in a good state: {typed('capture')}",
        )
    baseline = current_baseline(target)
    old = age(Moment(baseline.created, 0.0, "").seconds_ago())
    return f"{baseline.id}, {old} old, of commit {baseline.facts.commit[:12]}"


def _backup(target: Target) -> str:
    try:
        backup = newest_backup(target.folders.backups, target.name)
    except NoBackup as none:
        raise Lacking(
            what=none.what, expected=none.expected, observed="none", source=none.source, hint=typed("backup")
        ) from None
    old = age(max((backup.age(name) for name in backup.taken), default=0.0))
    return f"{backup.folder.name}, {old} old, of {len(backup.taken)} stores, of commit {backup.commit[:12]}"


def _monitor(target: Target) -> str:
    path, beat = samples_path(target), target.premigration.monitoring.beat_seconds
    samples = read_samples(path, 1)
    if not samples:
        raise Lacking(
            what="monitor", expected="its samples", observed="none", source=str(path), hint=monitor_hint()
        )
    last = samples[-1]
    old, has_ended = last.at.seconds_ago(), last.monitor.life() is Life.ENDED
    if has_ended or not is_fresh(old, beat):
        raise Mismatch(
            what="monitor",
            expected=f"one that runs, and takes a sample each {beat:g} s",
            observed=f"{last.monitor}, which {'has ended' if has_ended else 'hangs, or is stopped'};"
            f" its last sample is {age(old)} old",
            source=str(path),
            hint=monitor_hint(),
        )
    return f"{last.monitor} runs; its last sample is {old:.0f} s old"


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
