"""Runs checks as an operator would, in a separate process, and returns the red ones."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from rollproof.backups.images import FILE, KIND, image_folder, is_kept
from rollproof.backups.images import FOLDER as IMAGES
from rollproof.baseline.facts import Facts
from rollproof.baseline.folder import Baseline, BaselineDraft, load_baseline
from rollproof.engines.engine import open_engine
from rollproof.errors import ExitCode
from rollproof.incident.journal import JournalEvent, id_of, read_journal
from rollproof.profile.profile import PREFIX, load_target
from rollproof.record_names import UNFINISHED
from rollproof.stores.package import write_package
from staging.stack.slot import Slot
from staging.stack.stack import Stack
from staging.target.action_runs import PATIENT, UNHURRIED, apart
from tests.run_outcome import Outcome
from tests.stack import forked
from tests.waiting import until

# A test ends sooner by its own limit, unless it says that it takes long.
CHECKS_SECONDS = 1500
ACTIONS_SECONDS = 900
# Checks warn of nothing, in no state of the stack. That pytest cannot clear an old folder is not theirs.
STRICT = ("-Werror", "-Wignore:(rm_rf) error removing:pytest.PytestWarning", forked.UNREWRITTEN)
# A verdict, and words that the reason holds.
Red = tuple[str, ...]


@dataclass(frozen=True)
class Verifier:
    """Checks and actions of the staging stack, in folders of a test's own, not in the user's."""

    stack: Stack
    folder: Path
    _sets: dict[str, Path] = field(default_factory=dict, init=False)
    _outdated: list[bool] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Keep the images of all backups in one folder of the checkout: they are large, and by their ids."""
        shared, backups = Slot().folder(self.root) / IMAGES, self.folder / "backups"
        for folder in (shared, backups):
            folder.mkdir(parents=True, exist_ok=True)
        (backups / IMAGES).symlink_to(shared)

    @property
    def root(self) -> Path:
        """The checkout that the commands are run in."""
        return self.stack.root

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command: this one's, with three folders replaced and patient clocks."""
        return {**apart(self.stack.profile, self.folder, **PATIENT), "PYTEST_ADDOPTS": "-p tests.unrendered"}

    @property
    def baseline(self) -> Baseline:
        """The current baseline; one that is outdated is captured again."""
        self._renew()
        return load_baseline(self.folder / "baselines" / "current", self.stack.profile.stem)

    def restated(self, change: Callable[[Facts], Facts]) -> Path:
        """Save a copy of the current baseline with other facts, next to it; return its folder."""
        copy = self.folder / f"restated-{uuid.uuid4().hex[:8]}"
        with BaselineDraft(copy, self.stack.profile.stem) as draft:
            shutil.copytree(self.baseline.folder / "records", draft.folder / "records")
            return draft.finish(change(self.baseline.facts))

    def actions(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command line of the actions to its end, `variables` added; output and errors are kept."""
        return self._fork("rollproof", arguments, variables, ACTIONS_SECONDS)

    def _fork(
        self, module: str, arguments: Sequence[str], variables: Mapping[str, str], seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m module` to its end in a process that has imported everything already."""
        environment = {**self.environment, **variables}
        return forked.run(module, arguments, self.root, environment, seconds)

    def script(self, name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one of the runbook's own commands below `deploy` to its end; output and errors are kept."""
        return subprocess.run(
            [str(self.root / "deploy" / name), *arguments],
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=ACTIONS_SECONDS,
        )

    @contextmanager
    def begun(
        self, name: str, *arguments: str, at: str, **variables: str
    ) -> Iterator[tuple[subprocess.Popen[str], Path]]:
        """Give one of the runbook's commands that has come to step `at`, and its incident's folder.

        It is killed at the end of the body, if it is still there. What it says is in its standard output.
        """
        with self._begun([str(self.root / "deploy" / name), *arguments], at, variables) as found:
            yield found

    @contextmanager
    def resumed(self, *, at: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
        """Give the newest unfinished rollback, resumed, that has come to step `at` again; like `begun`."""
        command = [sys.executable, "-m", "rollproof", "rollback", "resume", "--take-over"]
        with self._begun(command, at, variables) as found:
            yield found

    @contextmanager
    def _begun(
        self, command: Sequence[str], step: str, variables: Mapping[str, str]
    ) -> Iterator[tuple[subprocess.Popen[str], Path]]:
        before = self._times(step)
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

        def come() -> list[Path]:
            assert process.poll() is None, f"it ended before it came to the step {step}"
            return [path for path, times in self._times(step).items() if times > before[path]]

        try:
            yield process, until(come)[0]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=ACTIONS_SECONDS)

    def _times(self, step: str) -> Counter[Path]:
        """Return how often each incident has begun the step of that id, such as "restore mysql"."""
        return Counter(
            {
                journal.parent: [
                    str(id_of(record))
                    for record in read_journal(journal)[0]
                    if record["event"] == JournalEvent.STARTED
                ].count(step)
                for journal in self.folder.glob("incidents/*-staging-*/journal.jsonl")
            }
        )

    @contextmanager
    def monitored(self) -> Iterator[None]:
        """Let a monitor of the stack run meanwhile, as the runbook starts it."""
        process = subprocess.Popen(
            [str(self.root / "deploy" / "scripts" / "monitor_migration.sh")],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(ACTIONS_SECONDS)

    def take_backup(self, *, images: bool = False) -> Path:
        """Take a backup set of the stack as it is, by the runbook's own command; return its folder.

        Without `images` only that of the proxy is saved, the smallest one: to save all takes minutes.
        """
        self._keep_stand_ins(remove=images)
        done = self.script("scripts/backup.sh", **patient())
        assert done.returncode == 0, done.stderr
        (folder,) = (line for line in done.stdout.splitlines() if line.startswith("backup: "))
        return Path(folder.removeprefix("backup: "))

    def _keep_stand_ins(self, *, remove: bool) -> None:
        """Keep a file of some bytes in the place of each image of the application but the proxy's.

        Nothing is loaded from it, since the engine has the images; its package is whole.
        """
        backups, services = self.folder / "backups", load_target(self.stack.profile).application.services
        images = self.baseline.facts.images(services)
        for image in set(images.values()) - {images.get("nginx")}:
            folder = image_folder(backups, image)
            if remove:
                shutil.rmtree(folder, ignore_errors=True)
            elif not is_kept(backups, image):
                folder.mkdir(exist_ok=True)
                (folder / FILE).write_bytes(b"in the place of an image")
                details = {"image": image}
                write_package(folder, kind=KIND, method="none", means=None, records={}, details=details)

    def backed_up(self) -> Path:
        """Return a backup set of the stack as its current baseline has it; take one where there is none.

        A set that is older than the baseline may have other ids, to which a rollback would go back.
        """
        captured = self.baseline.folder.resolve().name
        if captured not in self._sets:
            self._sets[captured] = self.take_backup()
        return self._sets[captured]

    def capture(self, *options: str, **variables: str) -> None:
        """Capture again, after a fault whose undo leaves other ids behind, such as those that Milvus makes.

        `variables` replace keys of the profile.
        """
        self._outdated.clear()
        self._wait_until_well()
        done = self.actions("capture", *options, **patient(**variables))
        assert done.returncode == 0, done.stdout + done.stderr

    def _wait_until_well(self) -> None:
        """Wait for health: what earlier tests paused or restarted is unhealthy until its next check."""
        engine = open_engine(load_target(self.stack.profile).engine)

        def unwell() -> list[str]:
            found = (one for containers in engine.containers().values() for one in containers)
            # Of a stranger's stack some containers have done their work and ended.
            return [one.name for one in found if one.running and not one.healthy]

        until(unwell, lambda names: not names)

    def _renew(self) -> None:
        if self._outdated:
            self.capture()

    def outdate(self) -> None:
        """Have the baseline captured again before it is used: what came and went left other ids behind."""
        self._outdated.append(True)

    def compare(self) -> None:
        """See that every store is as the baseline has it, record by record."""
        done = self.actions("compare", str(self.baseline.folder), **patient())
        assert done.returncode == ExitCode.VERIFIED, done.stdout + done.stderr

    def differing(self, **variables: str) -> set[str]:
        """Return the stores, each ``store/collection`` and the references in which `compare` finds faults.

        `variables` replace keys of the profile.
        """
        folder = self.baseline.folder
        done = self.actions("compare", str(folder), "--json", **patient(**variables))
        assert done.returncode == ExitCode.FAILED, done.stdout + done.stderr
        findings = [
            one for one in json.loads(done.stdout)["result"]["findings"] if one["verdict"] == "failed"
        ]
        return {
            name for one in findings for name in (one["store"], one["name"], f"{one['store']}/{one['name']}")
        }

    def settle(self) -> None:
        """Resume what is unfinished; fail where something is."""
        if left := list(self.folder.glob(f"incidents/*/{UNFINISHED}")):
            done = self.actions("rollback", "resume", "--take-over")
            pytest.fail(f"unfinished: {left}; resumed: {done.stdout}{done.stderr}")

    def give_back(self) -> None:
        """See that every store is as the baseline has it; put it back where it is not, and fail."""
        try:
            self.compare()
        except AssertionError:
            self.script("rollback/emergency_rollback.sh", self.baseline.facts.commit, "--take-over")
            raise

    def incident_of(self, said: str) -> Path:
        """Return the folder of the incident that a command has named."""
        (folder,) = {line for line in said.splitlines() if line.startswith("incident: ")}
        return Path(folder.removeprefix("incident: "))

    def run(self, markers: str, *options: str, incident: str = "", **variables: str) -> Outcome:
        """Run the checks that `markers` select; `variables` replace keys of the profile.

        Without the name of an `incident` the run has one of its own.
        """
        self._renew()
        incident = incident or f"checks-{uuid.uuid4().hex[:12]}"
        selected = ("-m", markers, f"--incident={incident}")
        arguments = ("-q", *STRICT, *selected, *options)
        done = self._fork("pytest", arguments, patient(**variables), CHECKS_SECONDS)
        return Outcome(done.returncode, done.stdout + done.stderr, self.folder / "incidents" / incident)


def patient(**variables: str) -> dict[str, str]:
    """Return the environment of a command that waits as long as it has to, with other keys of the profile.

    No test is about how fast a machine is on which much else runs; one that is about time sets its own.
    """
    return {f"{PREFIX}{name}": value for name, value in {**UNHURRIED, **variables}.items()}


def expect(outcome: Outcome, expected: Mapping[str, Red]) -> None:
    """Assert that exactly the `expected` checks are red, each for its reason, and that the exit code says so.

    `expected` maps a check's own name to its verdict and to words of its reason.
    """
    assert outcome.code in {0, 1, 3}, outcome.text
    results = outcome.results()
    red = {name: result for name, result in results.items() if result["verdict"] != "passed"}
    unexpected = {
        name: (result["verdict"], result["reason"]) for name, result in red.items() if name not in expected
    }
    assert not unexpected, f"red without a fault: {unexpected}"
    missing = {
        name: results.get(name, {}).get("verdict", "did not run") for name in expected if name not in red
    }
    assert not missing, f"not red: {missing}"
    for name, (verdict, *words) in expected.items():
        reason = red[name]["reason"]
        assert red[name]["verdict"] == verdict, (name, reason)
        assert ": expected " in reason, (name, reason)
        assert ", observed " in reason, (name, reason)
        for word in words:
            assert word in reason, (name, word, reason)
    verdicts = {result["verdict"] for result in red.values()}
    assert outcome.code == (1 if "failed" in verdicts else 3 if verdicts else 0), outcome.text
    assert "Traceback" not in outcome.text


def store_facts(facts: Facts, name: str, counts: Mapping[str, int | None]) -> Facts:
    """Return `facts` with some counts of store `name` replaced; None takes a collection out."""
    store = facts.stores[name]
    merged = {**store.counts, **counts}
    kept = {collection: count for collection, count in merged.items() if count is not None}
    return replace(facts, stores={**facts.stores, name: replace(store, counts=kept)})
