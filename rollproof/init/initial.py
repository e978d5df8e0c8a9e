"""The whole of `init`: look, propose, write both files, and print what is left to answer."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from rollproof.errors import UsageProblem, no_space, reason_of
from rollproof.home import typed
from rollproof.init.account_statements import accounts_text
from rollproof.init.looking import look, running_stack
from rollproof.init.parts import Looked, parts_of, recognitions
from rollproof.init.proposal import Proposal, profile_name, proposed
from rollproof.init.stack import read_stack
from rollproof.system.files import write_whole


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
    for file in (output, accounts):
        if os.path.lexists(file) and not (force and file.is_file()):
            raise UsageProblem(
                what="output of init",
                expected="a new file",
                observed="one that is there" if file.is_file() else "something else of that name",
                source=str(file),
                hint="name another with --output, or overwrite it with --force",
            )
    profile, statements, lines = texts_of(looked, output, accounts)
    _write(output, profile)
    _write(accounts, statements)
    yield from lines


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
