"""The emergency rollback: code, images and the data of every store back to what they were at one commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fixtures.baseline import Baseline, load_baseline
from fixtures.clock import Moment
from fixtures.engines.engine import ContainerEngine
from fixtures.errors import Problem, UsageProblem
from fixtures.incident import Incident, RollbackRecord
from fixtures.target import Target
from fixtures.verdict import Verdict
from rollback_actions.backup import BackupSet, each_store, find_backup, take_backup
from rollback_actions.commit import check_out, resolve_commit
from rollback_actions.containers import ContainerControl
from rollback_actions.journal import Journal
from rollback_actions.progress import Progress, Step
from rollback_actions.stores.factory import open_keepers
from rollback_actions.stores.package import read_package
from rollback_actions.unfinished import Unfinished

_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a rollback needs, found before anything is changed."""

    commit: str
    baseline: Baseline
    backup: BackupSet
    images: Mapping[str, str]


class Recorder:
    """Steps that are shown and written to the journal, as `rollback_actions.backup.Steps` asks."""

    def __init__(self, journal: Journal, progress: Progress) -> None:
        """Write to `journal`, show on `progress`."""
        self._journal = journal
        self._progress = progress

    def note(self, text: str) -> None:
        """Show and record something that is no step."""
        self._progress.say(text)
        self._journal.write("noted", text=text)

    @contextmanager
    def __call__(self, name: str) -> Iterator[Step]:
        """Open the step called `name`."""
        with self._progress.step(name) as shown, self._journal.step(name) as recorded:
            yield shown
            recorded["result"] = shown.result


def plan_emergency(target: Target, commit: str) -> Plan:
    """Return what an emergency rollback to `commit` would use.

    Raises:
        UsageProblem: the commit, its baseline or its backup is not there. `ActionFailed`: the backup of a
            store is not whole.
    """
    full = resolve_commit(target.application.repository, commit)
    baseline = _baseline_of(target, full)
    services = target.application.services
    images = {c.service: c.image_id for c in baseline.facts.containers if c.service in services}
    missing = [service for service in services if service not in images]
    if missing:
        raise UsageProblem(
            what="images of the baseline",
            expected=f"one for each of {', '.join(services)}",
            observed=f"none for {', '.join(missing)}",
            source=str(baseline.folder),
            hint="the profile names services that did not run when the baseline was captured",
        )
    backup = find_backup(target.folders.backups, target.name, full)
    for name, store in target.stores.items():
        # Every byte is read before the first service is stopped: a backup that is cut helps nobody halfway.
        read_package(backup.folder / name, kind=store.kind)
    return Plan(full, baseline, backup, images)


def roll_back(
    target: Target,
    plan: Plan,
    incident: Incident,
    engine: ContainerEngine,
    control: ContainerControl,
    steps: Recorder,
) -> RollbackRecord:
    """Roll `target` back by `plan`, and record how it ended, whichever way.

    The writers stop first and start last. What the stores hold now is kept before any of it is overwritten.
    After an interruption it is run again in the same incident, does every restore anew from the backup, and
    keeps nothing twice: what is there then may be half restored, and what was there before is kept already.
    """
    unfinished = Unfinished.begin(incident, plan.commit)
    verdict = Verdict.FAILED
    try:
        _roll_back(target, plan, unfinished, engine, control, steps)
        verdict = Verdict.PASSED
        unfinished.end()
    finally:
        finished = Moment.now()
        record = RollbackRecord(
            commit=plan.commit,
            verdict=verdict,
            seconds=finished.seconds_since(unfinished.started),
            started=unfinished.started,
            finished=finished,
        )
        incident.write_rollback(record)
    return record


def _roll_back(
    target: Target,
    plan: Plan,
    unfinished: Unfinished,
    engine: ContainerEngine,
    control: ContainerControl,
    steps: Recorder,
) -> None:
    services = target.application.services
    deadline = float(target.rollback_seconds)
    with steps("stop the application"):
        control.stop([s for s in services if s in engine.containers()], deadline=deadline)
    down = _start_stores(target, control, steps)
    keepers = open_keepers(target, engine, control)
    if unfinished.kept is None:
        safety = _next_safety(target.folders.backups / "safety", unfinished.incident.id)
        with steps("keep what is there now") as step:
            # A store that does not start cannot be asked for records: that is said, and no reason to stop.
            up = {name: keeper for name, keeper in keepers.items() if name not in down}
            take_backup(safety, target.name, f"before the rollback to {plan.commit}", up, steps)
            unfinished.keep(safety)
            step.result = str(safety)
    with steps("check out the commit") as step:
        step.result = check_out(target.application.repository, plan.commit, unfinished.incident.folder)

    def restore(name: str) -> None:
        with steps(f"restore {name}") as step:
            restored = keepers[name].restore(plan.backup.folder / name)
            notes = "".join(f"; {note}" for note in restored.notes)
            step.result = f"{sum(restored.records.values()):,} records{notes}"

    each_store(keepers, restore)
    with steps("start the application on the recorded images"):
        control.up(services, plan.images, deadline=deadline)
        # Else the next `docker compose up` would go by the tags, and bring the bad release back.
        for container in plan.baseline.facts.containers:
            # A container that was created by an id or a digest has no tag that could move.
            if container.service in services and "sha256:" not in container.image:
                control.tag(container.image_id, container.image, deadline=deadline)


def _start_stores(target: Target, control: ContainerControl, steps: Recorder) -> set[str]:
    """Start stores that are down, and return those that stay so: their restore may be their cure."""
    down = set()
    for name, store in target.stores.items():
        try:
            with steps(f"see that {name} is up"):
                control.start(store.services, deadline=_START_SECONDS)
        except Problem as problem:
            down.add(name)
            steps.note(f"{name} is not up, what it holds is not kept: {str(problem).splitlines()[0]}")
    return down


def _next_safety(folder: Path, incident: str) -> Path:
    """Return a folder that is not there yet: what was kept is never kept over."""
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob(f"{incident}-*"))) + 1
    return folder / f"{incident}-{number:02d}"


def _baseline_of(target: Target, commit: str) -> Baseline:
    seen = []
    folder = target.folders.baselines
    for path in sorted(folder.glob("*/manifest.json"), reverse=True):
        if path.parent.is_symlink():
            continue
        try:
            baseline = load_baseline(path.parent, target.name, target.baseline_key)
        except Problem as problem:
            seen.append(str(problem).splitlines()[0])
            continue
        if baseline.facts.commit == commit:
            return baseline
        seen.append(f"one of commit {baseline.facts.commit[:12]}")
    raise UsageProblem(
        what="baseline",
        expected=f"one of commit {commit[:12]}",
        observed="; ".join(seen) or "none",
        source=str(folder),
        hint="without it the images of that commit are not known; choose a commit that has a baseline",
    )
