"""The whole of `init`: look, propose, write both files, and say what is left to answer."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rollproof.engines.compose import ComposeEngine
from rollproof.errors import UsageProblem, no_space, reason_of
from rollproof.home import typed
from rollproof.init.account_statements import accounts_text
from rollproof.init.compose_files import read_stack
from rollproof.init.looking import Looked, configured, look, running_stack
from rollproof.init.observed import Observed
from rollproof.init.parts import parts_of, recognitions
from rollproof.init.proposal import Proposal, profile_name, proposed
from rollproof.init.watching import watch
from rollproof.system.files import write_whole

_ENGINE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `init` was asked for. See its help."""

    project: str | None
    files: tuple[Path, ...]
    env_file: Path | None
    output: Path | None
    watch: float
    force: bool


def write_profile(wanted: Wanted, tell: Callable[[str], None]) -> Iterator[str]:
    """Write a profile and the file of its accounts; yield the lines that say what is left to answer.

    Raises:
        UsageProblem: what was asked for is not there, or an output is, without ``--force``.
        Unverifiable: the engine does not answer.
    """
    gone: tuple[str, ...] = ()
    if wanted.watch and wanted.project is None:
        raise UsageProblem(
            what="watch",
            expected="--project NAME of a running project",
            observed="files alone",
            source="the command line",
            hint="leave out --watch, or name the project that runs",
        )
    # A file that is there is said before anybody waits.
    _require_free(wanted.output, force=wanted.force)
    if wanted.project is not None:
        stack, containers, gone = running_stack(wanted.project, wanted.files, wanted.env_file)
        output = _output(wanted, stack.project)
        looked = look(stack, containers)
    else:
        stack = read_stack(wanted.files, wanted.project, wanted.env_file)
        output = _output(wanted, stack.project)
        parts = parts_of(stack)
        looked = Looked(stack, parts, configured(stack, parts))
    if wanted.watch and looked.ways:
        looked = _watched(looked, wanted.watch, tell)
    accounts = output.with_name(f"{output.stem}.accounts.sh")
    _require_free(accounts, force=wanted.force)
    made = made_of(looked, output, accounts, gone)
    _write(output, made.profile)
    _write(accounts, made.accounts)
    yield from made.told


@dataclass(frozen=True, slots=True)
class Made:
    """The texts of the profile and of its accounts, and the lines that say what is left."""

    profile: str
    accounts: str
    told: tuple[str, ...]


def made_of(looked: Looked, output: Path, accounts: Path, gone: tuple[str, ...] = ()) -> Made:
    """Return everything that `init` writes and says. Pure, but for a look for the repository's folder."""
    folder = output.resolve().parent
    proposal = proposed(looked.stack, looked.parts, looked.seen, folder, _repository(looked))
    if not proposal.stores:
        raise UsageProblem(
            what=f"stores of {looked.stack.project}",
            expected=f"one of {', '.join(sorted(recognitions()))}",
            observed="; ".join(proposal.unsupported) or "none",
            source=", ".join(str(file) for file in looked.stack.files) or "the running project",
            hint="give all compose files of the project, each with --file",
        )
    statements = accounts_text(
        looked.stack.project, accounts.name, looked.parts.stores, proposal.stores, proposal.holders
    )
    return Made(proposal.text, statements, tuple(_told(output, accounts, proposal, looked.seen, gone)))


def _watched(looked: Looked, seconds: float, tell: Callable[[str], None]) -> Looked:
    tell(f"watching {len(looked.ways)} stores for {seconds:g} s; use the application; Ctrl-C ends it early")
    engine = ComposeEngine(looked.stack.project, _ENGINE_SECONDS)
    found = watch(looked.ways, engine, seconds, lambda left: tell(f"{left:.0f} s left"))
    return replace(looked, seen=replace(looked.seen, watched=found))


def _repository(looked: Looked) -> Path:
    """Return the working copy that the application is built in, or else lies around its compose files."""
    builds = [Path(looked.stack.services[name].build) for name in looked.parts.application]
    folders = [folder for folder in builds if folder.is_absolute()] + [
        file.parent for file in reversed(looked.stack.files)
    ]
    for folder in folders:
        for one in (folder, *folder.parents):
            if (one / ".git").exists():
                return one
    return folders[0] if folders else Path.cwd()


def _output(wanted: Wanted, project: str) -> Path:
    output = wanted.output or Path(f"{profile_name(project)}.toml")
    _require_free(output, force=wanted.force)
    return output


def _require_free(output: Path | None, *, force: bool) -> None:
    if output is None:
        return
    if not output.absolute().parent.is_dir():
        raise UsageProblem(
            what="profile",
            expected="a folder to write it in",
            observed="none",
            source=str(output.absolute().parent),
            hint=f"mkdir -p {shlex.quote(str(output.absolute().parent))}",
        )
    if os.path.lexists(output) and (not force or not output.is_file()):
        raise UsageProblem(
            what="profile" if output.suffix == ".toml" else "file of accounts",
            expected="a new file",
            observed="one that is there" if output.is_file() else "something else of that name",
            source=str(output),
            hint="name another with --output, or overwrite it with --force",
        )


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text.encode(), mode=0o644)
    except OSError as error:
        if no_space(error):
            raise
        raise UsageProblem(
            what="profile",
            expected="a file that can be written",
            observed=reason_of(error),
            source=str(path),
            hint="name another place with --output",
        ) from None


def _told(
    output: Path, accounts: Path, proposal: Proposal, seen: Observed, gone: tuple[str, ...]
) -> Iterator[str]:
    yield f"profile:  {output}"
    yield f"accounts: {accounts} (statements for reader, operator and canary; run it with sh)"
    for name in gone:
        yield f"gone: {name}, one of the files that the running project was made from"
    for name, why in sorted(seen.unseen.items()):
        yield f"not looked into: store {name}, since {why}"
    for one in proposal.unsupported:
        yield f"not supported: {one}"
    yield f"questions: {len(proposal.questions)}"
    for number, question in enumerate(proposal.questions, 1):
        yield f"{number:>3}. {question.key}: {question.asks}"
        yield f"     {question.answer}"
    yield f"then: {typed(shlex.join(['capture', '--target', str(output)]))}"
