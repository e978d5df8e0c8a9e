"""All that `doctor` asks about a target, and the questions about its engine, its code and its application."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote

from pydantic import SecretStr

from rollproof.backups.sets import existing
from rollproof.backups.stray_mounts import require_held
from rollproof.baseline.demands import require_whole_sight
from rollproof.baseline.known_good import require_engine
from rollproof.doctor.examination import REQUEST_SECONDS, Need, NeedState, UnmetNeed, examine, require_all
from rollproof.engines.engine import Container, ContainerEngine
from rollproof.engines.host import endpoint
from rollproof.errors import ActionFailed, Mismatch, listed
from rollproof.git.repository import read_working_copy
from rollproof.monitoring.probes.application_probes import health_now
from rollproof.profile.contacts import public_part, sender_of
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.mistakes import UNANSWERED, unanswered
from rollproof.profile.profile import Target
from rollproof.profile.sections import Account, StoreProfile
from rollproof.sealing.seal import sign
from rollproof.stores.registry import open_reader
from rollproof.system.command import Deadline, run_command


def machine_needs(target: Target) -> Iterator[Need]:
    """Yield a question about each program that is needed, the signing key, and each folder of records."""
    for program, option in (target.engine.of_kind.client, ("git", "--version")):
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
        raise UnmetNeed(
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
        raise UnmetNeed("URLs that Apprise understands", ", ".join(odd), hint)
    said = ", ".join(public_part(url.get_secret_value()) for url in urls)
    return f"{said}: understood; no message was sent"


# Requests of one question, and the import of a driver, in times of the deadline of one.
_REQUESTS = 2.3
_LONG_SECONDS = 3600.0
"""For work that has no deadline of its own, such as a capture, of which each request has one."""
_SHOWN = 4
_GRANTS = "the statements that init writes, TARGET.accounts.sh, have what each account needs"


def store_needs(target: Target, engine: ContainerEngine, seconds: float) -> Iterator[Need]:
    """Yield the questions about each store. A request has `seconds`, and no more than the profile gives it.

    They ask whether its reader logs in, reads real data, and nothing is hidden from it; what the reader must
    not do; and what its operator must.
    """
    for name, profile in target.stores.items():
        address, rights = profile.address, descriptor_of(profile).reports_rights
        elsewhere = address is not None and address.service is None
        needs: tuple[str, ...] = () if elsewhere else ("engine", "project")
        asked: dict[str, Callable[[str, StoreProfile, ContainerEngine], str]] = {"reader": _sees}
        if rights or profile.reader is not None:
            asked["read-only"] = _cannot_write
        if rights:
            asked["operator"] = _operates
        hurried = profile.model_copy(update={"deadline_seconds": min(profile.deadline_seconds, seconds)})
        for what, ask in asked.items():
            answer = partial(ask, name, hurried, engine)
            yield Need(f"{name} {what}", answer, needs, _REQUESTS * REQUEST_SECONDS)


def _sees(name: str, profile: StoreProfile, engine: ContainerEngine) -> str:
    with open_reader(name, profile, engine) as reader:
        answer = reader.ask()
        require_whole_sight(reader, reader.schemas)
    return f"{answer.server}: reads {answer.collection}"


def _cannot_write(name: str, profile: StoreProfile, engine: ContainerEngine) -> str:
    if profile.reader is None:
        return "no account in the profile: whoever reaches the store may write"
    descriptor, expected = descriptor_of(profile), "an account that can only read"
    if profile.reader == profile.operator:
        sign = descriptor.recognition
        # A server with one account for everybody forgets others at a restart, unless they are in a file.
        one = isinstance(profile.reader, Account) and sign is not None and profile.reader.user == sign.common
        hint = "put one that can only read where it outlives a restart, and name it there"
        raise UnmetNeed(expected, "the operator's own", hint, NeedState.ABSENT if one else NeedState.WRONG)
    if not descriptor.reports_rights:
        return "another account than the operator's"
    with open_reader(name, profile, engine) as reader:
        writes = reader.rights().writes
    if writes:
        hint = f"revoke that: {_GRANTS}"
        raise UnmetNeed(expected, f"one that may {listed(writes, _SHOWN)}", hint)
    return "the reader may change nothing"


def _operates(name: str, profile: StoreProfile, engine: ContainerEngine) -> str:
    if profile.operator is None:
        return "no account in the profile: whoever reaches the store may write"
    with open_reader(name, profile, engine, operator=True) as reader:
        lacks = reader.rights().lacks
    if lacks:
        expected, hint = "an account that can back up and restore", f"grant that: {_GRANTS}"
        raise UnmetNeed(expected, f"one without {listed(lacks, _SHOWN)}", hint)
    return "may back up and restore"


_BEFORE_CAPTURE = frozenset({"questions", "project", "volumes", "services", "repository"})


def every_need(target: Target, engine: ContainerEngine) -> Iterator[Need]:
    """Yield every question about `target`, in the order of the page."""
    yield from _target_needs(target, engine)
    yield from machine_needs(target)
    yield from store_needs(target, engine, REQUEST_SECONDS)
    yield from channel_needs(target)


def needs_of_phases(target: Target, engine: ContainerEngine) -> Iterator[Need]:
    """Yield the questions about what the four phases need: no secret of an operator, and no channel."""
    yield from _target_needs(target, engine)
    yield Need("canary", partial(_has_password, target))
    yield from (need for need in machine_needs(target) if need.name != "room for backups")
    stores = store_needs(target, engine, REQUEST_SECONDS)
    yield from (need for need in stores if need.name.endswith(" reader"))


def _has_password(target: Target) -> str:
    target.application.canary.password.get_secret_value()
    return f"the password of {target.application.canary.user} is there"


def require_capturable(target: Target, engine: ContainerEngine) -> None:
    """Raise unless all is ok that a baseline of a good state needs, except for the canary."""
    # A capture takes minutes: large stores and busy engines are waited for, by their own deadlines.
    needs = [
        replace(need, seconds=_LONG_SECONDS)
        for need in (*_target_needs(target, engine), *store_needs(target, engine, _LONG_SECONDS))
        if need.name in _BEFORE_CAPTURE or need.name.endswith(" reader")
    ]
    require_all(examine(needs, _LONG_SECONDS))


def _target_needs(target: Target, engine: ContainerEngine) -> Iterator[Need]:
    there = ("engine", "project")
    yield Need("questions", partial(require_answers, target))
    yield Need("engine", partial(_engine, target, engine))
    yield Need("repository", partial(_working_copy, target))
    yield Need("project", partial(_there, target, engine), ("engine",))
    yield Need("services", partial(_running, target, engine), there)
    yield Need("volumes", partial(_held, target, engine), there)
    yield Need("application", partial(_answers, target))


def require_answers(target: Target) -> str:
    """Return in words that nothing of the profile is left to answer."""
    if left := list(unanswered(target)):
        raise Mismatch(
            what="questions of init",
            expected="an answer to each, in the profile",
            observed=f"{UNANSWERED} for {listed(left)}",
            source="the profile",
            hint=f"put the right words there: each key that holds {UNANSWERED} is one",
        )
    return "none of the profile is left to answer"


def _engine(target: Target, engine: ContainerEngine) -> str:
    engine.running()
    if target.engine.id is not None:
        require_engine(target, engine)
    return endpoint() if target.engine.of_kind.has_volumes else engine.id()


def _there(target: Target, engine: ContainerEngine) -> str:
    name = target.engine.project
    if not (containers := engine.containers()):
        raise ActionFailed(
            what="project of the target",
            expected="one that has containers",
            observed=f"no container of {name}",
            source="container engine",
            hint="correct engine.project in the profile, or start it: docker compose ls --all names all",
        )
    return f"{name}: {sum(map(len, containers.values()))} containers"


def _running(target: Target, engine: ContainerEngine) -> str:
    containers = engine.containers()
    bad = {
        service: next(iter(containers.get(service, ())), None)
        for service in target.services
        if not any(one.running and one.healthy for one in containers.get(service, ()))
    }
    if bad:
        remedies = [container.remedy for container in bad.values() if container is not None]
        raise ActionFailed(
            what="services of the target",
            expected="all running and healthy",
            observed=", ".join(f"{service}: {_state_of(container)}" for service, container in bad.items()),
            source=f"project {target.engine.project}",
            hint="; ".join(remedies) or "start them: a baseline is captured of a good state only",
        )
    return f"{len(target.services)} run, and are healthy"


def _state_of(container: Container | None) -> str:
    if container is None:
        return "no container"
    return container.status if container.status != "running" else str(container.health)


def _held(target: Target, engine: ContainerEngine) -> str:
    require_held(target, engine)
    return "each that may hold state is of a store, or named as stateless"


def _working_copy(target: Target) -> str:
    copy = read_working_copy(target.application.repository)
    changes = f"; not committed: {listed(copy.differences, 3)}" if copy.differences else ""
    return f"commit {copy.head[:12]}{changes}"


def _answers(target: Target) -> str:
    application = target.application
    reading = health_now(application, REQUEST_SECONDS)
    if not reading.ok:
        hint = "correct application.url, api and health in the profile, or see the application's log"
        raise UnmetNeed(f"success with {application.health.expect}", reading.text, hint)
    return f"{application.url} health {reading.text}"
