"""Phase 1, 0-2 min: every container runs as recorded, and none of its resources is used up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from shlex import quote

import pytest

from fixtures.gating.evidence import Attach, Expect, Note, keep_differences
from fixtures.target import BACK, HostStateOf, known_commit
from rollproof.baseline.configuration import new_changes, new_strangers
from rollproof.baseline.demands import ChangedDemand, capture_hint
from rollproof.baseline.facts import RecordedContainer
from rollproof.baseline.folder import Baseline
from rollproof.baseline.known_good import match_engine
from rollproof.engines.by_hand import by_hand
from rollproof.engines.engine import Container, ContainerEngine, Inside, Usage
from rollproof.engines.host import FileSystem, Host
from rollproof.errors import Meaning, Unverifiable, listed
from rollproof.git.repository import WorkingCopy
from rollproof.profile.profile import Target

pytestmark = [pytest.mark.verification, pytest.mark.phase1]


@pytest.fixture
def expect(expect: Expect) -> Expect:
    """Expect things of the container engine, unless another source is named."""
    return expect.of("container engine")


def test_engine_is_that_of_the_target(
    target: Target, engine: ContainerEngine, baseline: Baseline, expect: Expect, note: Note
) -> None:
    """The engine is the one of the capture, or the profile's: another may run the same project as well."""
    engine_match = match_engine(target, engine, baseline)
    if not engine_match.known:
        note("container engine: neither profile nor baseline tells its ID: another one would not be noticed")
    expect(engine_match.holds,
           what="container engine", otherwise=Unverifiable,
           expected=engine_match.expected, observed=engine_match.observed, hint=engine_match.hint)


def test_container_is_running(container: Container, recorded: RecordedContainer, expect: Expect) -> None:
    """Every recorded container runs, or has completed again if it had completed when it was recorded."""
    runs = container.running and container.status == "running"
    expect(container.completed if recorded.completed else runs,
           what=f"container {container.name}", means=Meaning.SERVICE_DOWN,
           expected="completed, exit code 0" if recorded.completed else "running",
           observed=f"{container.status}, exit code {container.exit_code}",
           hint=container.remedy)


def test_container_is_healthy(container: Container, recorded: RecordedContainer, expect: Expect) -> None:
    """A container with a health check is healthy; without one, or completed as recorded, it passes."""
    expect(container.healthy or (recorded.completed and container.completed),
           what=f"health of {container.name}", means=Meaning.SERVICE_DOWN,
           expected="healthy", observed=container.health or "no health check",
           hint=container.remedy if container.status == "paused"
           else container.command("inspect", "--format", "{{json .State.Health}}"))


def test_container_is_not_restarting(
    container: Container, recorded: RecordedContainer, target: Target, expect: Expect
) -> None:
    """No container is in a restart loop: it was restarted seldom since the baseline was captured."""
    limit, restarts = target.limits.restarts, recorded.restarts_of(container)
    expect(not container.restarting and restarts <= limit,
           what=f"restarts of {container.name} since the baseline", means=Meaning.SERVICE_DOWN,
           expected=f"at most {limit}, and not restarting now",
           observed=f"{restarts}, {container.status}",
           hint=container.remedy)


def test_update_of_the_service_has_ended(
    swarm_service: str, containers: Mapping[str, tuple[Container, ...]], target: Target, expect: Expect
) -> None:
    """No update or rollback of a service goes on, and the swarm has paused none."""
    updates = {one.update for one in containers.get(swarm_service, ()) if one.update}
    expect(not updates,
           what=f"update of service {swarm_service}", means=Meaning.WRONG_VERSION,
           expected="ended", instead=listed(sorted(updates)),
           source="manager of the swarm",
           hint=f"docker service ps --no-trunc {target.engine.project}_{swarm_service}")


def test_container_was_not_killed_for_memory(container: Container, expect: Expect) -> None:
    """No container was OOM-killed."""
    expect(not container.oom_killed,
           what=f"container {container.name}", means=Meaning.RESOURCES,
           expected="not OOM-killed", instead="OOMKilled",
           hint="raise its memory limit, or see what it used the memory for")


def test_container_runs_the_recorded_image(
    container: Container, recorded: RecordedContainer, expect: Expect
) -> None:
    """The image id is the recorded one; a tag may mean another image today."""
    expect(container.image_id == recorded.image_id,
           what=f"image of {container.name}", means=Meaning.WRONG_VERSION,
           expected=f"{recorded.image} {recorded.image_id}",
           observed=f"{container.image} {container.image_id}",
           hint=BACK)


def test_container_runs_the_recorded_commit(
    container: Container, recorded: RecordedContainer, expect: Expect
) -> None:
    """The commit that the image was built from is the recorded one; without a label, by the image's id."""
    expect = expect.of("label org.opencontainers.image.revision")
    expect(known_commit(container) == known_commit(recorded),
           what=f"commit of the image of {container.name}", means=Meaning.WRONG_VERSION,
           expected=known_commit(recorded), observed=known_commit(container),
           hint=BACK)


def test_container_is_configured_as_recorded(
    service: str, changed_settings: Sequence[str], inside: Inside, way_back: str,
    evidence: Attach, expect: Expect, note: Note,
) -> None:
    """Environment, command, volumes, bound files, networks, limits and rights are the recorded ones."""
    if inside.unread:
        note(f"{service}: not compared inside it: {listed(sorted(inside.unread))}")
    keep_differences(evidence, changed_settings)
    expect(not changed_settings,
           what=f"configuration of {service}", means=Meaning.WRONG_VERSION,
           expected="the recorded one", instead=listed(changed_settings, between="; "),
           hint=way_back)


def test_next_start_is_as_it_runs(
    next_start: Mapping[str, Sequence[str]], target: Target, expect: Expect
) -> None:
    """The next `docker compose up` starts what runs: no tag was moved since, no environment file changed."""
    texts = [*chain(*next_start.values())]
    expect(not texts,
           what="next start by docker compose", means=Meaning.WRONG_VERSION,
           expected="the images and environments that run", instead=listed(texts, between="; "),
           source="compose files, environment files, tags",
           hint="put back the tag or the file; or: "
                f"{by_hand(target.engine).start('--no-build', '--no-deps', *next_start)}")


def test_container_is_unchanged_inside(
    service: str, changed_inside: Sequence[str], recreation: str, evidence: Attach, expect: Expect
) -> None:
    """Nothing was changed inside a container by hand; files of the moment, such as in /tmp, may be there."""
    keep_differences(evidence, changed_inside)
    expect(not changed_inside,
           what=f"files of {service} that are not its image's", means=Meaning.WRONG_VERSION,
           expected="those of the capture", instead=listed(changed_inside, between="; "),
           source="docker diff",
           hint=f"name in engine.changing of the profile what it changes by itself; else {recreation}")


def test_container_memory(container: Container, usage: Usage, target: Target, expect: Expect) -> None:
    """Memory is below the threshold of its limit."""
    limit = target.limits.memory_percent
    expect(usage.memory_percent < limit,
           what=f"memory of {container.name}", means=Meaning.RESOURCES,
           expected=f"below {limit:g} % of its limit",
           observed=f"{usage.memory_percent:.1f} % ({usage.memory / 1e6:.0f} MB)",
           hint="it may be killed soon: see what it does, or raise its limit")


def test_container_cpu(container: Container, usage: Usage, target: Target, expect: Expect) -> None:
    """CPU is below the threshold of the container's allowance."""
    limit = target.limits.cpu_percent
    expect(usage.cpu_percent < limit,
           what=f"CPU of {container.name}", means=Meaning.RESOURCES,
           expected=f"below {limit:g} % of its allowance", observed=f"{usage.cpu_percent:.1f} %",
           hint="just after a start this can be warm-up: run phase 1 again; else see what it computes")


def test_container_processes(container: Container, usage: Usage, target: Target, expect: Expect) -> None:
    """Processes and threads are below the threshold of their limit."""
    limit = target.limits.pids_percent
    expect(not usage.pids_limit or usage.pids < usage.pids_limit * limit / 100,
           what=f"processes of {container.name}", means=Meaning.RESOURCES,
           expected=f"below {limit:g} % of {usage.pids_limit or 'no limit'}", observed=usage.pids,
           hint="it leaks processes or threads, or its pids limit is too low")


def _expect_room(on: FileSystem, target: Target, expect: Expect) -> None:
    limits = target.limits
    for what, free, least in (("space", on.free_percent, limits.disk_free_percent),
                              ("inodes", on.inodes_free_percent, limits.inodes_free_percent)):
        # Not every file system counts inodes.
        if free is not None:
            expect(free > least,
                   what=f"free {what} of {on.path}", means=Meaning.RESOURCES,
                   expected=f"above {least:g} %", observed=f"{free:.1f} %",
                   source="df", hint="make room: a store that cannot write is the next incident")


def test_disk_of_the_host(this_host: Host, engine: ContainerEngine, target: Target, expect: Expect) -> None:
    """The host's root, and the engine's data if that is on this host, have space and inodes left."""
    for path in filter(None, ("/", engine.data_root())):
        _expect_room(this_host.file_system(path), target, expect)


@pytest.mark.usefixtures("baseline")
def test_disk_of_the_volume(volume_file_system: FileSystem, target: Target, expect: Expect) -> None:
    """Every recorded data volume exists and has space and inodes left."""
    _expect_room(volume_file_system, target, expect)


def test_disk_of_another_host(
    far_host: str, host_state: HostStateOf, target: Target, expect: Expect
) -> None:
    """Each other host of the target has space and inodes left where the profile says."""
    for file_system in host_state(far_host).file_systems:
        _expect_room(file_system, target, expect)


def test_memory_of_another_host(
    far_host: str, host_state: HostStateOf, target: Target, expect: Expect
) -> None:
    """Each other host has memory left."""
    used, limit = host_state(far_host).memory_percent, target.limits.memory_percent
    expect(used < limit,
           what=f"memory of host {far_host}", means=Meaning.RESOURCES,
           expected=f"below {limit:g} % used", observed=f"{used:.1f} %",
           source="/proc/meminfo", hint="see what uses it: ps aux --sort=-rss | head")


def test_clock_of_another_host(
    far_host: str, host_state: HostStateOf, target: Target, expect: Expect
) -> None:
    """Each other host has this machine's time: tokens, leases and logs are compared by it."""
    state, limit = host_state(far_host), target.limits.clock_seconds
    expect(abs(state.ahead) - state.uncertain <= limit,
           what=f"clock of host {far_host}", means=Meaning.RESOURCES,
           expected=f"within {limit:g} s of this machine's",
           observed=f"{state.ahead:+.2f} s, to {state.uncertain:.2f} s exactly",
           source="date", hint="timedatectl set-ntp true, on both machines")


def test_engine_of_another_host(engine_host: str, host_state: HostStateOf, expect: Expect) -> None:
    """The container engine of each other host answers."""
    state = host_state(engine_host)
    expect(state.engine,
           what=f"container engine of host {engine_host}", means=Meaning.SERVICE_DOWN,
           expected="its name and version", observed=state.engine, instead=state.refusal,
           hint="start it there: systemctl start docker")


def test_no_unrecorded_container(
    containers: Mapping[str, tuple[Container, ...]], baseline: Baseline, expect: Expect
) -> None:
    """No container runs that did not run before the migration: a left-over may still write."""
    recorded = {container.service for container in baseline.facts.containers}
    extra = sorted(c.name for service, found in containers.items() if service not in recorded for c in found)
    expect(not extra,
           what="containers that the baseline does not know",
           expected="none", instead=", ".join(extra),
           hint="remove them, or capture a new baseline if they belong to the target")


def test_no_stranger_on_the_networks(engine: ContainerEngine, baseline: Baseline, expect: Expect) -> None:
    """No other container is on the target's networks or volumes: it may read and write there."""
    strangers = new_strangers(baseline.facts.surroundings, engine.strangers())
    expect(not strangers,
           what="containers other than the target's own that the baseline does not know",
           expected="none", instead="; ".join(f"{one.name} shares {listed(one.shares)}" for one in strangers),
           hint="stop them, or capture a new baseline if they belong there")


def test_profile_asks_no_less_than_at_the_capture(
    other_demands: Sequence[ChangedDemand], expect: Expect
) -> None:
    """The profile asks for all that it asked for when the baseline was captured: else green means less."""
    expect(not other_demands,
           what="what the profile asks for", otherwise=Unverifiable,
           expected="the same as when the baseline was captured",
           instead=listed([str(one) for one in other_demands], between="; "),
           source="the profile, against the baseline", hint=capture_hint())


def test_working_copy_is_as_clean_as_recorded(
    working_copy: WorkingCopy, baseline: Baseline, expect: Expect
) -> None:
    """The working copy has no new uncommitted changes: the next deployment would take them along."""
    uncommitted = list(new_changes(baseline.facts.surroundings, working_copy))
    expect(not uncommitted,
           what="uncommitted changes of the working copy", means=Meaning.WRONG_VERSION,
           expected="none since the capture", instead=listed(uncommitted),
           source="git",
           hint=f"git -C {quote(str(working_copy.repository))} status; keep them elsewhere, or remove them")


def test_working_copy_is_on_the_recorded_commit(
    working_commit: str, working_copy: WorkingCopy, baseline: Baseline, expect: Expect
) -> None:
    """The application's working copy is on the recorded commit, where the next deployment starts."""
    expect(working_commit == baseline.facts.commit,
           what="commit of the working copy", means=Meaning.WRONG_VERSION,
           expected=baseline.facts.commit, observed=working_commit,
           source="git",
           hint=f"git -C {quote(str(working_copy.repository))} checkout {baseline.facts.commit[:12]}")
