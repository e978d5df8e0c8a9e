"""Step 2: what runs now is written down, and there is a way back to it from the migration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from fixtures.baseline import Baseline
from fixtures.engines.engine import Container
from fixtures.errors import Mismatch, Unverifiable, listed
from fixtures.migration_lint.finding import Linted
from fixtures.recorded import RecordedContainer
from fixtures.saved_state import SavedCommit, TrialOf
from fixtures.target import Target
from fixtures.working_copy import WorkingCopy

pytestmark = [pytest.mark.premigration, pytest.mark.step2]

PARTS = ("plan", "images", "checkout", "compose files", "refusals")


def test_commit_is_saved(saved_commit: SavedCommit, note: Callable[[str], None]) -> None:
    """The file that the runbook names holds the full id of the commit that the working copy is on."""
    if saved_commit.text not in {saved_commit.head, f"{saved_commit.head}\n"}:
        raise Mismatch(
            what="saved commit",
            expected=saved_commit.head,
            observed=saved_commit.observed,
            source=str(saved_commit.file),
            hint="python -m rollback_actions save-state",
        )
    note(f"{saved_commit.file} holds {saved_commit.head}")


def test_working_copy_is_clean(working_copy: WorkingCopy, note: Callable[[str], None]) -> None:
    """The working copy, submodules included, is what its commit says, and git has nothing under way."""
    if working_copy.differences:
        raise Mismatch(
            what="working copy",
            expected=f"as commit {working_copy.head[:12]} has it",
            observed=listed(working_copy.differences),
            source=f"git status in {working_copy.repository}",
            hint="commit it, or put it back: a rollback would not bring back what no commit holds",
        )
    note(f"the working copy is on {working_copy.head[:12]}, without changes")


def test_baseline_is_of_this_state(
    baseline: Baseline,
    containers: Mapping[str, tuple[Container, ...]],
    working_copy: WorkingCopy,
    target: Target,
    note: Callable[[str], None],
) -> None:
    """The baseline is of the working copy's commit, and its images and configuration are those that run."""
    facts = baseline.facts
    if facts.commit != working_copy.head:
        raise Mismatch(
            what="commit of the baseline",
            expected=working_copy.head,
            observed=facts.commit,
            source=str(baseline.folder),
            hint="capture one of what runs now: python -m rollback_actions capture",
        )
    if gaps := _gaps(target, facts.containers):
        raise Unverifiable(
            what="containers of the baseline",
            expected="each service of the profile, with image id, configuration hash and commit",
            observed=listed(gaps),
            source=str(baseline.folder),
            hint="start what does not run, label the application's images, and capture again",
        )
    recorded = Counter(map(_state, facts.containers))
    live = Counter(_state(container) for found in containers.values() for container in found)
    if recorded != live:
        raise Mismatch(
            what="containers",
            expected=f"those of the baseline: {listed(sorted((recorded - live).elements())) or 'no other'}",
            observed=listed(sorted((live - recorded).elements())) or "none such",
            source="container engine",
            hint="see what changed since; if that is right: python -m rollback_actions capture",
        )
    note(f"{live.total()} containers run as baseline {baseline.id} of {facts.commit[:12]} has them")


@pytest.mark.parametrize("part", PARTS)
def test_rollback_is_possible_now(part: str, rollback_trial: TrialOf, note: Callable[[str], None]) -> None:
    """A rollback to what runs now would be done: plan, images, checkout and compose files, none refused."""
    trial = rollback_trial(part)
    if trial.problem is not None:
        if isinstance(trial.problem, Unverifiable):
            raise trial.problem
        raise Mismatch(
            what=f"{part} of a rollback: {trial.problem.what}",
            expected=trial.problem.expected,
            observed="; ".join(
                [
                    str(trial.problem.observed),
                    *(text.splitlines()[0] for text in getattr(trial.problem, "__notes__", ())),
                ]
            ),
            source=trial.problem.source,
            hint=trial.problem.hint,
        ) from None
    note(trial.seen)


def test_migration_can_be_undone(
    linted_migration: Linted, note: Callable[[str], None], evidence: Callable[[str, str], None]
) -> None:
    """No statement of the migration loses data or locks the code of before out, as far as its text tells."""
    evidence("statements of the migration", linted_migration.text)
    if linted_migration.lost:
        raise Mismatch(
            what=f"migration {linted_migration.migration[:12]}",
            expected="statements that can be undone",
            observed=listed([*map(str, linted_migration.lost), *map(str, linted_migration.unjudged)]),
            source=linted_migration.source,
            hint="split it: add what is new first, and remove what is old when no rollback needs it",
        )
    if linted_migration.unjudged:
        raise Unverifiable(
            what=f"migration {linted_migration.migration[:12]}",
            expected="statements that can be judged",
            observed=listed([str(finding) for finding in linted_migration.unjudged]),
            source=linted_migration.source,
            hint="have somebody read them who can take the word for it: premigration.waivers in the profile",
        )
    note(linted_migration.summary)


def _gaps(target: Target, recorded: tuple[RecordedContainer, ...]) -> list[str]:
    """Return what the baseline does not say about services of the profile."""
    services = {container.service for container in recorded}
    gaps = [f"{service}: no container" for service in target.services if service not in services]
    for container in recorded:
        missing = {
            "image id": not container.image_id,
            "configuration hash": not container.configuration,
            "commit": container.service in target.application.services and not container.revision,
        }
        gaps += [f"{container.name}: no {what}" for what, is_missing in missing.items() if is_missing]
    return gaps


def _state(container: Container | RecordedContainer) -> str:
    return (
        f"{container.name} of image {container.image_id} at commit {container.revision or 'none'}"
        f" with configuration {container.configuration}"
    )
