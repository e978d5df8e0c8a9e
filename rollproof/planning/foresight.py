"""The faults that a rollback will leave, known before anything stops.

Four things are judged. The engine must be the target's. The database's revision after the rollback must be
known to the migrations in the image that runs then. The format of the data must be readable by the server.
And a restore must overwrite no data outside of the profile, for which nobody would account. An unknown fact
is *not judged*, and said so.

A rollback leaves the servers of stores as they are, unless one is a service of the application too. So the
server that runs now reads the backup. If the baseline recorded another image of it, there is a second risk.
Re-creating the server from the commit's compose files puts the earlier server on the later one's data.
"""

from __future__ import annotations

import ast
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from rollproof.baseline.known_engine import CONTAINER_ENGINE, match_engine
from rollproof.engines.engine import Container, ContainerEngine
from rollproof.errors import Problem, UsageProblem, listed
from rollproof.home import typed
from rollproof.planning.plan import Plan
from rollproof.profile.application_profile import Migrations
from rollproof.profile.data_formats import Fit, Judgement, Marks, fits, refused, unknown
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target
from rollproof.profile.store_descriptor import Trait
from rollproof.stores.package import read_details
from rollproof.stores.registry import open_beside, open_marks, open_revisions
from rollproof.system.side_by_side import Question, wait_for

SECONDS = 3.0
"""For all questions, which are asked side by side: with what is around them, a refusal comes within 5 s."""
_EACH_SECONDS = 2.5

_KNOWN = "a database at a revision that the image knows"
_READABLE = "data that the server reads"
_LISTED = "nothing, since a restore replaces the whole server"
_UNLISTED = (
    "list it in the profile, then capture and back up anew; another application's data needs its own server"
)
_OTHER_SERVER = "bring back the version of the server that wrote it, or choose another backup (--backup NAME)"
_OTHER_IMAGE = "leave that server out of application.services: it stays on its image then"


def _other_data() -> str:
    return (
        f"roll the data back with it: {typed('rollback emergency COMMIT')}; or choose a backup of the image's"
        " own time (--backup NAME)"
    )


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One judgement about a rollback; what was expected, and what to do, if it is a refusal.

    `later` says that the rollback itself works: what is judged happens when somebody re-creates a server.
    `always` says that it refuses a rollback that began before, too.
    """

    what: str
    judgement: Judgement
    expected: str = ""
    hint: str = ""
    later: bool = False
    always: bool = False

    @property
    def refuses(self) -> bool:
        """Whether the rollback cannot work."""
        return self.judgement.fit is Fit.REFUSED and not self.later

    def problem(self) -> UsageProblem:
        """Return the refusal."""
        return UsageProblem(
            what=self.what,
            expected=self.expected,
            observed=self.judgement.reason,
            source="what would run after the rollback; nothing was changed",
            hint=self.hint,
        )


def foresee(target: Target, plan: Plan, engine: ContainerEngine) -> tuple[Foreseen, ...]:
    """Return every judgement about the rollback of `plan`, within `SECONDS`; nothing is changed."""
    asked = dict(_questions(_patient(target), plan, engine))
    questions = [Question(what, ask) for what, ask in asked.items()]
    for question in questions:
        question.start()
    wait_for(questions, SECONDS)
    found = [one for question in questions for one in _answered(question)]
    return (*_unnamed(target, plan), *found)


def problems(foreseen: Iterable[Foreseen], *, resumed: bool = False) -> Iterator[UsageProblem]:
    """Yield a refusal for each thing that cannot work; of a `resumed` rollback, for what refuses it still."""
    return (one.problem() for one in foreseen if one.refuses and (one.always or not resumed))


def said(foreseen: Iterable[Foreseen]) -> Iterator[str]:
    """Yield what is not judged, and what would go wrong later, in words."""
    for one in foreseen:
        if one.judgement.fit is Fit.UNKNOWN:
            yield f"not judged: {one.what}: {one.judgement.reason}"
        elif one.judgement.fit is Fit.REFUSED and one.later:
            yield f"caution: {one.what}: {one.judgement.reason}"


def _answered(question: Question[tuple[Foreseen, ...]]) -> tuple[Foreseen, ...]:
    if question.waiting:
        return (Foreseen(question.name, unknown(f"no answer within {SECONDS:g} s")),)
    try:
        return question.answer()
    except Problem as problem:
        return (Foreseen(question.name, unknown(problem.summary)),)


def _patient(target: Target) -> Target:
    """Return `target` with stores that are not waited for longer than the questions may take."""
    stores = {
        name: store.model_copy(update={"deadline_seconds": min(store.deadline_seconds, _EACH_SECONDS)})
        for name, store in target.stores.items()
    }
    return target.model_copy(update={"stores": stores})


def _engine(target: Target, plan: Plan, engine: ContainerEngine) -> tuple[Foreseen, ...]:
    """Judge the engine that would be changed, if it is known which one that has to be."""
    match = match_engine(target, engine, plan.baseline)
    if not match.known:
        return (Foreseen(CONTAINER_ENGINE, unknown(match.unread)),) if match.unread else ()
    judgement = fits(match.expected) if match.holds else refused(match.observed)
    return (Foreseen(CONTAINER_ENGINE, judgement, match.expected, match.hint, always=True),)


def _questions(
    target: Target, plan: Plan, engine: ContainerEngine
) -> Iterator[tuple[str, Callable[[], tuple[Foreseen, ...]]]]:
    yield CONTAINER_ENGINE, partial(_engine, target, plan, engine)
    for service, migrations in target.application.migrations.items():
        if service in plan.images or migrations.store in plan.stores:
            what = f"migrations of {service}"
            yield what, partial(_migrations, target, plan, engine, what, service, migrations)
    for name, store in target.stores.items():
        replaced = plan.checks_out or bool(set(store.services) & set(plan.images))
        if descriptor_of(store).judge is not None and (replaced or name in plan.stores):
            what = f"data of {name}"
            yield what, partial(_data, target, plan, engine, what, name)
        if Trait.WHOLE in descriptor_of(store).traits and name in plan.stores:
            what = f"what {name} holds beside the profile's lists"
            yield what, partial(_unlisted, target, engine, what, name)


def _unnamed(target: Target, plan: Plan) -> Iterator[Foreseen]:
    """Yield that no migrations are named, where there could be some."""
    databases = [name for name, store in target.stores.items() if descriptor_of(store).revisions]
    if not target.application.migrations and databases and (plan.images or set(databases) & set(plan.stores)):
        yield Foreseen("migrations", unknown("the profile names none: application.migrations"))


def _migrations(
    target: Target, plan: Plan, engine: ContainerEngine, what: str, service: str, migrations: Migrations
) -> tuple[Foreseen, ...]:
    there = engine.containers().get(service, ())
    image = plan.images.get(service) or next((one.image_id for one in there), "")
    if not image:
        return (Foreseen(what, unknown(f"no container of {service} that tells its image")),)
    covered = sorted(set(_mounted(plan, there, service, migrations.folders)))
    if covered:
        reason = f"they are in a mount ({', '.join(covered)}), not in the image"
        return (Foreseen(what, unknown(reason)),)
    if plan.backup is None or migrations.store not in plan.stores:
        current: Sequence[str] | None = open_revisions(
            migrations.store, target.stores[migrations.store], engine, migrations.table
        )
    else:
        current = plan.backup.revisions.get(service)
    if current is None:
        return (Foreseen(what, unknown("the backup does not tell the database's revision")),)
    try:
        brought = revisions_of(engine, image, migrations.folders, _EACH_SECONDS)
    except UnknownRevisions as reason_why:
        return (Foreseen(what, unknown(str(reason_why))),)
    return (Foreseen(what, brought.judge(current, at_start=migrations.at_start), _KNOWN, _other_data()),)


def _mounted(plan: Plan, there: Sequence[Container], service: str, folders: Sequence[str]) -> Iterator[str]:
    """Yield the places of mounts that hide one of `folders`, now or when the baseline was captured."""
    recorded = (c for c in plan.baseline.facts.containers if c.service == service)
    places = {place for container in recorded for place in container.places}
    places |= {mount.destination for container in there for mount in container.mounts}
    for place in places:
        below = f"{place.rstrip('/')}/"
        if any(f"{folder}/".startswith(below) for folder in folders):
            yield place


def _data(target: Target, plan: Plan, engine: ContainerEngine, what: str, name: str) -> tuple[Foreseen, ...]:
    """Judge a store: its backup against the server of now, and its data against another server."""
    judge = descriptor_of(target.stores[name]).judge
    services = target.stores[name].services
    now = {service: found[0].image_id for service, found in engine.containers().items() if found}
    known = plan.baseline.facts.images(services)
    other = {service for service in services if service in now and known.get(service) != now[service]}
    replaced = bool(other & set(plan.images))
    backup = plan.backup if name in plan.stores else None
    if judge is None or not (backup or replaced or (other and plan.checks_out)):
        return ()
    recorded = _recorded(plan, name)
    try:
        running: Marks = open_marks(name, target.stores[name], engine)
    except Problem as problem:
        # A server that is down is the one of the baseline if its images are.
        if recorded is None or not services or [*map(now.get, services)] != [*map(known.get, services)]:
            return (Foreseen(what, unknown(f"the server's version: {problem.summary}")),)
        running = recorded
    found = []
    if backup is not None:
        judgement = judge(read_details(backup.folder / name), running, in_place=False)
        found.append(Foreseen(what, judgement, _READABLE, _OTHER_SERVER))
    if replaced or (other and plan.checks_out):
        about = what if replaced else f"{what}, once its server is re-created by the commit's compose files"
        if recorded is None:
            judgement = unknown("the baseline does not tell the version of its server")
        else:
            judgement = judge(running, recorded, in_place=True)
        found.append(Foreseen(about, judgement, _READABLE, _OTHER_IMAGE, later=not replaced))
    return tuple(found)


def _unlisted(target: Target, engine: ContainerEngine, what: str, name: str) -> tuple[Foreseen, ...]:
    """Judge a store that is restored whole: only what the profile lists is exported and accounted for."""
    beside = open_beside(name, target.stores[name], engine)
    if beside.outside:
        return (Foreseen(what, refused(", ".join(beside.outside)), _LISTED, _UNLISTED),)
    judgement = unknown("; ".join(beside.unread)) if beside.unread else fits("nothing")
    return (Foreseen(what, judgement),)


def _recorded(plan: Plan, name: str) -> Marks | None:
    """Return the marks of the server that ran when the baseline was captured, or None."""
    store = plan.baseline.facts.stores.get(name)
    return store.marks if store is not None and store.marks else None


_LARGEST_FILE, _LARGEST_FOLDER = 1 << 20, 64 << 20


class UnknownRevisions(Exception):
    """The files of an image do not tell its revisions; the text says why."""


@dataclass(frozen=True, slots=True)
class Revisions:
    """The revisions that an image knows; `before` are the predecessors of each."""

    before: Mapping[str, tuple[str, ...]]

    @property
    def heads(self) -> frozenset[str]:
        """The revisions that come before no other."""
        return frozenset(self.before) - {one for names in self.before.values() for one in names}

    def judge(self, current: Sequence[str], *, at_start: bool) -> Judgement:
        """Return whether the image works with a database at the revisions `current`.

        `at_start` says that it begins with an upgrade to its head, which ends it at an unknown revision.
        """
        heads, now = listed(sorted(self.heads)), listed(sorted(current))
        if not current:
            return unknown(f"the database has no revision; the image's head is {heads}")
        if frozenset(current) == self.heads:
            return fits(f"revision {heads}, the image's head")
        if not at_start:
            return unknown(f"the database is at {now}, the image's head is {heads}; it migrates nothing")
        if strange := sorted(set(current) - set(self.before)):
            return refused(f"revision {listed(strange)} is none of the image, whose head is {heads}")
        if overlapping := sorted(set(current) & self._before_any(current)):
            return refused(
                f"the database is at {now}, and {listed(overlapping)} comes before another of them"
            )
        return fits(f"revision {now}, from which the image migrates to its head {heads}")

    def _before_any(self, revisions: Sequence[str]) -> set[str]:
        """Return all revisions that come before one of `revisions`."""
        found, waiting = set[str](), [*revisions]
        while waiting:
            before = set(self.before[waiting.pop()]) - found
            found |= before
            waiting += before
        return found


def revisions_of(engine: ContainerEngine, image: str, folders: Iterable[str], deadline: float) -> Revisions:
    """Return the revisions in `folders` of the image with the id `image`; each has `deadline` seconds.

    Raises:
        UnknownRevisions: they cannot be told from the files. `Unverifiable`: the engine does not give them.
    """
    before: dict[str, tuple[str, ...]] = {}
    for folder in folders:
        with engine.image_files(image, folder, deadline) as chunks:
            found = dict(_in_folder(folder, _whole(folder, chunks)))
        if not found:
            raise UnknownRevisions(f"no revision in {folder} of the image")
        before |= found
    missing = {name for names in before.values() for name in names} - set(before)
    if missing:
        raise UnknownRevisions(f"the image lacks {listed(sorted(missing))}, before revisions that it has")
    return Revisions(before)


def _whole(folder: str, chunks: Iterator[bytes]) -> bytes:
    parts, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > _LARGEST_FOLDER:
            raise UnknownRevisions(f"{folder} of the image has more than {_LARGEST_FOLDER / 1e6:.0f} MB")
        parts.append(chunk)
    return b"".join(parts)


def _in_folder(folder: str, data: bytes) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each revision in a folder's tar, with those before it."""
    top = PurePosixPath(folder).name
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if path.suffix != ".py" or not member.isreg() or member.size > _LARGEST_FILE:
                    continue
                content = tar.extractfile(member)
                revision = _read(str(path), content.read() if content else b"")
                if revision is None:
                    continue
                if path.parent.name != top or len(path.parts) != len((top, path.name)):
                    raise UnknownRevisions(f"{path} is below the folder: name its own folder too")
                yield revision
    except tarfile.TarError as error:
        raise UnknownRevisions(f"{folder} of the image: {error}") from None


def _read(path: str, content: bytes) -> tuple[str, tuple[str, ...]] | None:
    """Return the revision in a file's text and those before it, or None for another kind of file."""
    try:
        values = dict(_assigned(ast.parse(content)))
        if not {"revision", "down_revision"} <= values.keys():
            return None
        revision, before = (ast.literal_eval(values[name]) for name in ("revision", "down_revision"))
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise UnknownRevisions(f"{path} of the image does not say its revision literally") from None
    names = before if isinstance(before, tuple | list) else () if before is None else (before,)
    if not isinstance(revision, str) or not all(isinstance(name, str) for name in names):
        raise UnknownRevisions(f"{path} of the image has a revision that is no text")
    return revision, tuple(names)


def _assigned(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for statement in module.body:
        if isinstance(statement, ast.Assign):
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
            yield from ((name, statement.value) for name in names)
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield from ((statement.target.id, value) for value in (statement.value,) if value is not None)
