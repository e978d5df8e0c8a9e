"""This machine: programs, room on its disks, what is kept on them, and channels to people."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from shlex import quote

from pydantic import SecretStr

from rollproof.backups.newest_backup import newest_backup
from rollproof.backups.room import existing
from rollproof.baseline.known_good import current_baseline
from rollproof.doctor.examination import REQUEST_SECONDS, Need, wrong
from rollproof.monitoring.samples import is_fresh, monitor_hint, read_samples, samples_path
from rollproof.profile.channels import said_of, sender_of
from rollproof.profile.profile import Target
from rollproof.sealing.signature import sign
from rollproof.system.clock import Moment, age
from rollproof.system.command import Deadline, run_command
from rollproof.system.process import Life


def machine_probes(target: Target) -> Iterator[Need]:
    """Yield a probe for each program of a command, and for each folder of records."""
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
        raise wrong(
            f"a folder that can be written, with {limit:g} % free (limits.disk_free_percent)",
            said if is_full else "one that this user cannot write",
            f"name another folder in the profile, or see: ls -ld {shown}; df -h {shown}",
        )
    return said


def kept_probes(target: Target) -> Iterator[Need]:
    """Yield the probes of what is kept on this machine: it is there, and whole.

    Whether it is recent enough, and of this commit, is the gate's to say: steps 1 to 3.
    """
    yield Need("baseline", partial(_baseline, target))
    yield Need("backup", partial(_backup, target))
    yield Need("monitor", partial(_monitor, target))


def _baseline(target: Target) -> str:
    baseline = current_baseline(target)
    old = age(Moment(baseline.created, 0.0, "").seconds_ago())
    return f"{baseline.id}, {old} old, of commit {baseline.facts.commit[:12]}"


def _backup(target: Target) -> str:
    backup = newest_backup(target.folders.backups, target.name)
    old = age(max((backup.age(name) for name in backup.taken), default=0.0))
    return f"{backup.folder.name}, {old} old, of {len(backup.taken)} stores, of commit {backup.commit[:12]}"


def _monitor(target: Target) -> str:
    beat = target.premigration.monitoring.beat_seconds
    samples = read_samples(samples_path(target), 1)
    if not samples:
        raise wrong("its samples", "none", monitor_hint())
    last = samples[-1]
    old, has_ended = last.at.seconds_ago(), last.monitor.life() is Life.ENDED
    if has_ended or not is_fresh(old, beat):
        how = "has ended" if has_ended else "hangs, or is stopped"
        observed = f"{last.monitor}, which {how}; its last sample is {age(old)} old"
        raise wrong(f"one that runs, and takes a sample each {beat:g} s", observed, monitor_hint())
    return f"{last.monitor} runs; its last sample is {old:.0f} s old"


def channel_probes(target: Target) -> Iterator[Need]:
    """Yield a probe for each kind of channel: Apprise understands their URLs; nothing is sent."""
    contacts = target.contacts
    every = {
        "team channels": target.premigration.team.channels,
        "on-call channels": contacts.on_call.channels,
        "tech-lead channels": contacts.tech_lead.channels,
        "post-mortem channels": contacts.post_mortem,
    }
    for name, urls in every.items():
        if urls:
            yield Need(name, partial(_understood, urls), seconds=8.0)


def _understood(urls: tuple[SecretStr, ...]) -> str:
    if odd := [said_of(url.get_secret_value()) for url in urls if sender_of(url) is None]:
        hint = "see github.com/caronc/apprise/wiki for the URL of each kind of channel"
        raise wrong("URLs that Apprise understands", ", ".join(odd), hint)
    said = ", ".join(said_of(url.get_secret_value()) for url in urls)
    return f"{said}: understood; no message was sent"
