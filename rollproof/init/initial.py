"""The whole of `init`: look, propose, write both files, and print what is left to answer."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import Container, ContainerEngine
from rollproof.errors import Problem, UsageProblem, no_space, reason_of
from rollproof.home import typed
from rollproof.init.accounts import READER, accounts_text, is_guarded, logins_of, profile_of, section_of
from rollproof.init.parts import Found, Looked, parts_of, recognitions
from rollproof.init.profile_text import value
from rollproof.init.proposal import Proposal, profile_name, proposed
from rollproof.init.stack import ComposeFiles, read_stack
from rollproof.profile.mistakes import UNANSWERED
from rollproof.profile.sections import Account, Address, ApiKey, StoreProfile
from rollproof.redaction.secret import remember
from rollproof.stores.registry import reader_at
from rollproof.system.files import write_whole
from rollproof.system.side_by_side import Question, wait_for

ENGINE_SECONDS = 10.0
_LOOKING_SECONDS = 8.0
_STORE_SECONDS = 3.0
_FILES_LABEL = "com.docker.compose.project.config_files"
_ENVIRONMENT_LABEL = "com.docker.compose.project.environment_file"


def running_stack(
    project: str, files: Sequence[Path], env_file: Path | None
) -> tuple[ComposeFiles, Mapping[str, tuple[Container, ...]]]:
    """Return a running project and its containers; without `files`, those are read that its labels name."""
    containers = ComposeEngine(project, ENGINE_SECONDS).containers()
    if not containers:
        raise UsageProblem(
            what="compose project",
            expected="one that has containers",
            observed=project,
            source="container engine",
            hint="docker compose ls --all names them; or give --file docker-compose.yml",
        )
    if not files:
        labels = [one.labels for several in containers.values() for one in several]
        # A container that compose made from fewer files, such as of an override, names fewer.
        named = max((one.get(_FILES_LABEL, "") for one in labels), key=lambda text: (text.count(","), text))
        files = [Path(name) for name in named.split(",")]
        usual, _ = Counter(one.get(_ENVIRONMENT_LABEL, "") for one in labels).most_common(1)[0]
        env_file = env_file or (Path(usual) if usual and Path(usual).is_file() else None)
    return read_stack(files, project, env_file), containers


def look(
    stack: ComposeFiles,
    containers: Mapping[str, tuple[Container, ...]],
    engine: ContainerEngine | None = None,
) -> Looked:
    """Return what the running project shows; a store that does not answer in time is in `unseen`."""
    engine = engine or ComposeEngine(stack.project, ENGINE_SECONDS)
    running = {name for name, several in containers.items() if any(one.running for one in several)}
    ended = {
        name for name, several in containers.items() if several and all(one.completed for one in several)
    }
    services = {
        name: replace(one, optional=one.optional and name not in running)
        for name, one in stack.services.items()
    }
    stack = replace(stack, services=services)
    parts = parts_of(stack, frozenset(ended))
    questions: dict[str, Question[Any]] = {
        name: Question(name, lambda name=name, found=found: _looked_into(name, found, engine))  # type: ignore[misc]
        for name, found in parts.stores.items()
        if found.service.name in running
    }
    for question in questions.values():
        question.start()
    wait_for(questions.values(), _LOOKING_SECONDS)
    into = {name: found for name, question in questions.items() if (found := _answer(question))}
    return Looked(
        stack,
        parts,
        holdings={name: holdings for name, (_, holdings) in into.items()},
        unseen=tuple(name for name in parts.stores if name not in into),
        unguarded=frozenset(name for name, (way, _) in into.items() if way.reader is None),
    )


def _answer(question: Question[Any]) -> Any:  # noqa: ANN401 - each question has its own
    with suppress(Problem):
        return None if question.waiting else question.answer()
    return None


def _looked_into(
    name: str, found: Found, engine: ContainerEngine
) -> tuple[StoreProfile, Mapping[str, Any]] | None:
    """Return the section with which a store lets somebody in, and the keys of it that its server lists."""
    section = section_of(found, {})
    endpoint = engine.resolve(Address(**section["address"]))
    profile = profile_of(section, found, guarded=is_guarded(found))
    profile = profile.model_copy(update={"deadline_seconds": _STORE_SECONDS})
    optional = not type(profile).model_fields[READER].is_required()
    for login in [*([None] if optional else []), *logins_of(found)]:
        way = profile.model_copy(update={READER: _account(login, profile)})
        with suppress(Problem), reader_at(name, way, endpoint, engine) as view:
            return way, view.holdings()
    return None


def _account(login: tuple[str, SecretStr] | None, profile: StoreProfile) -> Account | ApiKey | None:
    if login is None:
        return None
    user, secret = login
    remember(secret.get_secret_value())
    wants_key = ApiKey in getattr(type(profile).model_fields[READER].annotation, "__args__", ())
    return ApiKey(key=secret) if wants_key else Account(user=user, password=secret)


def write_profile(
    project: str | None, files: tuple[Path, ...], env_file: Path | None, output: Path | None, *, force: bool
) -> Iterator[str]:
    """Write a profile and the file of its accounts; yield the lines that say what is left to answer."""
    if project is not None:
        looked = look(*running_stack(project, files, env_file))
    else:
        stack = read_stack(files, None, env_file)
        looked = Looked(stack, parts_of(stack))
    output = output or Path(f"{profile_name(looked.stack.project)}.toml")
    accounts = output.with_name(f"{output.stem}.accounts.sh")
    _require_new(output, accounts, force=force)
    profile, statements, lines = texts_of(looked, output, accounts)
    _write(output, profile)
    _write(accounts, statements)
    yield from lines


def write_light_profile(
    project: str | None, files: tuple[Path, ...], env_file: Path | None, output: Path | None, *, force: bool
) -> Iterator[str]:
    """Write a profile of three lines, with which a target is judged by itself; yield what to type then."""
    stack = (
        read_stack(files, None, env_file) if project is None else running_stack(project, files, env_file)[0]
    )
    name, urls = profile_name(stack.project), parts_of(stack).urls
    output = output or Path(f"{name}.toml")
    _require_new(output, force=force)
    url = urls[0] if urls else f"http://{UNANSWERED}.invalid"
    engine = value({"kind": "compose", "project": stack.project})
    _write(output, f"name = {value(name)}\nengine = {engine}\napplication.url = {value(url)}\n")
    yield f"profile:  {output} (light: no baseline, no store, no secret)"
    if not urls:
        yield "questions: 1"
        yield "  1. application.url: Where do users reach the application? No service publishes a port."
    yield f"then: {typed(shlex.join(['verify', 'phase1', '--target', str(output)]))}"


def _require_new(*outputs: Path, force: bool) -> None:
    for file in outputs:
        if os.path.lexists(file) and not (force and file.is_file()):
            raise UsageProblem(
                what="output of init",
                expected="a new file",
                observed="one that is there" if file.is_file() else "something else of that name",
                source=str(file),
                hint="name another with --output, or overwrite it with --force",
            )


def texts_of(looked: Looked, output: Path, accounts: Path) -> tuple[str, str, list[str]]:
    """Return the profile, the script of its accounts, and the lines to print, which say what is left."""
    stack = looked.stack
    folder = output.resolve().parent
    proposal = proposed(looked, folder, _repository(looked))
    if not proposal.stores:
        raise UsageProblem(
            what=f"stores of {stack.project}",
            expected=f"one of {', '.join(sorted(recognitions()))}",
            observed="; ".join(proposal.unsupported) or "none",
            source=", ".join(str(file) for file in stack.files),
            hint="give all compose files of the project, each with --file",
        )
    statements = accounts_text(
        stack.project, accounts.name, looked.parts.stores, proposal.stores, proposal.holders
    )
    return proposal.text, statements, [*_lines(output, accounts, proposal)]


def _repository(looked: Looked) -> Path:
    """Return the working copy that the application is built in, or else lies around its compose files."""
    builds = [Path(looked.stack.services[name].build) for name in looked.parts.application]
    folders = [folder for folder in builds if folder.is_absolute()]
    folders += [file.parent for file in reversed(looked.stack.files)]
    around = (one for folder in folders for one in (folder, *folder.parents) if (one / ".git").exists())
    return next(around, folders[0] if folders else Path.cwd())


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text.encode(), mode=0o644)
    except OSError as error:
        if no_space(error):
            raise
        raise UsageProblem(
            what="output of init",
            expected="a file that can be written",
            observed=reason_of(error),
            source=str(path),
            hint="name another place with --output",
        ) from None


def _lines(output: Path, accounts: Path, proposal: Proposal) -> Iterator[str]:
    yield f"profile:  {output}"
    yield f"accounts: {accounts} (statements for reader, operator and canary; run it with sh)"
    for name in proposal.seen.unseen:
        yield f"not looked into: store {name}: no account that compose names lets init in, or nothing answers"
    for one in proposal.unsupported:
        yield f"not supported: {one}"
    yield f"questions: {len(proposal.questions)}"
    for number, question in enumerate(proposal.questions, 1):
        yield f"{number:>3}. {question.key}: {question.asks}"
        yield f"     {question.answer}"
    doctor, capture = (typed(shlex.join([name, "--target", str(output)])) for name in ("doctor", "capture"))
    yield f"then: {shlex.join(['sh', str(accounts)])}; {doctor}; {capture}"
