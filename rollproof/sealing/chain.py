"""The chain of a record: `chain.jsonl`, where each command that ends adds the hashes of what it completed.

An entry is a line, chained to the one before by its hash, as in a journal. Its `files` are lines of
``sha256sum`` for new and rewritten files, its `gone` names removed ones. The first line of `chain.head` is
the number and hash of the last entry; the signature of that line follows, if a key is configured. So a
truncated or rewritten chain does not fit its head, and a rewritten head has no signature. An entry keeps the
hash of the signature of the head before it: the signature itself would be a valid end for whoever cuts there.

What was signed once is added to with the key alone. The one exception is the post-mortem, which people
complete where there is no key. That entry keeps the whole signature before it, and the next takes its place.

A killed command leaves files that are *not sealed*: they are read, they count, and they are named. A file
that differs from its sealed hash is *wrong* if nothing has begun since, and no command seals it again.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from rollproof.errors import ActionFailed, Problem, Unverifiable, listed, reason_of, size_of
from rollproof.home import typed
from rollproof.profile.profile import Signing
from rollproof.reading import is_torn, read_regular
from rollproof.record_names import (
    ACCOUNTS,
    CATEGORIES_FILE,
    CHAIN,
    CHECKSUMS,
    CONTACTS,
    DOWNTIME,
    EARLIER_ROLLBACK,
    ENVIRONMENT_FILE,
    EXECUTOR_FILE,
    GATE_PAGE,
    HEAD,
    INCIDENT,
    JOURNAL,
    JOURNAL_END,
    LEDGER,
    LIMITS,
    LOST_WINDOW,
    PICTURES,
    POST_MORTEM,
    REOPENING,
    REPORT,
    RESPONSE,
    RESPONSE_SAMPLES,
    RESULTS,
    RUN_FACTS,
    SAMPLES,
    SUPERSEDED,
    TAKEN,
    UNTRACKED,
    VERDICT,
    WORKING_COPY,
)
from rollproof.sealing.signature import WrongSignature, check_signature, key_of, sign
from rollproof.system.clock import Moment
from rollproof.system.file_lock import locked_within
from rollproof.system.files import (
    canonical_json,
    complete_lines,
    json_line,
    sha256_of,
    strict_json,
    write_whole,
)
from rollproof.system.record_files import (
    LEFT_OUT,
    Must,
    Natural,
    WrongRecord,
    as_json,
    load_record,
    record_of,
)

SEALED = "sealed"
"""The event of an entry."""
UNSIGNED = "unsigned"
KEPT_ASIDE = (LOST_WINDOW, WORKING_COPY, UNTRACKED)
"""How the names of folders and files begin that are kept to be given back, and are no part of the record."""
_FIRST = "0" * 64
# Made again from the rest by every run and by `rollproof report`.
_MADE = (
    *(VERDICT, GATE_PAGE, POST_MORTEM, REPORT, JOURNAL_END, LIMITS, CHECKSUMS),
    *(f"{RESULTS}/{name}" for name in (ENVIRONMENT_FILE, EXECUTOR_FILE, CATEGORIES_FILE)),
)
_PAGES = re.compile(rf"{'|'.join(map(re.escape, _MADE))}|{PICTURES}/.*")
# Written once.
_FINAL = re.compile(
    rf"{re.escape(INCIDENT)}|{LEDGER}/.*|{re.escape(EARLIER_ROLLBACK)}-.*|[^/]*-broken-.*"
    rf"|{re.escape(LOST_WINDOW)}.*"
)
# Names that readers of a record follow, wherever they lead.
_FOLLOWED = re.compile(
    rf"(?:{LEDGER}|{re.escape(RESULTS)}|{PICTURES}|{re.escape(LOST_WINDOW)}[^/]*)(?:/.*)?"
    r"|[^/]*\.(?:json|jsonl|head|md|html|txt)"
)
# Allure shows it, however it is named.
_HIDDEN_RESULT = re.compile(r"\..*-(?:result|container)\.json")
# Whoever cannot read them is told to delete them.
_MAY_GO = frozenset({DOWNTIME, SAMPLES, TAKEN})
# What grows while a command runs: a file of another name is no sign that one has begun.
_JOURNALS = frozenset({JOURNAL, RESPONSE, RESPONSE_SAMPLES, CONTACTS, REOPENING, SAMPLES})
_CHAINED = frozenset({JOURNAL, RESPONSE, CONTACTS, REOPENING})
_OF_BUNDLES = frozenset({"bundle.json", "verify_record.py"})
_LINE = re.compile(r"([0-9a-f]{64})  (.+)", re.DOTALL)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_HEAD_LINE = re.compile(r"(\d{12}) ([0-9a-f]{64})", re.ASCII)
_LOCK_SECONDS = 10.0
_MOST_HEAD = 64 * 1024
# The checker in a bundle reads less.
_LARGEST = 16 * 1024 * 1024
_NOBODY = "nobody has signed it, and signing.allowed_signers says who has to"
_ANOTHER = "it is not what was sealed"
_A_LINK = "it is a link, and what is behind it is under no seal"
ANYBODY = Signing()
"""Where no profile says who signs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of `chain.jsonl`: what a command, named by `by`, sealed at its end.

    `files` are lines of ``sha256sum`` for what is new or was written again. `gone` are the names of what was
    removed, `found` those of what was not as sealed when the command began. `signature` is the SHA-256 of
    that of the head before this entry, "" if it had none. It is the signature itself if this entry is of the
    post-mortem alone and has none, and in each of version 1. `previous` is the hash of the entry before, 64
    zeros in the first. `hash` is the SHA-256 of this one without it, in its canonical spelling.
    """

    sequence: Natural
    at: Moment
    by: str
    files: tuple[Annotated[str, Must("a line of sha256sum", _LINE.fullmatch)], ...]
    gone: tuple[str, ...]
    found: tuple[str, ...]
    signature: str
    previous: str
    hash: str = ""
    event: str = SEALED
    version: Annotated[int, Must("version 1 or 2", (1, 2).__contains__)] = field(default=1, metadata=LEFT_OUT)

    @property
    def of_people(self) -> bool:
        """Whether it seals the post-mortem alone, as people complete it."""
        return not self.gone and not self.found and {line[66:] for line in self.files} <= {POST_MORTEM}


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing of a record by its chain.

    `wrong` are the files that do not hold, each with the reason. `open` are those that are not sealed, all of
    them without a chain. `excused` are those of them that were sealed, and differ since something began.
    `found` tells of files that were once found wrong and have been written again since. `signature` says who
    has signed the record, and `signed` whether anybody has.
    """

    wrong: Mapping[str, str]
    open: tuple[str, ...]
    excused: tuple[str, ...]
    found: tuple[str, ...]
    signature: str
    signed: bool
    sealed: bool

    @property
    def doubts(self) -> list[str]:
        """What does not hold, and what once did not, in sentences."""
        return [*(f"{name}: {why}" for name, why in self.wrong.items()), *self.found]

    @property
    def evidence(self) -> list[str]:
        """What does not hold, in sentences, without the pages: they are made again from the rest."""
        return [f"{name}: {why}" for name, why in self.wrong.items() if not _PAGES.fullmatch(name)]

    def __str__(self) -> str:
        """Say in a line how it is sealed and signed."""
        if not self.sealed:
            return f"not sealed, {self.signature}"
        return f"{f'not sealed: {listed(self.open, 5)}; ' if self.open else 'sealed, '}{self.signature}"


@dataclass(slots=True)
class _Chain:
    """The entries that the head covers, and what they seal; `found` maps files to the entry that did.

    `behind` tells of an entry behind the head, as a kill leaves it.
    """

    entries: list[Entry] = field(default_factory=list)
    signature: str = ""
    sealed: dict[str, str] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)
    mended: list[str] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)
    behind: bool = False

    @property
    def hash(self) -> str:
        return self.entries[-1].hash if self.entries else _FIRST

    @property
    def signatures(self) -> list[str]:
        """The signature of the head at each entry, or its hash, or ""."""
        return [*(entry.signature for entry in self.entries[1:]), self.signature] if self.entries else []

    @property
    def unsigned_end(self) -> list[Entry]:
        """The entries after the last one that is signed; [] if none is."""
        covered = max((number for number, one in enumerate(self.signatures, 1) if one), default=0)
        return self.entries[covered:] if covered else []

    def without_text_of_people(self) -> _Chain:
        """Return it as it was signed, without the post-mortem that people completed since."""
        end = self.unsigned_end
        if not end or not all(entry.of_people for entry in end):
            return self
        chain = _Chain(signature=end[0].signature)
        for entry in self.entries[: -len(end)]:
            _add(chain, entry)
        return chain


def standing(folder: Path, signing: Signing = ANYBODY) -> Standing:
    """Check the whole record in `folder` against its chain, and the signature of the chain.

    Raises:
        Problem: the chain cannot be read.
    """
    chain = _read(folder)
    there = dict(_files(folder))
    wrong, open_ = dict(chain.wrong), set(there) - chain.sealed.keys()
    open_ |= {CHAIN} if chain.behind else set()
    for name, path in _unsealable(folder):
        if path.is_symlink() and _FOLLOWED.fullmatch(name):
            wrong[name] = _A_LINK
        else:
            open_.add(name)
    excused = _compared(chain, there, wrong, open_)
    for entry in chain.unsigned_end:
        for name in [*(line[66:] for line in entry.files), *entry.gone] if not entry.of_people else ():
            if _PAGES.fullmatch(name):
                open_.add(name)
            else:
                wrong.setdefault(name, f"it was sealed without the key, on a signed chain, by: {entry.by}")
    signed, signature, key = _signature(chain, signing, wrong, open_)
    claimed = _claimed(folder)
    if claimed != UNSIGNED and not signed:
        wrong.setdefault(
            HEAD, f"{VERDICT} says that the key {claimed} signs the record, and it is not signed"
        )
    elif not signed and signing.allowed_signers is not None and (chain.entries or VERDICT in there):
        wrong.setdefault(HEAD, _NOBODY)
    if key and claimed not in {UNSIGNED, key}:
        open_.add(VERDICT)
        signature = f"{signature}; {VERDICT} names the key {claimed}"
    return Standing(
        wrong=wrong,
        open=tuple(sorted(open_)),
        excused=tuple(sorted(name for name in excused if not _PAGES.fullmatch(name))),
        found=tuple(chain.mended),
        signature=signature,
        signed=signed,
        sealed=bool(chain.entries),
    )


def _compared(chain: _Chain, there: Mapping[str, Path], wrong: dict[str, str], open_: set[str]) -> set[str]:
    """Compare each sealed file; note those that are wrong or open, and return the excused ones."""
    excused = set[str]()
    changed = {name: why for name, sha in chain.sealed.items() if (why := _change(there.get(name), sha))}
    begun = any(name.endswith(f"/{RUN_FACTS}") or name == SUPERSEDED or _is_journal(name) for name in open_)
    for name in [name for name, why in changed.items() if why is _GREW and not _FINAL.fullmatch(name)]:
        open_.add(name)
        begun = True
        del changed[name]
    for name, why in changed.items():
        if name == POST_MORTEM or (name in _MAY_GO and name not in there):
            open_.add(name)
        elif begun and name not in chain.found and _may_differ(name, chain.sealed[name], there):
            open_.add(name)
            # The head of a journal is as new as its end.
            excused |= {name} - {f"{Path(journal).stem}.head" for journal in open_ if _is_journal(journal)}
        else:
            wrong.setdefault(name, _ANOTHER if why is _GREW else why)
    return excused


def _may_differ(name: str, sha: str, there: Mapping[str, Path]) -> bool:
    """Return whether a command that has begun may have written a file anew, which had the hash `sha`.

    A journal only grows: a broken one is kept beside the one that begins anew, as it was or longer.
    """
    if name not in _CHAINED:
        return not _FINAL.fullmatch(name)
    stem = f"{Path(name).stem}-broken-"
    kept = [path for other, path in there.items() if other.startswith(stem) and other.endswith(".jsonl")]
    with suppress(OSError):
        return any(sha256_of(path) == sha or _begins_with(read_regular(path), sha) for path in kept)
    return False


def promised(signing: Signing) -> tuple[str, Problem | None]:
    """Return the fingerprint of the key that will sign, or `UNSIGNED` and why, if a key is configured.

    A page is written before the seal, so a signature is tried first.
    """
    if signing.key is None:
        return UNSIGNED, None
    try:
        return key_of(sign(b"tried\n", signing)), None
    except Problem as problem:
        return UNSIGNED, problem


class Sealing:
    """Seals one record at the end of what this process does to it."""

    def __init__(self, folder: Path, signing: Signing) -> None:
        """Note what is wrong before anything is done: it is not sealed as if this process had written it.

        Raises:
            Problem: the chain cannot be read.
        """
        self.folder = folder
        self._signing = signing
        self.before = standing(folder, signing)
        self._contents = {name: _sha256(folder / name) for name in self.before.wrong}

    def record_found(self, by: str) -> None:
        """Add an entry with what is wrong, before this process writes anything; raises as `seal`."""
        found = [
            name for name in self.before.wrong if not _PAGES.fullmatch(name) and name not in {CHAIN, HEAD}
        ]
        # Without the key nothing is added to what was signed: it stays as wrong as it is.
        if found and (self._signing.key is not None or not self.before.signed):
            self._add(lambda chain: {"found": [name for name in found if name not in chain.found]}, by)

    def seal(self, by: str, only: Callable[[str], bool] = lambda _: True) -> None:
        """Add an entry for all that is new, or `only` for some names.

        Runs of checks that go on are left out.

        Raises:
            Problem: the chain does not hold, cannot be written, or cannot be signed. It is then unsigned if
                it always was; else it stays as it was signed, and what is new is not sealed.
        """
        self._add(lambda chain: {"files": self._new(chain, only), "gone": self._gone(chain, only)}, by)

    def _add(self, new: Callable[[_Chain], dict[str, list[str]]], by: str) -> None:
        try:
            with _locked(self.folder):
                chain = _read(self.folder)
                wrong = {**self.before.wrong, **chain.wrong}
                for name in sorted(wrong.keys() & {CHAIN, HEAD}):
                    # From here on it may be signed.
                    if wrong[name] is _NOBODY:
                        continue
                    raise Unverifiable(
                        what="chain of the record",
                        expected="one that holds",
                        observed=wrong[name],
                        source=str(self.folder / name),
                        hint="put both files back from a copy, or mend what keeps them from being checked; "
                        "until then nothing more is sealed",
                    )
                kept = chain.without_text_of_people()
                self._write(chain, kept, new(kept), by)
        except OSError as error:
            raise ActionFailed(
                what="seal of the record",
                expected=f"{CHAIN} written",
                observed=reason_of(error),
                source=str(error.filename or self.folder),
                hint=f"make room there, or correct the permissions; then seal it: {typed('report FOLDER')}",
            ) from None

    def _write(self, before: _Chain, chain: _Chain, new: Mapping[str, list[str]], by: str) -> None:
        """Write `chain` with an entry of what is `new`, in the place of the one `before`."""
        entries, key = list(chain.entries), self._signing.key
        if any(new.values()):
            entry = Entry(
                sequence=len(entries),
                at=Moment.now(),
                by=by,
                files=tuple(new.get("files", ())),
                gone=tuple(new.get("gone", ())),
                found=tuple(new.get("found", ())),
                signature=_digest(chain.signature) if key is not None else chain.signature,
                previous=chain.hash,
                version=2,
            )
            entries.append(replace(entry, hash=_hash_of(as_json(entry))))
        elif chain is before and (not entries or chain.signature or key is None):
            return
        lines = b"".join(json_line(as_json(one)) for one in entries)
        if len(lines) > _LARGEST:
            # Nobody would read it: then the whole record would be wrong, and not only this without a seal.
            raise Unverifiable(
                what="seal of the record",
                expected=f"a chain of at most {size_of(_LARGEST)}",
                observed=f"{size_of(len(lines))}: what is new is not sealed",
                source=str(self.folder / CHAIN),
                hint=f"begin another incident: {typed('verify --incident=ANOTHER')}",
            )
        signature, problem = chain.signature, None
        if len(entries) > len(chain.entries) or not signature:
            signature, problem = self._signed(entries[-1])
        if any(chain.signatures):
            if problem is None and not signature and not entries[-1].of_people:
                problem = _no_key(self.folder)
            if problem is not None:
                raise problem
        # A kill may leave one entry behind the head, never a head without its entry.
        if chain is not before:
            write_whole(self.folder / HEAD, _head_line(chain.entries[-1]) + chain.signature.encode())
        write_whole(self.folder / CHAIN, lines)
        write_whole(self.folder / HEAD, _head_line(entries[-1]) + signature.encode())
        if problem is not None:
            raise problem

    def _signed(self, entry: Entry) -> tuple[str, Problem | None]:
        """Return the signature of a head, "" without a key, or why there is none."""
        if self._signing.key is None:
            return "", None
        try:
            return sign(_head_line(entry), self._signing), None
        except Problem as problem:
            return "", problem

    def _new(self, chain: _Chain, wanted: Callable[[str], bool]) -> list[str]:
        lines = []
        for name, path in _files(self.folder):
            known = chain.sealed.get(name)
            once = known is not None and _FINAL.fullmatch(name) is not None
            if not wanted(name) or once or _goes_on(self.folder, name):
                continue
            # Its next writer cuts off what a kill left of a line.
            if _is_journal(name) and is_torn(path):
                continue
            digest = sha256_of(path)
            still_wrong = name in self._contents and self._contents[name] == digest
            if digest != known and (not still_wrong or _PAGES.fullmatch(name)):
                lines.append(f"{digest}  {name}")
        return lines

    def _gone(self, chain: _Chain, wanted: Callable[[str], bool]) -> list[str]:
        there = dict(_files(self.folder))
        return [
            name
            for name in sorted(chain.sealed.keys() - there.keys())
            # An incident without its downtime is not late: whoever removes it has nobody's seal for that.
            if wanted(name) and name != DOWNTIME and not _FINAL.fullmatch(name)
            if _PAGES.fullmatch(name) or name not in self._contents
        ]


@contextmanager
def sealed(
    folder: Path,
    signing: Signing,
    by: str,
    say: Callable[[str], object],
    only: Callable[[str], bool] = lambda _: True,
) -> Iterator[list[str]]:
    """Seal the record after the body, however it ends. What keeps it from being sealed is only said.

    Yield what did not hold of it before, in sentences.
    """
    sealing = None
    try:
        sealing = Sealing(folder, signing)
        if sealing.before.excused:
            # A killed command wrote them, or whoever added to a journal: once sealed, nobody can tell.
            say(f"not sealed when this began, and changed: {listed(sealing.before.excused)}")
        sealing.record_found(by)
    except Problem as problem:
        say(str(problem))
    try:
        yield sealing.before.evidence if sealing is not None else []
    finally:
        try:
            if sealing is not None:
                sealing.seal(by, only)
        except Problem as problem:
            say(str(problem))


def seal_text_of_people(folder: Path, signing: Signing) -> None:
    """Seal the post-mortem as people have completed it, if the record is sealed; raises as `Sealing.seal`."""
    sealing = Sealing(folder, signing)
    if sealing.before.sealed and POST_MORTEM in sealing.before.open:
        sealing.seal("the post-mortem, as people completed it", POST_MORTEM.__eq__)


def _no_key(folder: Path) -> Problem:
    return Unverifiable(
        what="seal of the record",
        expected="the key that signs it, as it was signed before",
        observed="none: what is new is not sealed",
        source=str(folder / HEAD),
        hint=f"name the profile that has it: {typed(f'report {folder.name} --target=…')}",
    )


_GREW = "it is longer than it was when it was sealed"


def _change(path: Path | None, sha: str) -> str:
    """Return how a file differs from what was sealed, "" if it does not."""
    if path is None:
        return "it is missing, and was sealed"
    try:
        if sha256_of(path) == sha:
            return ""
        return _GREW if path.name in _JOURNALS and _begins_with(read_regular(path), sha) else _ANOTHER
    except OSError as error:
        return f"it cannot be read: {reason_of(error)}"


def _begins_with(data: bytes, sha: str) -> bool:
    """Return whether the first lines of a file, up to any of them, have that hash."""
    so_far = hashlib.sha256()
    for line in io.BytesIO(data):
        if so_far.hexdigest() == sha:
            return True
        so_far.update(line)
    return False


def _sha256(path: Path) -> str | None:
    try:
        return sha256_of(path)
    except OSError:
        return None


def _files(folder: Path, below: str = "") -> Iterator[tuple[str, Path]]:
    """Yield the name and path of each file of the record, sorted."""
    for path in sorted(folder.iterdir(), key=lambda one: one.name):
        name = f"{below}{path.name}"
        if path.name.startswith(".") or path.is_symlink() or name in {CHAIN, HEAD, *_OF_BUNDLES}:
            continue
        if path.is_dir():
            yield from _files(path, f"{name}/")
        # Of a lost window only this is without the records of users.
        elif path.is_file() and (not name.startswith(KEPT_ASIDE) or path.name == ACCOUNTS):
            yield name, path


def _unsealable(folder: Path, below: str = "") -> Iterator[tuple[str, Path]]:
    """Yield the name and path of each link, and of results that are hidden: nothing of them is sealed."""
    for path in sorted(folder.iterdir(), key=lambda one: one.name):
        name = f"{below}{path.name}"
        hidden = name.startswith(f"{RESULTS}/") and _HIDDEN_RESULT.fullmatch(path.name)
        kept = name.startswith(KEPT_ASIDE) and not _FOLLOWED.fullmatch(name)
        if not kept and (hidden or (path.is_symlink() and not path.name.startswith("."))):
            yield name, path
        elif path.is_dir() and not path.is_symlink() and not name.startswith(KEPT_ASIDE):
            yield from _unsealable(path, f"{name}/")


@dataclass(frozen=True, slots=True)
class _Running:
    """The fields of `rollproof.incident.ledger.RunFacts` that tell whether a run of checks goes on."""

    started: Moment
    pid: int = 0


def _is_journal(name: str) -> bool:
    return name in _JOURNALS


def _goes_on(folder: Path, name: str) -> bool:
    """Return whether the file is of a run of checks that another process of this machine still does."""
    if not name.startswith(f"{LEDGER}/"):
        return False
    try:
        facts = load_record(_Running, folder / LEDGER / name.split("/")[1] / RUN_FACTS, more=True)
    except (OSError, WrongRecord):
        return False
    if facts.pid in {0, os.getpid()} or facts.started.boot != Moment.now().boot:
        return False
    try:
        os.kill(facts.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _read(folder: Path) -> _Chain:
    chain = _Chain()
    records = _entries(folder / CHAIN, chain)
    head, chain.signature = _head(folder, chain)
    if head is not None:
        number, digest = head
        observed = records[number].hash if number < len(records) else "none"
        if observed != digest:
            text = f"expected entry {number} with hash {digest[:16]}, observed {observed[:16]}"
            chain.wrong.setdefault(CHAIN, f"it was truncated or rewritten: {text}")
        # A kill may leave one entry that the head does not have yet.
        elif len(records) > number + 2:
            chain.wrong.setdefault(CHAIN, f"{len(records) - number - 1} entries are after the head")
        chain.behind = len(records) > number + 1
        records = records[: number + 1]
    elif HEAD not in chain.wrong and len(records) > 1:
        chain.wrong[HEAD] = f"it is missing, beside {len(records)} entries"
    else:
        records = records if HEAD in chain.wrong else []
    for record in records:
        _add(chain, record)
    return chain


def _entries(path: Path, chain: _Chain) -> list[Entry]:
    """Return the entries as far as each has the hash of the one before; note where they do not."""
    found, before = list[Entry](), _FIRST
    try:
        data = read_regular(path, _LARGEST)
        # It is written whole, by any kill.
        if data != complete_lines(data):
            chain.wrong[CHAIN] = "its last line has no end"
        for line in complete_lines(data).split(b"\n")[:-1]:
            value = strict_json(line)
            entry = record_of(Entry, value)
            if json_line(value) != line + b"\n":
                chain.wrong[CHAIN] = f"entry {len(found)} is spelled otherwise"
                break
            if (entry.hash, entry.previous, entry.sequence) != (_hash_of(value), before, len(found)):
                chain.wrong[CHAIN] = f"entry {len(found)} was edited, or one before it"
                break
            found.append(entry)
            before = entry.hash
    except FileNotFoundError:
        pass
    except OSError as error:
        chain.wrong[CHAIN] = f"it cannot be read: {reason_of(error)}"
    except (ValueError, TypeError, AttributeError) as error:
        chain.wrong[CHAIN] = f"entry {len(found)} is damaged: {error}"
    return found


def _hash_of(value: Mapping[str, Any]) -> str:
    """Return the hash of an entry without its `hash`, as of a record of a journal."""
    return hashlib.sha256(canonical_json({k: v for k, v in value.items() if k != "hash"})).hexdigest()


def _digest(signature: str) -> str:
    return hashlib.sha256(signature.encode()).hexdigest() if signature else ""


def _add(chain: _Chain, entry: Entry) -> None:
    chain.entries.append(entry)
    for name in entry.found:
        chain.found.setdefault(name, entry.by)
    for line in entry.files:
        digest, name = line[:64], line[66:]
        if _FINAL.fullmatch(name) and chain.sealed.get(name, digest) != digest:
            chain.wrong[name] = f"it was sealed again with other bytes, by: {entry.by}"
            continue
        chain.sealed[name] = digest
        _mend(chain, name)
    for name in entry.gone:
        if _FINAL.fullmatch(name):
            chain.wrong[name] = f"it was removed, by: {entry.by}"
        chain.sealed.pop(name, None)
        _mend(chain, name)


def _mend(chain: _Chain, name: str) -> None:
    by = chain.found.pop(name, None)
    if by is not None:
        chain.mended.append(
            f"{name}: it was not what was sealed when this began: {by}; it was written again since"
        )


def _head_line(entry: Entry) -> bytes:
    return f"{entry.sequence:012d} {entry.hash}\n".encode()


def _head(folder: Path, chain: _Chain) -> tuple[tuple[int, str] | None, str]:
    """Return number and hash of the last entry, None without a head, and the signature, often ""."""
    try:
        text = read_regular(folder / HEAD)[:_MOST_HEAD].decode("ascii")
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError) as error:
        chain.wrong[HEAD] = f"it cannot be read: {reason_of(error)}"
        return None, ""
    line, end, signature = text.partition("\n")
    found = _HEAD_LINE.fullmatch(line)
    if found is None or not end:
        chain.wrong[HEAD] = "it has no number and hash of an entry"
        return None, ""
    return (int(found[1]), found[2]), signature


def _signature(
    chain: _Chain, signing: Signing, wrong: dict[str, str], open_: set[str]
) -> tuple[bool, str, str]:
    """Return whether anybody has signed, who, in words, and the key, "" without; note what is wrong.

    All that are kept are checked: a key would otherwise sign what somebody without it has put before.
    """
    signatures, required = chain.signatures, signing.allowed_signers is not None
    signed = [number for number, signature in enumerate(signatures) if signature]
    if not signed:
        return False, UNSIGNED, ""
    who, key, number = "", "", 0
    try:
        for number in signed:
            if number == signed[-1] or not _HASH.fullmatch(signatures[number]):
                found = check_signature(_head_line(chain.entries[number]), signatures[number], signing)
                who, key = str(found), found.key
    except WrongSignature as error:
        wrong[HEAD] = f"the signature of entry {number} does not hold: {error}"
        return True, f"{UNSIGNED}: a signature does not hold", ""
    except Problem as problem:
        said = f"signed, and the signature cannot be checked: {problem.summary}"
        if required:
            wrong[HEAD] = f"it is {said}"
        open_.add(HEAD)
        return True, said, ""
    since = [entry.by for entry in chain.unsigned_end if not entry.of_people]
    if since and required:
        wrong[HEAD] = f"what is above entry {signed[-1]} is not signed: {listed(since, 5)}"
    last = "" if chain.signature else f"{UNSIGNED} at its end, before that "
    return True, f"{last}{who}{_unproven(chain, chain.entries[signed[-1]])}", key


def _unproven(chain: _Chain, end: Entry) -> str:
    """Return in words what the signature at the entry `end` does not prove, "" if nothing."""
    said = ""
    if end.version == 1:
        said = ", in an earlier form, which does not tell whether it was set back to an earlier end"
    entries = zip(chain.entries, chain.signatures, strict=True)
    unsigned = [f"{entry.sequence} ({entry.by})" for entry, signature in entries if not signature]
    return f"{said}; not signed: entry {listed(unsigned, 5)}" if unsigned else said


def _claimed(folder: Path) -> str:
    """Return the key that `verdict.json` says the record is signed with, or `UNSIGNED`."""
    with suppress(OSError, ValueError, AttributeError):
        return str(strict_json(read_regular(folder / VERDICT)).get("signature", UNSIGNED))
    return UNSIGNED


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from sealing the same record meanwhile; raises `OSError` after a while."""
    with closing(_Descriptor(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))) as opened:
        if not locked_within(opened.number, fcntl.LOCK_EX, _LOCK_SECONDS):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        yield


@dataclass(frozen=True, slots=True)
class _Descriptor:
    number: int

    def close(self) -> None:
        os.close(self.number)
