from __future__ import annotations

import hashlib
import io
import tarfile
import urllib.request
from collections.abc import Iterable

import pytest

from rollproof.baseline.configuration import ConfigurationKey, record_container, setting_differences
from rollproof.engines.engine import Container, Inside
from rollproof.errors import ActionFailed, Problem, Unverifiable
from rollproof.profile.sections import Address
from tests.stack.own.engines.conftest import REPLICAS, SECONDS, Deployed
from tests.waiting import until

KEY = ConfigurationKey(bytes(32))
# Longer than the re-creation itself takes on a busy machine.
NEVER_HEALTHY_SECONDS = 30.0


@pytest.fixture(autouse=True)
def given_back(deployed: Deployed) -> Iterable[None]:
    """Each test finds release 1 as it was deployed."""
    yield
    first = deployed.images[0]
    if any(not one.running or not one.healthy or one.image_id != first for one in every(deployed)):
        deployed.deploy()


def every(deployed: Deployed) -> list[Container]:
    return [one for found in deployed.engine.containers().values() for one in found]


def test_each_replica_is_described(deployed: Deployed) -> None:
    found = deployed.engine.containers()
    assert {service: len(some) for service, some in found.items()} == REPLICAS
    assert len({one.name for one in every(deployed)}) == 3
    for one in every(deployed):
        assert (one.running, one.status, one.restarts, one.restarting) == (True, "running", 0, False)
        assert (one.image_id, one.revision) == (deployed.images[0], "1" * 40)
        assert one.configuration
    assert [one.health for one in found["api"]] == ["healthy", "healthy"]
    assert found["web"][0].health is None


def test_what_is_deployed_again_is_configured_as_before(deployed: Deployed) -> None:
    before = {one.name: record_container(one, Inside(), KEY) for one in every(deployed)}
    ids = {one.id for one in every(deployed)}
    deployed.control.stop(REPLICAS, deadline=SECONDS)
    deployed.deploy()
    for one in every(deployed):
        assert list(setting_differences(before[one.name], one, Inside(), KEY)) == []
        assert one.id not in ids


def test_one_service_goes_to_another_release_alone(deployed: Deployed) -> None:
    """Its image, commit and environment are others then; the environment's values are not shown."""
    before, web = record_container(deployed.of("api")[0], Inside(), KEY), deployed.of("web")[0].id
    deployed.deploy(2, "hunter2", "api")
    assert {(one.image_id, one.revision) for one in deployed.of("api")} == {(deployed.images[1], "2" * 40)}
    differences = list(setting_differences(before, deployed.of("api")[0], Inside(), KEY))
    assert [one.split(": expected hash ")[0] for one in differences] == [
        "environment MODE",
        "label org.opencontainers.image.revision",
    ]
    assert "hunter2" not in str(deployed.of("api"))
    assert deployed.of("web")[0].id == web


def test_an_image_that_is_not_there_is_refused_before_anything_changes(deployed: Deployed) -> None:
    ids = {one.id for one in every(deployed)}
    with pytest.raises(Problem, match="look for the image of api"):
        deployed.control.recreate({"api": f"sha256:{'0' * 64}"}, deadline=SECONDS)
    assert {one.id for one in every(deployed)} == ids


def test_services_are_stopped_and_started_in_their_number(deployed: Deployed) -> None:
    for _ in range(2):  # as after a kill
        deployed.control.stop(REPLICAS, deadline=SECONDS)
    assert deployed.engine.running() == []
    assert set(deployed.engine.containers()) == {*REPLICAS}
    assert not any(one.running for one in every(deployed))
    deployed.control.start(REPLICAS, deadline=SECONDS)
    assert {service: len(some) for service, some in deployed.engine.containers().items()} == REPLICAS
    assert sorted(one.service for one in deployed.engine.running()) == ["api", "api", "web"]


def test_a_service_that_never_becomes_healthy_fails(deployed: Deployed) -> None:
    """It is what a mistake in a release does: its deployment ends, and says which service it is."""
    text = deployed.profile.files[0].read_text()
    deployed.profile.files[0].write_text(text.replace('"!", -e, /sick', "-e, /sick"))
    try:
        with pytest.raises(ActionFailed, match="api"):
            deployed.control.recreate(
                {"api": deployed.images[0]}, deadline=NEVER_HEALTHY_SECONDS, replicas={"api": 2}
            )
    finally:
        deployed.profile.files[0].write_text(text)


def test_a_service_that_ends_is_counted(deployed: Deployed) -> None:
    deployed.control.run("api", ["touch", "/die"], deadline=SECONDS)
    until(lambda: any(one.restarts for one in deployed.of("api")))
    deployed.control.stop(["api"], deadline=SECONDS)


def test_what_is_inside_is_seen(deployed: Deployed) -> None:
    def keyed(name: str, content: Iterable[bytes]) -> str:
        return hashlib.sha256(name.encode() + b"".join(content)).hexdigest()

    deployed.control.run("api", ["touch", "/bin/added"], deadline=SECONDS)
    # As a command that puts each replica of a proxy in maintenance.
    deployed.control.run_in_each("api", ["touch", "/bin/each"], deadline=SECONDS)
    insides = deployed.engine.insides(keyed)
    expected = [("/bin/added", "/bin/each"), ("/bin/each",)]
    assert [insides[one.id].added for one in deployed.of("api")] == expected
    deployed.control.stop(["api"], deadline=SECONDS)


def test_files_in_a_volume_are_read_while_their_service_is_stopped_too(deployed: Deployed) -> None:
    def names() -> list[str]:
        with deployed.engine.files(deployed.of("web")[0].id, "/files", SECONDS) as chunks:
            content = io.BytesIO(b"".join(chunks))
        with tarfile.open(fileobj=content) as members:
            return members.getnames()

    deployed.control.run("web", ["touch", "/files/kept"], deadline=SECONDS)
    running = names()
    deployed.control.stop(["web"], deadline=SECONDS)
    assert names() == running == ["files", "files/kept"]
    (mount,) = deployed.of("web")[0].mounts
    assert (mount.kind, mount.destination, mount.writable) == ("volume", "/files", True)
    deployed.control.start(["web"], deadline=SECONDS)


def test_the_use_of_each_is_measured(deployed: Deployed) -> None:
    usage = deployed.engine.usage()
    assert {one.id for one in every(deployed)} == {*usage}
    assert all(one.memory and one.pids for one in usage.values())
    assert {one.service for one in usage.values()} == {*REPLICAS}


def test_files_and_logs_are_read_wherever_it_runs(deployed: Deployed) -> None:
    for one in deployed.of("api"):
        assert deployed.engine.logs(one.name).startswith("hello")
        with deployed.engine.files(one.id, "/bin", SECONDS) as chunks:
            content = io.BytesIO(b"".join(chunks))
        with tarfile.open(fileobj=content) as members:
            assert "bin/busybox" in members.getnames()
    assert all(deployed.engine.logs(one.name) is not None for one in deployed.engine.running())
    with deployed.engine.image_files(deployed.images[1], "/bin", SECONDS) as chunks:
        assert b"".join(chunks)


def test_a_published_port_is_reached(deployed: Deployed) -> None:
    place = deployed.engine.resolve(Address(service="web", port=8000))
    with urllib.request.urlopen(f"http://{place.host}:{place.port}/busybox", timeout=SECONDS) as answer:
        assert answer.status == 200


def test_a_service_that_is_not_there_has_no_address(deployed: Deployed) -> None:
    with pytest.raises(Unverifiable, match="service other"):
        deployed.engine.resolve(Address(service="other", port=8000))


def test_the_engine_has_an_id_and_nobody_else_is_on_its_networks(deployed: Deployed) -> None:
    assert deployed.engine.id() == deployed.engine.id() != ""
    assert deployed.engine.data_root().startswith("/")
    assert deployed.engine.strangers() == []


def test_a_service_is_removed(deployed: Deployed) -> None:
    deployed.control.remove("web", deadline=SECONDS)
    assert {*deployed.engine.containers()} == {"api"}
    deployed.deploy(1, "one", "web")
