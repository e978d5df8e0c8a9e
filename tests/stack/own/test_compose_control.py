from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from rollback_actions.containers.volumes import HELPER_LABEL
from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, Unverifiable
from rollproof.profile.profile import Target
from tests.stack.scratch_project import ScratchProject, docker, pause, scratch_project
from tests.waiting import until

SECRET = "correct horse battery staple"  # noqa: S105 - what must not be seen
FINGERPRINT = r"""
cd /data
find . -printf '%p %y %m %U:%G %l %s %T@ %n\n' | sort
find . -type f -print0 | sort -z | xargs -0 -r sha256sum
"""
FILL = r"""
mkdir -p /data/folder/empty /data/own && echo text > /data/folder/text && ln -s nowhere /data/link
ln /data/folder/text /data/hard && truncate -s 200M /data/sparse && echo end >> /data/sparse
chown 1234:55 /data/own && chmod 2750 /data/own && echo x > '/data/a name
with lines' && touch -d '2001-02-03 04:05:06' /data/folder/text && head -c 3000000 /dev/urandom > /data/noise
"""

SLEEP = ("--network=none", "--entrypoint=sleep")
# On a busy machine the first health check may not have ended yet.
SICK = "running, (unhealthy|starting)"


@pytest.fixture(scope="module")
def scratch(
    target: Target, engine: ContainerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScratchProject]:
    image = engine.containers()[target.stores["redis"].services[0]][0].image_id
    with scratch_project(image, tmp_path_factory.mktemp("project")) as running:
        yield running


@pytest.fixture
def project(scratch: ScratchProject) -> Iterator[ScratchProject]:
    """The project, brought up again after a test that left it otherwise."""
    yield scratch
    states = {service: scratch.engine.containers().get(service, ()) for service in ("data", "other")}
    right = all(
        len(c) == 1 and c[0].status == "running" and c[0].health != "unhealthy" for c in states.values()
    )
    if right:
        scratch.shell("find /data -mindepth 1 -delete")
    else:
        scratch.bring_up()


def _helpers(project: ScratchProject) -> str:
    return docker("ps", "--all", "--quiet", f"--filter=label={HELPER_LABEL}={project.name}_data")


def test_a_command_runs_with_files_and_a_secret(project: ScratchProject, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(os.urandom(2_000_000))
    answer = project.control.run(
        "data",
        ["sh", "-c", 'cat; printf %s "$PASSWORD"'],
        deadline=60,
        environment={"PASSWORD": SecretStr(SECRET)},
        stdin=tmp_path / "in",
        stdout=tmp_path / "out",
    )
    assert answer == ""
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes() + SECRET.encode()


def test_a_secret_is_on_no_command_line(project: ScratchProject) -> None:
    seen: list[str] = []

    def look() -> bool:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it ended meanwhile
                seen.append(process.read_bytes().decode(errors="replace"))
        return any("docker" in line and "PASSWORD" in line for line in seen)

    command = ["sh", "-c", "until test -e /data/seen; do sleep 0.1; done"]
    environment = {"PASSWORD": SecretStr(SECRET)}
    with ThreadPoolExecutor() as running:
        done = running.submit(project.control.run, "data", command, deadline=60, environment=environment)
        until(look)
        project.shell("touch /data/seen")
        assert done.result() == ""
    assert not any(SECRET in line for line in seen)


def test_a_command_past_its_deadline_is_ended_inside_the_container(project: ScratchProject) -> None:
    with pytest.raises(Unverifiable, match="within 1 s"):
        project.control.run(
            "data", ["sh", "-c", "sleep 5551 & (setsid sleep 5552 &) ; sleep 5553"], deadline=1
        )
    commands = project.shell("cat /proc/[0-9]*/cmdline | tr '\\0' ' '; true")
    assert "infinity" in commands
    assert "555" not in commands


def test_a_start_that_ends_sick_is_a_failure_at_the_deadline(project: ScratchProject) -> None:
    project.shell("touch /data/sick")
    project.control.stop(["data"], deadline=60)
    with pytest.raises(ActionFailed, match=rf"expected healthy within 15 s, observed .* {SICK}"):
        # Longer than the start itself takes on a busy machine.
        project.control.start(["data"], deadline=15)


def test_a_start_that_ends_dead_is_a_failure_at_once(project: ScratchProject) -> None:
    project.shell("touch /data/dead")
    project.control.stop(["data"], deadline=60)
    # A deadline that this test has not: whoever waited for it would be stopped.
    with pytest.raises(ActionFailed, match=r"observed .* exited with exit code 1"):
        project.control.start(["data"], deadline=3600)


def test_a_volume_comes_back_as_it_was(project: ScratchProject, tmp_path: Path) -> None:
    control = project.control
    project.shell(FILL)
    fingerprint = project.shell(FINGERPRINT)
    control.stop(["data"], deadline=60)
    files = control.save_volumes(["data"], tmp_path, deadline=60)
    control.start(["data"], deadline=60)
    assert list(files) == [tmp_path / f"{project.name}_data.tar"]
    assert list(tmp_path.iterdir()) == list(files)
    assert files[0].stat().st_mode & 0o777 == 0o600
    assert files[0].stat().st_size < 10_000_000
    project.shell(
        "rm -r /data/folder /data/sparse; echo more > /data/new; chmod 777 /data; touch /data/.hidden"
    )
    for _ in range(2):
        control.stop(["data"], deadline=60)
        control.load_volumes(["data"], tmp_path, deadline=60)
        control.start(["data"], deadline=60)
        assert project.shell(FINGERPRINT) == fingerprint
    assert int(project.shell("du -k /data/sparse | cut -f1")) < 1000
    assert not _helpers(project)


def test_a_volume_in_use_is_neither_saved_nor_loaded(project: ScratchProject, tmp_path: Path) -> None:
    control = project.control
    control.stop(["data"], deadline=60)
    control.save_volumes(["data"], tmp_path, deadline=60)
    control.start(["data"], deadline=60)
    uses = (control.save_volumes, control.load_volumes)
    for use in uses:
        with pytest.raises(ActionFailed, match=r"mounts it stopped, observed .*-data-1 is running"):
            use(["data"], tmp_path, deadline=60)
    pause(project.container("data").id)
    for use in uses:
        with pytest.raises(ActionFailed, match="-data-1 is paused"):
            use(["data"], tmp_path, deadline=60)
    docker("unpause", project.container("data").id)


def _faults(folder: Path, content: bytes, volume: str) -> Iterator[Path]:
    """Yield folders like a saved one that was `content`, each with another fault."""
    faults = (
        (f"{volume}.tar", content[:1_500_000]),
        # Without the blocks of zeros that end it.
        (f"{volume}.tar", content[:-10240]),
        ("other.tar", content),
    )
    for number, (name, data) in enumerate(faults):
        place = folder / str(number)
        place.mkdir()
        (place / name).write_bytes(data)
        yield place


def test_a_tar_that_is_not_whole_is_refused_before_the_volume_is_touched(
    project: ScratchProject, tmp_path: Path
) -> None:
    project.shell(FILL)
    project.control.stop(["data"], deadline=60)
    (saved,) = project.control.save_volumes(["data"], tmp_path, deadline=60)
    content = saved.read_bytes()
    project.control.start(["data"], deadline=60)
    project.shell("echo later > /data/later")
    now = project.shell(FINGERPRINT)
    project.control.stop(["data"], deadline=60)
    for folder in _faults(tmp_path, content, saved.stem):
        with pytest.raises(ActionFailed):
            project.control.load_volumes(["data"], folder, deadline=60)
    project.control.start(["data"], deadline=60)
    assert project.shell(FINGERPRINT) == now


def test_a_helper_that_a_killed_run_left_behind_is_taken_away_first(
    project: ScratchProject, tmp_path: Path
) -> None:
    project.control.stop(["data"], deadline=60)
    volume = f"{project.name}_data"
    label, mount = f"--label={HELPER_LABEL}={volume}", f"--mount=type=volume,source={volume},destination=/v"
    docker("run", "--detach", label, mount, *SLEEP, project.image, "infinity")
    assert project.control.save_volumes(["data"], tmp_path, deadline=60)
    assert not _helpers(project)


def test_as_many_containers_as_the_plan_says_are_there_again(project: ScratchProject) -> None:
    """Somebody has scaled the service by hand: the compose file knows of one."""
    other = {"other": project.image}
    project.control.recreate(other, deadline=60, replicas={"other": 3})
    engine = ComposeEngine(project.name, 10)
    assert len(engine.containers()["other"]) == 3
    project.control.recreate(other, deadline=60, replicas={"other": 2})
    assert [one.running for one in engine.containers()["other"]] == [True, True]
    project.control.recreate(other, deadline=60)
    assert len(engine.containers()["other"]) == 1


@pytest.mark.long(minutes=0.4)
def test_a_container_that_others_wait_for_may_be_unhealthy_at_first(
    project: ScratchProject, tmp_path: Path
) -> None:
    """Compose itself gives up as soon as it is, and leaves the one that waits created."""
    slow = ["CMD-SHELL", "test $(($(date +%s) - $(stat -c %Y /proc/1))) -gt 4"]
    document = yaml.safe_load(project.file.read_text())
    document["services"]["data"]["healthcheck"]["test"] = slow
    document["services"]["other"]["depends_on"] = {"data": {"condition": "service_healthy"}}
    file = tmp_path / "compose.yaml"
    file.write_text(yaml.safe_dump(document))
    images = dict.fromkeys(("data", "other"), project.image)
    project.control.recreate(images, files=[file], deadline=60)
    assert (project.container("data").health, project.container("other").running) == ("healthy", True)
    document["services"]["data"]["healthcheck"]["test"] = ["CMD", "false"]
    file.write_text(yaml.safe_dump(document))
    with pytest.raises(ActionFailed, match="healthy within 15 s"):
        project.control.recreate(images, files=[file], deadline=15)


def test_an_image_that_is_not_there_is_refused_before_anything_is_touched(project: ScratchProject) -> None:
    before = project.container("data").id
    with pytest.raises(ActionFailed, match="No such image"):
        project.control.recreate({"data": f"sha256:{'0' * 64}"}, deadline=60)
    assert project.container("data").id == before


def test_an_image_comes_back_from_its_copy(project: ScratchProject, tmp_path: Path) -> None:
    (tmp_path / "empty.tar").write_bytes(bytes(10240))
    made = docker("import", str(tmp_path / "empty.tar"))
    copy = tmp_path / "image.tar"
    project.control.save_image(made, copy, deadline=60)
    docker("image", "rm", made)
    with pytest.raises(ActionFailed, match="No such image"):
        project.control.require_images({"one": made}, deadline=60)
    project.control.load_image(copy, deadline=60)
    project.control.require_images({"one": made}, deadline=60)
    docker("image", "rm", made)


@pytest.mark.parametrize(
    ("code", "said"), [(0, ""), (3, "expected completed, exit code 0, observed .* exited with exit code 3")]
)
def test_a_service_that_ends_is_waited_for_until_it_has(
    project: ScratchProject, tmp_path: Path, code: int, said: str
) -> None:
    file = tmp_path / "compose.json"
    service = {"image": project.image, "restart": "no", "entrypoint": ["sh", "-c", f"sleep 0.5; exit {code}"]}
    file.write_text(json.dumps({"services": {"once": service}}))
    make = partial(
        project.control.recreate, {"once": project.image}, files=[file], deadline=60, completes=True
    )
    try:
        if said:
            with pytest.raises(ActionFailed, match=said):
                make()
        else:
            make()
            (container,) = project.engine.containers()["once"]
            assert (container.completed, container.image_id) == (True, project.image)
    finally:
        docker("rm", "--force", "--volumes", f"{project.name}-once-1")
