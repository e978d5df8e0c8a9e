"""Step 2: the running state is recorded, and a rollback from the migration to it is possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from fixtures.gating.evidence import Expect, Note
from fixtures.target import state_of
from rollproof.baseline.folder import Baseline
from rollproof.engines.engine import Container
from rollproof.errors import Meaning, Unverifiable, listed
from rollproof.git.repository import WorkingCopy, file_of, read_saved_commit
from rollproof.home import typed
from rollproof.incident.rehearsals import RollbackPart, TrialOf
from rollproof.profile.profile import Target

pytestmark = [pytest.mark.premigration, pytest.mark.step2]


def test_commit_is_saved(target: Target, expect: Expect, note: Note) -> None:
    """The file that the runbook names holds the full id of the working copy's commit."""
    file = file_of(target.premigration.state.commit_file, target.name)
    saved = read_saved_commit(file, target.application.repository)
    expect(
        saved.text in {saved.head, f"{saved.head}\n"},
        what="saved commit",
        means=Meaning.WRONG_VERSION,
        expected=saved.head,
        observed=saved.observed,
        source=file,
        hint=typed("save-state"),
    )
    note(f"{file} holds {saved.head}")


def test_working_copy_is_clean(working_copy: WorkingCopy, expect: Expect, note: Note) -> None:
    """The working copy, submodules included, equals its commit."""
    expect(
        not working_copy.differences,
        what="working copy",
        expected=f"as commit {working_copy.head[:12]} has it",
        instead=listed(working_copy.differences),
        source=f"git status in {working_copy.repository}",
        hint="commit it, or put it back: a rollback brings back only what a commit holds",
    )
    note(f"the working copy is on {working_copy.head[:12]}, without changes")


def test_baseline_is_of_this_state(
    baseline: Baseline,
    baseline_gaps: list[str],
    containers: Mapping[str, tuple[Container, ...]],
    working_copy: WorkingCopy,
    target: Target,
    expect: Expect,
    note: Note,
) -> None:
    """The baseline is of the working copy's commit; its images and configuration are the running ones."""
    commit = baseline.facts.commit
    expect(
        commit == working_copy.head,
        what="commit of the baseline",
        means=Meaning.WRONG_VERSION,
        expected=working_copy.head,
        observed=commit,
        source=baseline.folder,
        hint=f"capture one of what runs now: {typed('capture')}",
    )
    expect(
        not baseline_gaps,
        what="containers of the baseline",
        otherwise=Unverifiable,
        expected="each service of the profile, with image id and configuration hash",
        instead=listed(baseline_gaps),
        source=baseline.folder,
        hint="start what does not run, and capture again",
    )
    recorded = Counter(map(state_of, baseline.facts.containers))
    live = Counter(state_of(container) for found in containers.values() for container in found)
    expect(
        recorded == live,
        what="containers",
        means=Meaning.WRONG_VERSION,
        expected=f"those of the baseline: {listed(sorted((recorded - live).elements())) or 'no other'}",
        observed=listed(sorted((live - recorded).elements())) or "none such",
        source="container engine",
        hint=f"see what changed since; if that is right: {typed('capture')}",
    )
    note(f"{live.total()} containers run as baseline {baseline.id} of {commit[:12]} has them")
    without = {container.service for container in baseline.facts.containers if container.revision is None}
    if unlabelled := sorted(without.intersection(target.application.services)):
        note(f"no label names the commit of {', '.join(unlabelled)}: their images' ids stand for it")


@pytest.mark.parametrize("part", RollbackPart)
def test_rollback_is_possible_now(
    part: RollbackPart, rollback_trial: TrialOf, expect: Expect, note: Note
) -> None:
    """A rollback to the running state is possible now, and what runs then fits the data that it meets."""
    trial = rollback_trial(part)
    expect(trial.problem is None, **trial.sides())
    note(trial.seen)
