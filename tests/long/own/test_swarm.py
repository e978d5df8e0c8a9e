"""A target on a swarm of two nodes: each fault is seen by its own check, and rolled back."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollproof.baseline.configuration import new_configuration_key, record_container, record_surroundings
from rollproof.baseline.facts import Facts, RecordedCanary
from rollproof.baseline.folder import BaselineDraft
from rollproof.engines.engine import open_engine
from rollproof.git.repository import head, read_working_copy
from rollproof.profile.profile import load_target
from staging.target.action_runs import apart
from tests.conftest import PROFILE, ROOT
from tests.run_outcome import Outcome
from tests.stack.swarm import ADDRESS, docker, make_images, swarm, two_nodes
from tests.stack.verifier import expect
from tests.waiting import until

SECONDS = 120
SERVICES = ("api", "failing", "paused", "worker")
# `failing` ends when it finds the file /die. `api` has one task on each node. No server is behind `redis`.
DESCRIBED = """
services:
  api: &service
    image: rollproof-tiny:1
    command: [httpd, -f, -p, "8000", -h, /bin]
    stop_grace_period: 100ms
    secrets: [key]
    ports: [{target: 8000, published: 18000, mode: host}]
    deploy:
      replicas: 2
      endpoint_mode: dnsrr
      placement: {max_replicas_per_node: 1}
  worker: &one
    <<: *service
    command: [sleep, "1000000"]
    ports: []
    deploy: &deploy
      replicas: 1
      endpoint_mode: dnsrr
      restart_policy: {delay: 500ms}
      update_config: {monitor: 100ms, failure_action: pause}
  paused: *one
  redis: *one
  failing:
    <<: *one
    command: [sh, -c, "while sleep 0.2; do test ! -e /die || exit 3; done"]
secrets: {key: {file: ../canary_password}}
"""
CHANGES = {
    'kind = "compose"': 'kind = "swarm"\nfiles = ["application/compose.yaml"]\nnodes = {node-b = "node-b"}',
    'services = ["backend"]': f'services = {json.dumps(SERVICES)}\nwriters = ["worker"]',
    "http://127.0.0.1:9": f"http://{ADDRESS}:18000",
}


@dataclass(frozen=True)
class SwarmTarget:
    """A target on a swarm, as its profile in `folder` describes it."""

    folder: Path
    images: tuple[str, str]

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of every command."""
        return apart(self.folder / "profile.toml", self.folder)

    def check(self) -> Outcome:
        """Run the checks of phase 1 that ask the engine."""
        incident = f"checks-{uuid.uuid4().hex[:12]}"
        options = ("-q", "-m", "phase1", f"--incident={incident}", "--no-gate")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, "-k", "container or update or stranger"],
            cwd=ROOT,
            env={**self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        return Outcome(done.returncode, done.stdout + done.stderr, self.folder / "incidents" / incident)

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Begin a command of rollproof."""
        return subprocess.Popen(
            [sys.executable, "-m", "rollproof", *words],
            cwd=ROOT,
            env={**self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def stops(self) -> int:
        """Return how often a rollback has begun to stop the application."""
        journals = self.folder.glob("incidents/*-sandbox-*/journal.jsonl")
        return sum(path.read_text().count('"id": "stop"') for path in journals)

    def state(self, service: str) -> str:
        """Return the state of the last update of `service`."""
        shown = docker("service", "inspect", "--format", "{{json .UpdateStatus}}", f"sandbox_{service}")
        return str((json.loads(shown) or {}).get("State"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmTarget]:
    folder = tmp_path_factory.mktemp("swarm")
    repository = folder / "application"
    repository.mkdir()
    (repository / "compose.yaml").write_text(DESCRIBED)
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "release 1"]):
        git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
        subprocess.run(git, check=True, timeout=SECONDS)
    (folder / "canary_password").write_text("s3cret-of-the-canary")
    profile = PROFILE
    for before, after in CHANGES.items():
        assert before in profile
        profile = profile.replace(before, after)
    (folder / "profile.toml").write_text(profile)
    with two_nodes():
        images = make_images(folder, ["node-a", "node-b"])
        deploy = ("deploy", "--resolve-image=never", f"--compose-file={repository / 'compose.yaml'}")
        docker("stack", *deploy, "--detach=true", "sandbox")
        made = SwarmTarget(folder, images)
        until(lambda: docker("service", "ls", "--format", "{{.Replicas}}").count("1/1") == 4)
        until(lambda: "2/2" in docker("service", "ls", "--format", "{{.Replicas}}"))
        capture(folder)
        yield made


def capture(folder: Path) -> None:
    """Record the containers as they are: what else a capture records, the checks here do not ask for."""
    target = load_target(folder / "profile.toml")
    engine, key = open_engine(target.engine), new_configuration_key(target)
    insides, copy = engine.insides(key), read_working_copy(target.application.repository)
    every = [one for found in engine.containers().values() for one in found]
    with BaselineDraft(target.folders.baselines, target.name) as draft:
        draft.finish(
            Facts(
                commit=head(target.application.repository),
                interface="i" * 64,
                containers=tuple(record_container(one, insides[one.id], key) for one in every),
                stores={},
                canary=RecordedCanary(("lamp.txt",), ("lamp.txt",)),
                surroundings=record_surroundings(engine, copy, key),
                demands={},
            ),
            None,
        )


def test_a_target_in_order_is_green(target: SwarmTarget) -> None:
    outcome = target.check()
    expect(outcome, {})
    assert len(outcome.results()) > 60


def test_each_fault_is_seen_by_its_own_check_and_rolled_back(target: SwarmTarget) -> None:
    docker("service", "scale", "--detach=true", "sandbox_api=1")
    docker("service", "update", "--quiet", "--image", target.images[1], "sandbox_worker")
    docker("service", "update", "--detach=true", "--image", "nowhere.invalid/none:1", "sandbox_paused")
    engine = open_engine(load_target(target.folder / "profile.toml").engine)
    (failing,) = engine.containers()["failing"]
    docker(*failing.docker[1:], "exec", failing.id, "touch", "/die")
    until(lambda: target.state("paused") == "paused")
    until(lambda: engine.containers()["failing"][0].restarts)
    until(lambda: engine.containers()["failing"][0].running)

    outcome = target.check()
    of_api = [name for name in outcome.results() if name.endswith(("[api/1]", "[api/2]"))]
    of_paused = [name for name in outcome.results() if name.endswith("[paused]")]
    missing = ("failed", "containers of service api: expected 2, as recorded in the baseline, observed 1")
    rejected = ("failed",)
    red = {name for name, verdict in outcome.verdicts().items() if verdict != "passed"}
    wrong = {
        **dict.fromkeys(of_api, missing),
        **{name: rejected for name in of_paused if name in red},
        "test_container_is_running[paused]": ("failed", "rejected (No such image"),
        "test_update_of_the_service_has_ended[paused]": (
            "failed",
            "observed paused: update paused due to fail",
        ),
        "test_container_runs_the_recorded_image[worker]": ("failed", target.images[1]),
        "test_container_runs_the_recorded_commit[worker]": ("failed", "2" * 40),
        "test_container_is_configured_as_recorded[worker]": ("failed", "org.opencontainers.image.revision"),
        "test_container_is_not_restarting[failing]": ("failed", "at most 0, and not restarting now"),
    }
    expect(outcome, wrong)

    rolled_back = target.begin("rollback", "full", "HEAD", "--again")
    said, _ = rolled_back.communicate(timeout=SECONDS)
    assert rolled_back.returncode == 0, said
    expect(target.check(), {})


def test_a_node_that_does_not_answer_is_broken_and_a_rollback_is_resumed(target: SwarmTarget) -> None:
    docker("service", "update", "--quiet", "--image", target.images[1], "sandbox_worker")
    before = target.stops()
    rollback = target.begin("rollback", "full", "HEAD", "--again")
    until(lambda: target.stops() > before or rollback.poll() is not None)
    swarm("kill", "node-b")
    said, _ = rollback.communicate(timeout=SECONDS)
    assert rollback.returncode != 0, said
    assert "node-b" in said

    outcome = target.check()
    verdicts = {name: one for name, one in outcome.results().items() if "[" in name}
    assert {one["verdict"] for one in verdicts.values()} == {"broken"}, verdicts
    assert all("node-b" in one["reason"] for one in verdicts.values())

    swarm("start", "node-b")
    until(lambda: "Down" not in docker("node", "ls", "--format", "{{.Status}}"))
    resumed = target.begin("rollback", "resume", "--take-over")
    said, _ = resumed.communicate(timeout=SECONDS)
    assert resumed.returncode == 0, said
    expect(target.check(), {})
