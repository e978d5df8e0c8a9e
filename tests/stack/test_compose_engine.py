from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from rollproof.engines.compose import ComposeEngine
from rollproof.engines.compose_project import ComposeProject
from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.engines.host import Host
from rollproof.errors import ActionFailed, Unverifiable
from rollproof.monitoring.probes.request_probe import stamped
from rollproof.profile.profile import Engine, Target
from rollproof.profile.sections import Address
from tests.stack.scratch_project import ScratchProject, compose, docker, pause, scratch_project


@pytest.fixture(scope="module")
def project(
    target: Target, engine: ContainerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScratchProject]:
    image = engine.containers()[target.stores["redis"].services[0]][0].image_id
    with scratch_project(image, tmp_path_factory.mktemp("project")) as running:
        yield running


def test_a_container_is_described_as_it_is(project: ScratchProject) -> None:
    data = project.container("data")
    assert (data.running, data.status, data.health, data.restarts) == (True, "running", "healthy", 0)
    assert (data.pids_limit, data.revision) == (40, "1234abcd")
    assert data.image_id == project.image
    assert [(m.kind, m.name, m.destination) for m in data.mounts if m.destination == "/data"] == [
        ("volume", f"{project.name}_data", "/data")
    ]
    assert project.container("other").health is None


def test_one_off_containers_and_those_of_other_projects_are_left_out(project: ScratchProject) -> None:
    compose(project, "run", "--detach", "--no-deps", "--name", f"{project.name}-one-off", "other")
    try:
        assert set(project.engine.containers()) == {"data", "other"}
        assert len(project.engine.containers()["other"]) == 1
    finally:
        docker("rm", "--force", "--volumes", f"{project.name}-one-off")


def test_memory_and_processes_are_counted(project: ScratchProject) -> None:
    identifier = project.container("data").id
    before = project.engine.usage()[identifier]
    sleepers = "for n in 1 2 3 4 5 6 7 8 9 10; do sleep 60 & done"
    eater = "x=$(head -c 20000000 /dev/zero | tr '\\0' x)"
    docker("exec", "--detach", identifier, "sh", "-c", f"{sleepers}; {eater}; sleep 60; echo ${{#x}}")
    end = time.monotonic() + 60
    after, processes = before, 0
    # Those of an earlier test may be ending still: the figure is held against the engine's own list.
    while (after.memory - before.memory < 19_000_000 or after.pids != processes) and time.monotonic() < end:
        after = project.engine.usage()[identifier]
        processes = len(docker("top", identifier).splitlines()) - 1
    assert 19_000_000 <= after.memory - before.memory < 60_000_000
    assert after.memory_percent == pytest.approx(100 * after.memory / (64 * 1024**2))
    # Beside the ten: init and the service's own sleep at least.
    assert (after.pids, after.pids_limit) == (processes, 40)
    assert processes >= 12


def test_a_published_port_is_preferred_and_an_address_of_the_network_serves_else(
    project: ScratchProject,
) -> None:
    published = project.engine.resolve(Address(service="data", port=7000))
    port = docker("port", project.container("data").id, "7000/tcp").rpartition(":")[2]
    assert published == Endpoint("127.0.0.1", int(port))
    inside = project.engine.resolve(Address(service="other", port=7000))
    assert inside.port == 7000
    assert inside.host == docker(
        "inspect",
        "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        project.container("other").id,
    )


def test_a_volume_is_seen_through_its_container_and_from_this_host(project: ScratchProject) -> None:
    data = project.container("data")
    (mount,) = [m for m in data.mounts if m.destination == "/data"]
    seen = Host(10).volume(data, mount)
    assert seen.path == f"{project.name}_data"
    assert 0 < seen.free_percent <= 100
    pause(data.id)
    try:
        assert Host(10).volume(project.container("data"), mount).size == seen.size
    finally:
        docker("unpause", data.id)


def test_a_log_is_read_from_a_moment_on_with_the_engines_stamps(project: ScratchProject) -> None:
    name = project.container("data").name
    # What its first process says; a command that is run beside it is no part of the log.
    project.shell("echo one two > /proc/1/fd/1; echo three > /proc/1/fd/2; echo four > /proc/1/fd/1")
    give_up = time.monotonic() + 60
    while "four" not in (log := project.engine.logs(name, 100, since=0.0)):
        assert time.monotonic() < give_up, log
        time.sleep(0.1)
    lines = [(stamp, text) for stamp, text in stamped(log) if text != "started"]
    assert sorted(text for _, text in lines) == ["four", "one two", "three"]
    assert abs(lines[0][0] - time.time()) < 60
    last = max(stamp for stamp, _ in lines)  # standard error may be stamped first and written last
    project.shell("echo five > /proc/1/fd/1")
    give_up = time.monotonic() + 60
    while (found := list(stamped(project.engine.logs(name, 100, since=last))))[-1][1] != "five":
        assert time.monotonic() < give_up, found
        time.sleep(0.1)
    # The last line that is known comes again, so that nothing can be missing between.
    assert last in {stamp for stamp, _ in found}
    assert [text for stamp, text in found if stamp > last] == ["five"]
    assert len(project.engine.logs(name, 1, since=0.0).splitlines()) == 1
    with pytest.raises(Unverifiable):
        project.engine.logs("no-such-container", 1, since=0.0)


def test_what_the_next_start_would_change_is_told_without_values(project: ScratchProject) -> None:
    """A tag that was moved and an environment file that was changed, without a container created again."""
    folder, tag = project.file.parent / "next", f"{project.name}/app:now"
    folder.mkdir()
    (folder / "app.env").write_text("KEPT=a$$b\nCHANGED=hunter2\nGONE=1\n")
    file = folder / "compose.yaml"
    file.write_text(
        f"services: {{app: {{image: '{tag}', env_file: app.env, environment: {{PLAIN: 'c$$d', UNSET: }},"
        " entrypoint: [sleep, infinity], command: [], init: true, tmpfs: [/data]}}"
    )
    name = f"{project.name}-next"
    own = ComposeProject(Engine(kind="compose", project=name, files=(file,)))
    there = ComposeEngine(name, 10)
    words = ("compose", "--project-name", name, "--file", str(file))
    docker("tag", project.image, tag)
    try:
        docker(*words, "up", "--detach", "--no-build")
        assert own.next_start(there.containers(), deadline=60) == []
        (folder / "app.env").write_text("KEPT=a$$b\nCHANGED=hunter3\nADDED=1\n")
        assert own.next_start(there.containers(), deadline=60) == ["app: environment ADDED, CHANGED, GONE"]
        other = docker("commit", project.container("other").id, tag)
        assert own.next_start(there.containers(), deadline=60) == [
            f"app: {tag} is {other[:19]}, not {project.image[:19]}"
        ]
        docker("image", "rm", "--force", tag)
        (said,) = own.next_start(there.containers(), deadline=60)
        assert f"{tag} is no image here" in said
        docker("tag", project.image, tag)
        docker(*words, "up", "--detach", "--no-build")
        assert own.next_start(there.containers(), deadline=60) == []
        file.write_text("services: [")
        with pytest.raises(ActionFailed, match="reading of compose files"):
            own.next_start(there.containers(), deadline=60)
    finally:
        file.write_text(f"services: {{app: {{image: '{tag}'}}}}")
        docker(*words, "down", "--timeout=1")
        docker("image", "rm", "--force", tag)
