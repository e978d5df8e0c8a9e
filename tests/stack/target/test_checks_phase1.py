"""Phase 1 on the real engine: each fault turns its own check red, no other, until it is undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from rollproof.baseline.facts import Facts, RecordedContainer
from rollproof.engines.container_settings import is_anonymous
from rollproof.engines.engine import Container
from rollproof.git.repository import git
from rollproof.profile.profile import PREFIX
from staging.stack.stack import Stack
from staging.target.operators import Operators, undone
from tests.stack import container_faults as faults
from tests.stack import damage, forked
from tests.stack.container_faults import Containers
from tests.stack.scratch_project import docker
from tests.stack.verifier import CHECKS_SECONDS, Red, Verifier, expect

OTHER_COMMIT = "0123456789abcdef0123456789abcdef01234567"
FULL, CROWDED, LOST = "scratch_full", "scratch_crowded", "scratch_lost"
FILL = f"dd if=/dev/zero of=/{FULL}/file bs=64k; i=0; while touch /{CROWDED}/$i; do i=$((i+1)); done"
OF_A_CONTAINER = (
    "is_running",
    "is_healthy",
    "is_not_restarting",
    "was_not_killed_for_memory",
    "runs_the_recorded_image",
    "runs_the_recorded_commit",
    "is_configured_as_recorded",
    "is_unchanged_inside",
    "memory",
    "cpu",
    "processes",
)


def about(what: str, service: str, *words: str, verdict: str = "failed") -> dict[str, Red]:
    """The check `what` of the container of `service` is red, and says these words."""
    return {f"test_container_{what}[{service}]": (verdict, service, *words)}


@contextmanager
def working_copy_elsewhere(stack: Stack) -> Iterator[str]:
    """The application's working copy is on another commit; give which."""
    repository = stack.state.application
    before = git(repository, "rev-parse", "HEAD")
    other = next(c for c in git(repository, "rev-list", "--all").split() if c != before)
    git(repository, "checkout", "--quiet", "--detach", other)
    with undone(lambda: git(repository, "checkout", "--quiet", "--detach", before)):
        yield other


def with_scratch(facts: Facts, found: Container) -> Facts:
    """Return `facts` with a container that had three volumes, and with one that does not exist."""
    scratch = RecordedContainer(
        found.service, found.name, found.image, found.image_id, found.revision, None, (FULL, CROWDED, LOST)
    )
    gone = replace(scratch, service="gone", name="gone-1", volumes=())
    return replace(facts, containers=(*facts.containers, scratch, gone))


def test_every_fault_of_a_container_is_seen_by_its_own_check(
    verifier: Verifier, stack: Stack, containers: Containers, operators: Operators
) -> None:
    recorded = {c.service: c for c in verifier.baseline.facts.containers}
    account_off = damage.redis_command(
        operators, ["ACL", "SETUSER", "app", "off"], ["ACL", "SETUSER", "app", "on"]
    )
    with ExitStack() as undo:
        undo.callback(containers.wait_until, "redis", health="healthy")
        undo.enter_context(account_off)
        undo.enter_context(faults.other_image(containers, "frontend", OTHER_COMMIT))
        undo.enter_context(faults.busy(containers, "frontend"))
        undo.enter_context(faults.restarted_by_itself(containers, "nginx"))
        undo.enter_context(faults.killed_for_memory(containers, "nginx"))
        undo.enter_context(faults.nearly_out_of_memory(containers, "backend", 93))
        undo.enter_context(faults.nearly_out_of_processes(containers, "mysql", 95))
        undo.enter_context(faults.stopped(containers, "qdrant"))
        volumes = {FULL: "size=1m", CROWDED: "size=1m,nr_inodes=10"}
        undo.enter_context(faults.extra_container(containers, "scratch", volumes, FILL))
        stranger = undo.enter_context(faults.extra_container(containers, "stranger", {}, "true"))
        other = undo.enter_context(working_copy_elsewhere(stack))
        containers.wait_until("redis", health="unhealthy")
        undo.enter_context(faults.paused(containers, "worker"))
        image, revision = recorded["frontend"].image_id, recorded["frontend"].revision
        baseline = verifier.restated(lambda facts: with_scratch(facts, containers.of("scratch")))
        outcome = verifier.run("phase1", "--no-gate", f"--baseline={baseline}")
    expect(
        outcome,
        {
            **about("is_healthy", "redis", "expected healthy, observed unhealthy"),
            **about("runs_the_recorded_image", "frontend", f"expected {recorded['frontend'].image}", image),
            **about("runs_the_recorded_commit", "frontend", f"expected {revision}, observed {OTHER_COMMIT}"),
            **about("cpu", "frontend", "expected below 80 % of its allowance"),
            **about("is_not_restarting", "nginx", "expected at most 0", "observed 1, running"),
            **about("was_not_killed_for_memory", "nginx", "observed OOMKilled"),
            **about("memory", "backend", "expected below 85 % of its limit, observed 9"),
            **about("processes", "mysql", "expected below 90 % of "),
            **about("is_configured_as_recorded", "frontend", "CpuPeriod: ", "CpuQuota: ", "label org.open"),
            **about("is_configured_as_recorded", "nginx", "RestartPolicy: "),
            **about("is_configured_as_recorded", "backend", f"Memory: expected {768 << 20}, observed "),
            **about("is_configured_as_recorded", "mysql", "PidsLimit: expected 300, observed "),
            **about("is_configured_as_recorded", "scratch", "expected none, observed "),
            **about("is_running", "qdrant", "expected running, observed exited"),
            **about("is_healthy", "qdrant", "observed unhealthy"),
            **about("memory", "qdrant", "expected a running container, observed exited"),
            **about("cpu", "qdrant", "expected a running container, observed exited"),
            **about("processes", "qdrant", "expected a running container, observed exited"),
            **about("is_running", "worker", "expected running, observed paused"),
            # The engine calls unhealthy whose health it cannot ask for.
            **about("is_healthy", "worker", "observed unhealthy"),
            **{
                name: red
                for what in OF_A_CONTAINER
                for name, red in about(
                    what, "gone", "expected 1, as recorded in the baseline, ", "observed none"
                ).items()
            },
            f"test_disk_of_the_volume[{FULL}]": ("failed", f"free space of {FULL}: expected above 10 %"),
            f"test_disk_of_the_volume[{CROWDED}]": (
                "failed",
                f"free inodes of {CROWDED}: expected above 10 %",
            ),
            f"test_disk_of_the_volume[{LOST}]": (
                "failed",
                "expected mounted",
                "observed no container has it",
            ),
            "test_no_unrecorded_container": ("failed", f"expected none, observed {stranger} "),
            "test_working_copy_is_on_the_recorded_commit": (
                "failed",
                f"expected {verifier.baseline.facts.commit}, observed {other}",
            ),
        },
    )


def test_a_disk_that_is_too_full_another_engine_and_a_service_that_was_not_recorded(
    verifier: Verifier,
) -> None:
    """The host's own disk cannot be filled by a test: the threshold is raised above what it has free.

    As for a shell with another docker context: the engine is the same, and the profile's is another.
    """
    surroundings = verifier.baseline.facts.surroundings
    assert surroundings.engine
    words = ("expected the target's, AAAA", f"observed another one, {surroundings.engine}")
    outcome = verifier.run(
        "phase1",
        "--no-gate",
        "-k",
        "disk or ghost or engine",
        ENGINE__ID="AAAA",
        LIMITS__DISK_FREE_PERCENT="100",
        APPLICATION__SERVICES='["backend", "worker", "frontend", "nginx", "ghost"]',
    )
    every = {volume for container in verifier.baseline.facts.containers for volume in container.volumes}
    volumes = {volume for volume in every if not is_anonymous(volume)}
    disks = ["test_disk_of_the_host", *(f"test_disk_of_the_volume[{volume}]" for volume in volumes)]
    expect(
        outcome,
        {
            "test_engine_is_that_of_the_target": ("broken", "container engine", *words),
            **dict.fromkeys(disks, ("failed", "free space of ", "expected above 100 %")),
            **{
                name: red
                for what in OF_A_CONTAINER
                for name, red in about(what, "ghost", "a container in the baseline", verdict="broken").items()
            },
        },
    )


def test_a_tag_that_was_moved_is_seen_before_the_next_start(
    verifier: Verifier, containers: Containers
) -> None:
    frontend, nginx = containers.of("frontend"), containers.of("nginx")
    with undone(lambda: docker("tag", frontend.image_id, frontend.image)):
        docker("tag", nginx.image_id, frontend.image)
        outcome = verifier.run("phase1", "--no-gate", "-k", "next_start or image")
    word = f"{frontend.image} is {nginx.image_id[:19]}, not {frontend.image_id[:19]}"
    expect(outcome, {"test_next_start_is_as_it_runs": ("failed", word)})


def test_a_light_profile_is_judged_by_itself(
    verifier: Verifier, containers: Containers, tmp_path: Path
) -> None:
    """Three lines are enough for phase 1 and the health and page of phase 2, and nothing else is green."""
    stack, profile = verifier.stack, tmp_path / "light.toml"
    profile.write_text(
        f'name = "light"\nengine = {{kind = "compose", project = "{stack.project}"}}\n'
        f'application.url = "http://127.0.0.1:{stack.slot.url_port}"\n',
        encoding="utf-8",
    )
    environment = {name: one for name, one in verifier.environment.items() if not name.startswith(PREFIX)}

    def verified() -> tuple[int, str]:
        words = ("verify", "verification", "--no-gate", f"--target={profile}")
        done = forked.run("rollproof", words, verifier.root, environment, CHECKS_SECONDS)
        return done.returncode, done.stdout

    code, said = verified()
    assert code == 0, said
    assert "nothing was compared with a baseline" in said
    (incident,) = (tmp_path / "incidents").iterdir()
    checks = {line for file in incident.rglob("results.jsonl") for line in file.read_text().splitlines()}
    assert {name for line in checks for name in ("recorded", "phase3", "phase4") if name in line} == set()
    assert any("test_container_is_running[backend]" in line for line in checks)
    assert any("test_health_endpoint_says_it_is_up" in line for line in checks)
    with faults.stopped(containers, "frontend"):
        code, said = verified()
    assert code == 1
    assert "test_container_is_running[frontend]" in said
