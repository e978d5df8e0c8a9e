"""What a rollback needs, and goes back from, is found before it begins."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from rollback_actions.rollback.engine import origin_of
from rollproof.baseline.known_good import baseline_of
from rollproof.errors import ActionFailed, Unverifiable, UsageProblem
from rollproof.incident.incident import Incident, Origin
from rollproof.incident.journal import Step, StepId
from rollproof.incident.rollbacks import rollback_in
from rollproof.planning.plan import plan_database, plan_emergency, plan_full, plan_service, plan_unfinished
from rollproof.planning.unfinished import Unfinished, read_unfinished
from tests.world.baseline import save_baseline
from tests.world.git import git
from tests.world.sandbox import Deployed, Sandbox, back_up, facts


def _deploy(sandbox: Sandbox, compose_file: str) -> Origin:
    """Commit another release of the compose file in the working copy."""
    repository = sandbox.target.application.repository
    (repository / "compose.yaml").write_text(compose_file)
    git(repository, "commit", "--quiet", "--all", "--message", "release 3")
    return Origin(git(repository, "rev-parse", "HEAD"))


BROUGHT = "services: {backend: {image: b}, database-server: {image: d}, converter: {image: c}}"


def test_what_the_release_brought_and_the_commit_lacks_is_removed_also_after_the_checkout(
    sandbox: Sandbox,
) -> None:
    origin = _deploy(sandbox, BROUGHT)
    for planned in (plan_full, plan_emergency):
        plan = planned(sandbox.target, sandbox.commit)
        assert plan.removed == ("converter",)
        incident = sandbox.new_incident()
        begun = Unfinished.begin(incident, plan.request, plan.baseline.id, "", plan.stores, origin)
        git(sandbox.target.application.repository, "checkout", "--quiet", "--detach", sandbox.commit)
        assert plan_unfinished(sandbox.target, begun).removed == ("converter",)
        # Whatever else is there is no part of the release that runs.
        assert planned(sandbox.target, sandbox.commit).removed == ()
        git(sandbox.target.application.repository, "checkout", "--quiet", "--detach", origin.head)


def test_a_compose_file_that_cannot_be_read_refuses_no_rollback_and_removes_nothing(sandbox: Sandbox) -> None:
    _deploy(sandbox, "services: [")
    assert plan_emergency(sandbox.target, sandbox.commit).removed == ()


def test_what_was_there_at_the_capture_is_not_removed(sandbox: Sandbox) -> None:
    _deploy(sandbox, BROUGHT)
    known = facts(sandbox.commit)
    converter = replace(known.containers[0], service="converter")
    recorded = replace(known, containers=(*known.containers, converter))
    sandbox.save(recorded)
    assert plan_full(sandbox.target, sandbox.commit).removed == ()


def test_each_that_had_ended_is_made_again_also_on_an_image_of_its_own(sandbox: Sandbox) -> None:
    wished = _deploy(sandbox, BROUGHT).head
    known, own = facts(wished), f"sha256:{'e' * 64}"
    ended = replace(known.containers[0], service="converter", image_id=own, completed=True)
    more = (ended, replace(ended, service="database-server"), replace(ended, service="of-no-file"))
    sandbox.save(replace(known, containers=(*known.containers, *more)))
    assert plan_full(sandbox.target, wished).completing == {"converter": own}


def test_a_plan_is_made_again_of_what_was_recorded_of_it(sandbox: Sandbox) -> None:
    target, commit = sandbox.target, sandbox.commit[:8]
    parts = (plan_service(target, "backend"), plan_database(target, "mysql"))
    plans = (*parts, plan_full(target, commit), plan_emergency(target, commit))
    # Later ones are others: what began goes on with its own baseline, and its own backup.
    sandbox.save(facts(sandbox.bad))
    back_up(sandbox, sandbox.commit, "zz-newer")
    for plan in plans:
        incident = sandbox.new_incident()
        backup = plan.backup.folder.name if plan.backup else ""
        begun = Unfinished.begin(incident, plan.request, plan.baseline.id, backup, plan.stores)
        assert plan_unfinished(sandbox.target, begun) == plan


@pytest.mark.parametrize(
    ("backup", "more", "said"),
    [("gone", (), "complete backup set"), ("", ("mongodb",), "observed no store mongodb in the profile")],
)
def test_a_backup_or_a_store_that_it_began_with_and_is_gone_is_missed(
    sandbox: Sandbox, backup: str, more: tuple[str, ...], said: str
) -> None:
    plan = plan_emergency(sandbox.target, sandbox.commit)
    incident = sandbox.new_incident()
    begun = Unfinished.begin(incident, plan.request, plan.baseline.id, backup, (*plan.stores, *more))
    with pytest.raises(UsageProblem, match=said):
        plan_unfinished(sandbox.target, begun)


def test_the_newest_whole_baseline_of_a_commit_is_found_and_no_other_one_is_read(sandbox: Sandbox) -> None:
    baselines, name = sandbox.target.folders.baselines, sandbox.target.name
    wanted = save_baseline(baselines, name, facts("c" * 40))
    for commit in ("c" * 40, "d" * 40):
        (save_baseline(baselines, name, facts(commit)) / "facts.json").write_text("{}")
    assert baseline_of(sandbox.target, "c" * 40).folder == wanted
    with pytest.raises(UsageProblem) as refused:
        baseline_of(sandbox.target, "d" * 40)
    assert "facts.json" in str(refused.value)
    assert str(refused.value).count("one of commit cccccccccccc") == 1


def test_a_known_good_commit_that_the_repository_has_lost_is_refused(sandbox: Sandbox) -> None:
    sandbox.save(facts("c" * 40))
    with pytest.raises(UsageProblem, match="expected one of the repository"):
        plan_service(sandbox.target, "backend")


def test_only_the_backup_of_the_store_that_goes_back_has_to_be_whole(sandbox: Sandbox) -> None:
    backup = plan_database(sandbox.target, "mysql").backup
    assert backup is not None
    (backup.folder / "mysql" / "a").write_text("cut")
    assert plan_database(sandbox.target, "redis").stores == ("redis",)
    assert plan_full(sandbox.target, sandbox.commit).stores == ()
    with pytest.raises(ActionFailed, match="it was cut"):
        plan_database(sandbox.target, "mysql")
    with pytest.raises(ActionFailed, match="it was cut"):
        plan_emergency(sandbox.target, sandbox.commit)


def test_the_backup_of_a_store_out_of_another_set_is_refused(sandbox: Sandbox) -> None:
    backup = plan_database(sandbox.target, "mysql").backup
    assert backup is not None
    back_up(sandbox, sandbox.bad, "another")
    shutil.rmtree(backup.folder / "mysql")
    shutil.copytree(backup.folder.with_name("another") / "mysql", backup.folder / "mysql")
    with pytest.raises(ActionFailed, match="that the set was sealed with, observed another one"):
        plan_database(sandbox.target, "mysql")
    assert plan_database(sandbox.target, "redis").stores == ("redis",)


def test_a_service_that_did_not_run_then_has_no_image(sandbox: Sandbox) -> None:
    sandbox.save(facts(sandbox.commit, ("backend",)))
    with pytest.raises(UsageProblem, match="none for worker"):
        plan_service(sandbox.target, "worker")
    with pytest.raises(UsageProblem, match="none for frontend, worker"):
        plan_full(sandbox.target, sandbox.commit)


def test_without_compose_files_nothing_can_be_re_created(sandbox: Sandbox) -> None:
    engine = sandbox.target.engine.model_copy(update={"files": ()})
    target = sandbox.target.model_copy(update={"engine": engine})
    for planned, of in (
        (plan_service, "backend"),
        (plan_full, sandbox.commit),
        (plan_emergency, sandbox.commit),
    ):
        with pytest.raises(UsageProblem, match=r"engine\.files of the profile"):
            planned(target, of)
    assert plan_database(target, "mysql").stores == ("mysql",)


def _recorded(incident: Incident) -> Origin | None:
    rollback = incident.rollback()
    assert rollback is not None
    return rollback.origin


def test_what_runs_counts_though_the_working_copy_is_elsewhere(sandbox: Sandbox, incident: Incident) -> None:
    git(sandbox.target.application.repository, "checkout", "--quiet", sandbox.commit)
    found = origin_of(sandbox.target, sandbox.engine)
    assert found == Origin(sandbox.commit, (sandbox.bad,))
    sandbox.run(plan_emergency(sandbox.target, sandbox.commit), incident)
    # What was deployed that the commit has in its history stays: nothing went back from that.
    rollback = rollback_in(incident)
    assert rollback is not None
    assert rollback.rolled_back(sandbox.target.application.repository) == (sandbox.bad,)


def test_that_nobody_can_tell_stops_no_rollback(sandbox: Sandbox, incident: Incident) -> None:
    (sandbox.target.application.repository / ".git").rename(sandbox.folder / "aside")
    sandbox.run(plan_database(sandbox.target, "mysql"), incident)
    assert _recorded(incident) is None
    found = rollback_in(incident)
    assert found is not None
    with pytest.raises(Unverifiable, match="not recorded"):
        found.rolled_back(sandbox.target.application.repository)
    assert "what is deployed is not known" in (incident.folder / "journal.jsonl").read_text()


def test_a_label_that_is_no_id_names_no_commit(sandbox: Sandbox) -> None:
    labels = ("latest", "20250303", None, "F" * 40)
    sandbox.engine.containers.return_value = {"backend": tuple(map(Deployed, labels))}
    assert origin_of(sandbox.target, sandbox.engine) == Origin(sandbox.bad)


def test_one_that_is_gone_on_with_says_what_the_first_run_found(sandbox: Sandbox, incident: Incident) -> None:
    plan = plan_emergency(sandbox.target, sandbox.commit)
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(plan, incident, interrupt=StepId(Step.WATCHED))
    unfinished = read_unfinished(incident)
    assert unfinished is not None
    assert unfinished.record.origin == Origin(sandbox.bad, (sandbox.bad,))
    git(sandbox.target.application.repository, "checkout", "--quiet", "--force", sandbox.commit)
    sandbox.engine.containers.return_value = {"backend": (Deployed(sandbox.commit),)}
    sandbox.run(plan, incident)
    assert _recorded(incident) == unfinished.record.origin
    found = rollback_in(incident)
    assert found is not None
    assert found.origin == unfinished.record.origin
