from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.engines.host import Host
from rollproof.profile.profile import Target
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
