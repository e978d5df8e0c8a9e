"""The faults that a rollback will leave, known before anything stops.

Four things are judged. The engine must be the target's. The database's revision after the rollback must be
known to the migrations in the image that runs then. The format of the data must be readable by the server
that runs then: the one of now, unless it is a service of the application too. And a restore must overwrite no
data outside of the profile, for which nobody would account. An unknown fact is *not judged*, and named so.
"""

from __future__ import annotations

import ast
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from rollproof.baseline.known_good import CONTAINER_ENGINE, match_engine
from rollproof.engines.engine import Container, ContainerEngine
from rollproof.errors import Problem, UsageProblem, listed
from rollproof.home import typed
from rollproof.planning.plan import Plan
from rollproof.profile.application_profile import Migrations, is_of_django
from rollproof.profile.data_formats import Fit, Judgement, fits, judge, refused, unknown
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target
from rollproof.stores.contract import Unlisted
from rollproof.stores.package import read_details
from rollproof.stores.registry import ReaderOpener, open_reader
from rollproof.system.side_by_side import Question, wait_for

SECONDS = 3.0
"""For all questions, which are asked side by side: with what is around them, a refusal comes within 5 s."""
_EACH_SECONDS = 2.5
_LARGEST_FILE = 1 << 20

_Read = Callable[[str, bytes], tuple[str, tuple[str, ...]] | None]
_KNOWN = "a database at a revision that the image knows"
_READABLE = "data that the server reads"
_LISTED = "nothing, since a restore replaces the whole server"
_UNLISTED = (
    "list it in the profile, then capture and back up; another application's data needs its own server"
)
_OTHER_SERVER = "bring back the version of the server that wrote it, or choose another backup (--backup NAME)"
_OTHER_IMAGE = "leave that server out of application.services: it stays on its image then"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One judgement about a rollback; what was expected, and what to do, if it is a refusal."""

    what: str
    judgement: Judgement
    expected: str = ""
    hint: str = ""

    def problem(self) -> UsageProblem:
        """Return the refusal."""
        return UsageProblem(
            what=self.what,
            expected=self.expected,
            observed=self.judgement.reason,
            source="what would run after the rollback; nothing was changed",
            hint=self.hint,
        )


def foresee(
    target: Target,
    plan: Plan,
    engine: ContainerEngine,
    open_reader: ReaderOpener = open_reader,
    wait_for: Callable[[Sequence[Question[Any]], float], None] = wait_for,
) -> tuple[Foreseen, ...]:
    """Return every judgement about the rollback of `plan`, within `SECONDS`; nothing is changed."""
    # Stores that are not waited for longer than the questions may take.
    stores = {
        name: store.model_copy(update={"deadline_seconds": min(store.deadline_seconds, _EACH_SECONDS)})
        for name, store in target.stores.items()
    }
    asked = _questions(target.model_copy(update={"stores": stores}), plan, engine, open_reader)
    questions = [Question(what, ask) for what, ask in asked]
    for question in questions:
        question.start()
    wait_for(questions, SECONDS)
    return (*_unnamed(target, plan), *(one for question in questions for one in _answered(question)))


def problems(foreseen: Iterable[Foreseen]) -> Iterator[UsageProblem]:
    """Yield a refusal for each thing that cannot work."""
    return (one.problem() for one in foreseen if one.judgement.fit is Fit.REFUSED)


def not_judged(foreseen: Iterable[Foreseen]) -> Iterator[str]:
    """Yield what is not judged, in words."""
    for one in foreseen:
        if one.judgement.fit is Fit.UNKNOWN:
            yield f"not judged: {one.what}: {one.judgement.reason}"


def _answered(question: Question[tuple[Foreseen, ...]]) -> tuple[Foreseen, ...]:
    if question.waiting:
        return (Foreseen(question.name, unknown(f"no answer within {SECONDS:g} s")),)
    try:
        return question.answer()
    except Problem as problem:
        return (Foreseen(question.name, unknown(problem.summary)),)


def _questions(
    target: Target, plan: Plan, engine: ContainerEngine, open_reader: ReaderOpener
) -> Iterator[tuple[str, Callable[[], tuple[Foreseen, ...]]]]:
    yield CONTAINER_ENGINE, partial(_engine, target, plan, engine)
    for service, migrations in target.application.migrations.items():
        if service in plan.images or migrations.store in plan.stores:
            what = f"migrations of {service}"
            yield what, partial(_migrations, target, plan, engine, open_reader, what, service, migrations)
    for name, store in target.stores.items():
        replaced = bool(set(store.services) & set(plan.images))
        if descriptor_of(store).has_format_marks and (replaced or name in plan.stores):
            what = f"data of {name}"
            yield what, partial(_data, target, plan, engine, open_reader, what, name)
        if descriptor_of(store).restores_everything and name in plan.stores:
            what = f"what {name} holds outside the profile's lists"
            yield what, partial(_unlisted, target, engine, open_reader, what, name)


def _unnamed(target: Target, plan: Plan) -> Iterator[Foreseen]:
    """Yield that no migrations are named, where there could be some: then none is judged."""
    databases = [name for name, store in target.stores.items() if descriptor_of(store).may_have_revisions]
    if not target.application.migrations and databases and (plan.images or set(databases) & set(plan.stores)):
        yield Foreseen("migrations", unknown("the profile names none: application.migrations"))


def _engine(target: Target, plan: Plan, engine: ContainerEngine) -> tuple[Foreseen, ...]:
    """Judge the engine that would be changed, if it is known which one that has to be."""
    match = match_engine(target, engine, plan.baseline)
    if not match.known:
        return (Foreseen(CONTAINER_ENGINE, unknown(match.unread)),) if match.unread else ()
    judgement = fits(match.expected) if match.holds else refused(match.observed)
    return (Foreseen(CONTAINER_ENGINE, judgement, match.expected, match.hint),)


def _migrations(
    target: Target,
    plan: Plan,
    engine: ContainerEngine,
    open_reader: ReaderOpener,
    what: str,
    service: str,
    migrations: Migrations,
) -> tuple[Foreseen, ...]:
    hint = (
        f"roll the data back with it: {typed('rollback emergency COMMIT')}; or choose a backup of the image's"
        " own time (--backup NAME)"
    )
    try:
        brought = _brought(plan, engine, service, migrations)
        current = _revisions_then(target, plan, engine, open_reader, service, migrations)
    except UnknownRevisions as why:
        return (Foreseen(what, unknown(str(why))),)
    # The image that goes on running has migrated the database once already.
    again = migrations.store in plan.stores and service not in plan.images
    judgement = brought.judge(current, at_start=migrations.at_start, again=again)
    return (Foreseen(what, judgement, _KNOWN, hint),)


def _brought(plan: Plan, engine: ContainerEngine, service: str, migrations: Migrations) -> Revisions:
    """Return the revisions in the image on which `service` will run."""
    there = engine.containers().get(service, ())
    image = plan.images.get(service) or next((one.image_id for one in there), "")
    if not image:
        raise UnknownRevisions(f"no container of {service} that has its image")
    if mounted := sorted(set(_mounted(plan, there, service, migrations.folders))):
        raise UnknownRevisions(f"they are in a mount ({', '.join(mounted)}), not in the image")
    return revisions_of(engine, image, migrations, _EACH_SECONDS)


def _revisions_then(
    target: Target,
    plan: Plan,
    engine: ContainerEngine,
    open_reader: ReaderOpener,
    service: str,
    migrations: Migrations,
) -> Sequence[str]:
    """Return the revisions of the database after the rollback: those of now, or of the backup."""
    if plan.backup is None or migrations.store not in plan.stores:
        with open_reader(migrations.store, target.stores[migrations.store], engine) as reader:
            return reader.revisions(migrations.table)
    if service not in plan.backup.revisions:
        raise UnknownRevisions("the backup does not record the database's revision")
    return plan.backup.revisions[service]


def _mounted(plan: Plan, there: Sequence[Container], service: str, folders: Sequence[str]) -> Iterator[str]:
    """Yield the places of mounts that hide one of `folders`, now or when the baseline was captured."""
    recorded = (c for c in plan.baseline.facts.containers if c.service == service)
    places = {place for container in recorded for place in container.places}
    places |= {mount.destination for container in there for mount in container.mounts}
    for place in places:
        below = f"{place.rstrip('/')}/"
        if any(f"{folder}/".startswith(below) for folder in folders):
            yield place


def _data(
    target: Target,
    plan: Plan,
    engine: ContainerEngine,
    open_reader: ReaderOpener,
    what: str,
    name: str,
) -> tuple[Foreseen, ...]:
    """Judge a store: its backup against the server of now, and its data against a server that replaces it."""
    store, backup = target.stores[name], plan.backup if name in plan.stores else None
    now = {service: found[0].image_id for service, found in engine.containers().items() if found}
    replaced = any(
        plan.images.get(service, now.get(service)) != now.get(service) for service in store.services
    )
    with open_reader(name, store, engine) as reader:
        running = reader.marks()
    format_of, found = descriptor_of(store).format_of, list[Foreseen]()
    # A store that a restore empties has nothing in its backup.
    if backup is not None and not store.emptied:
        judgement = judge(format_of, read_details(backup.folder / name), running)
        found.append(Foreseen(what, judgement, _READABLE, _OTHER_SERVER))
    if replaced:
        recorded = plan.baseline.facts.stores.get(name)
        judgement = unknown("the baseline does not record the version of its server")
        if recorded is not None and recorded.marks:
            judgement = judge(format_of, running, recorded.marks)
        found.append(Foreseen(what, judgement, _READABLE, _OTHER_IMAGE))
    return tuple(found)


def _unlisted(
    target: Target, engine: ContainerEngine, open_reader: ReaderOpener, what: str, name: str
) -> tuple[Foreseen, ...]:
    """Judge a store that is restored whole: only what the profile lists is exported and accounted for."""
    with open_reader(name, target.stores[name], engine, operator=True) as reader:
        others = reader.unlisted() or Unlisted()
    if others.outside:
        return (Foreseen(what, refused(", ".join(others.outside)), _LISTED, _UNLISTED),)
    judgement = unknown("; ".join(others.unread)) if others.unread else fits("nothing")
    return (Foreseen(what, judgement),)


class UnknownRevisions(Exception):
    """The revisions of an image or a database are not known; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Revisions:
    """The revisions that an image knows; `before` are the predecessors of each.

    Those of Django are ``app.name``, and a database has all that were applied, of other apps too.
    """

    before: Mapping[str, tuple[str, ...]]
    django: bool = False

    @property
    def heads(self) -> frozenset[str]:
        """The revisions that come before no other."""
        return frozenset(self.before) - {one for names in self.before.values() for one in names}

    def judge(self, current: Sequence[str], *, at_start: bool, again: bool = False) -> Judgement:
        """Return whether the image works with a database at the revisions `current`.

        `at_start` says that it begins with an upgrade to its head, which ends it at an unknown revision;
        `again`, that this upgrade would do again what the rollback undoes.
        """
        if self.django:
            apps = {name.partition(".")[0] for name in self.before}
            current = [name for name in current if name.partition(".")[0] in apps]
            earlier = {name for one in current for name in self.before.get(one, ())}
            current = [name for name in current if name not in earlier]
        heads, now = listed(sorted(self.heads)), listed(sorted(current))
        if not current:
            return unknown(f"the database has no revision; the image's head is {heads}")
        if frozenset(current) == self.heads:
            return fits(f"revision {heads}, the image's head")
        if not at_start:
            return unknown(f"the database is at {now}, the image's head is {heads}; it migrates nothing")
        if strange := sorted(set(current) - set(self.before)):
            text = f"revision {listed(strange)} is none of the image, whose head is {heads}"
            return unknown(f"{text}; Django starts all the same") if self.django else refused(text)
        if again:
            return refused(f"revision {now}, which the image that runs migrates again to its head {heads}")
        return fits(f"revision {now}, from which the image migrates to its head {heads}")


def revisions_of(engine: ContainerEngine, image: str, migrations: Migrations, deadline: float) -> Revisions:
    """Return the revisions in the folders of the image with the id `image`; each has `deadline` seconds.

    Raises:
        UnknownRevisions: the files do not show them. `Unverifiable`: the engine does not give the files.
    """
    before: dict[str, tuple[str, ...]] = {}
    django = is_of_django(migrations.table)
    for folder in migrations.folders:
        app = PurePosixPath(folder).parent.name
        read = partial(_read_of_django, app) if django else _read
        with engine.image_files(image, folder, deadline) as chunks:
            found = dict(_in_folder(folder, b"".join(chunks), read))
        if not found:
            raise UnknownRevisions(f"no revision in {folder} of the image")
        before |= found
    missing = {name for names in before.values() for name in names} - set(before)
    if django:  # squashed, and removed
        before |= dict.fromkeys(missing, ())
    elif missing:
        raise UnknownRevisions(f"the image lacks {listed(sorted(missing))}, before revisions that it has")
    return Revisions(before, django)


def _in_folder(folder: str, data: bytes, read: _Read) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each revision in a folder's tar, with those before it."""
    top = PurePosixPath(folder).name
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if path.suffix != ".py" or not member.isreg() or member.size > _LARGEST_FILE:
                    continue
                content = tar.extractfile(member)
                revision = read(str(path), content.read() if content else b"")
                if revision is not None and path.parts != (top, path.name):
                    raise UnknownRevisions(f"{path} is below the folder: name its own folder too")
                if revision is not None:
                    yield revision
    except tarfile.TarError as error:
        raise UnknownRevisions(f"{folder} of the image: {error}") from None


def _read(path: str, content: bytes) -> tuple[str, tuple[str, ...]] | None:
    """Return the revision in a file's text and those before it, or None for another kind of file."""
    found: dict[str, object] = {}
    try:
        for statement in ast.parse(content).body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                names = {target.id for target in targets if isinstance(target, ast.Name)}
                for name in names & {"revision", "down_revision"}:
                    found[name] = ast.literal_eval(statement.value)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise UnknownRevisions(f"{path} of the image does not say its revision literally") from None
    if len(found) < 2:  # noqa: PLR2004 - both
        return None
    revision, before = found["revision"], found["down_revision"]
    before = before if isinstance(before, tuple | list) else () if before is None else (before,)
    if not isinstance(revision, str) or not all(isinstance(name, str) for name in before):
        raise UnknownRevisions(f"{path} of the image has a revision that is no text")
    return revision, tuple(before)


def _read_of_django(app: str, path: str, content: bytes) -> tuple[str, tuple[str, ...]] | None:
    """Return the migration in a file's text and those of its app before it, also those that it squashes."""
    found: list[ast.expr] = []
    try:
        classes = [one for one in ast.parse(content).body if isinstance(one, ast.ClassDef)]
        for one in (one for made in classes if made.name == "Migration" for one in made.body):
            if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) in {"dependencies", "replaces"}:
                found += getattr(one.value, "elts", ())
        # Others are calls: they name another app's.
        pairs = [ast.literal_eval(one) for one in found if isinstance(one, ast.Tuple)]
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise UnknownRevisions(f"{path} of the image does not name literally what is before it") from None
    if not any(made.name == "Migration" for made in classes):
        return None
    return f"{app}.{PurePosixPath(path).stem}", tuple(f"{app}.{name}" for of, name in pairs if of == app)
