"""The staging stack of the notebook on a swarm of two nodes: see `staging/swarm.sh`, `staging/stack.yaml`."""

from __future__ import annotations

import ctypes
import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rollproof.errors import UsageProblem
from rollproof.git.repository import head
from staging.processes import LOOK, run
from staging.stack.compose_stack import build_images
from staging.stack.slot import CHOICE

if TYPE_CHECKING:
    from staging.stack.stack import Stack

SCRIPT = Path(__file__).parents[1] / "swarm.sh"
MANAGER, NODES = "node-a", ("node-a", "node-b")
SECONDS = 300
STORES = ("rollproof-staging/postgresql", "rollproof-staging/valkey")
# https://man7.org/linux/man-pages/man2/setns.2.html; Python has it from 3.12 on.
_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class SwarmStack:
    """The services of a staging stack on a swarm of its own.

    Images are built by the machine's own engine, and loaded into that of each node: nothing is forwarded from
    the nodes to registries.
    """

    stack: Stack

    def up_stores(self) -> None:
        """Make the swarm, deploy the stores, and wait until each is healthy.

        Raises:
            Problem: A store is not, or no swarm can be made here.
        """
        self._swarm("up")
        self._load(STORES)
        self._deploy(self.stack.shape.store_files(self.stack.root / "staging"))

    def up_application(self) -> None:
        """Deploy the application on the images of the commit that is checked out; wait until healthy."""
        stores = self.stack.shape.store_files(self.stack.root / "staging")
        self._deploy([*stores, *self.stack.shape.application_files(self.stack.state.application)])

    def build(self, commit: str) -> None:
        """Build the application's images from `commit`, which is checked out, and load them into each node.

        Their tag is the commit: a swarm deploys a service again only if its image has another name.
        """
        build_images(self.stack, commit, DOCKER_CONTEXT="default")
        names = [f"{self.stack.project}/{service}" for service in self.stack.shape.built]
        for name in names:
            self._docker("tag", f"{name}:current", f"{name}:{commit}", context="default")
        self._load([f"{name}:{commit}" for name in names])

    def tool(self, service: str, *arguments: str) -> str:
        """Run a program of the application once, on the node of its files; return its output."""
        project, state = self.stack.project, self.stack.state
        image = f"{project}/api:{head(state.application)}"
        options = ["--rm", f"--network={project}_default", f"--volume={project}_files:/var/lib/notebook"]
        options += [f"--volume={state.secrets}:/run/secrets:ro"]
        return self._docker("run", *options, image, "python", "-m", f"notebook.{service}", *arguments)

    def stop(self, service: str) -> None:
        """Stop a service."""
        self._docker("service", "scale", "--detach", f"{self.stack.project}_{service}=0")

    def start(self, service: str) -> None:
        """Start one task of a service that was stopped."""
        self._docker("service", "scale", "--detach", f"{self.stack.project}_{service}=1")

    def used(self) -> bool:
        """Return whether the swarm is there."""
        return self._folder.exists()

    def runs(self) -> bool:
        """Return whether the swarm is there: its nodes are the only engines that it has."""
        return self.used()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be where an operator of the stack is, for the block: on its manager.

        Programs that are started, and threads, are on its network too. Docker asks the manager's engine.
        """
        before = {name: os.environ.get(name) for name in self._environment}
        with Path("/proc/thread-self/ns/net").open("rb", buffering=0) as own:
            with self._network.open("rb", buffering=0) as there:
                _enter(there.fileno())
            os.environ.update(self._environment)
            try:
                yield
            finally:
                _enter(own.fileno())
                for name, value in before.items():
                    os.environ.pop(name) if value is None else os.environ.update({name: value})

    def down(self) -> None:
        """End both nodes; nothing of them stays."""
        self._swarm("down")

    @property
    def way(self) -> str:
        """How a person reaches the application, in words."""
        words = ["nsenter", f"--net={self._network}", "env"]
        shell = shlex.join([*words, *(f"{name}={value}" for name, value in self._environment.items()), "sh"])
        return f"http://127.0.0.1:{self.stack.slot.url_port} in: {shell}"

    @property
    def _network(self) -> Path:
        return Path("/run/netns", f"rollproof-{self._folder.name}-{MANAGER}")

    @property
    def _folder(self) -> Path:
        return self.stack.root / ".staging" / f"swarm-{self.stack.slot.number}"

    @property
    def _environment(self) -> dict[str, str]:
        return {"DOCKER_CONFIG": str(self._folder / "config"), "DOCKER_CONTEXT": MANAGER}

    def _swarm(self, word: str) -> None:
        slot = {CHOICE: str(self.stack.slot.number)}
        run([str(SCRIPT), word], seconds=SECONDS, hint=f"run it by hand: {SCRIPT} {word}", environment=slot)

    def _docker(self, *words: str, context: str = MANAGER, **variables: str) -> str:
        environment = {**self._environment, **variables, "DOCKER_CONTEXT": context}
        return run(["docker", *words], seconds=SECONDS, hint=LOOK, environment=environment)

    def _load(self, images: Sequence[str]) -> None:
        """Load images of the machine's own engine into that of each node."""
        with tempfile.TemporaryDirectory() as folder:
            file = f"--{{}}={folder}/images.tar"
            self._docker("save", file.format("output"), *images, context="default")
            for node in NODES:
                self._docker("load", "--quiet", file.format("input"), context=node)

    def _deploy(self, files: Sequence[Path]) -> None:
        lines = self.stack.state.environment.read_text(encoding="utf-8").splitlines()
        variables = {name: value for name, _, value in (line.partition("=") for line in lines)}
        variables["REVISION"] = head(self.stack.state.application) if len(files) > 1 else ""
        described = [f"--compose-file={file}" for file in files]
        # It waits until each task runs and is healthy.
        options = ["--detach=false", "--resolve-image=never"]
        self._docker("stack", "deploy", *options, *described, self.stack.project, **variables)


def _enter(namespace: int) -> None:
    """Put this thread, and what it starts, into the network namespace of an open file."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) != 0:
        raise UsageProblem(
            what="network of the swarm's manager",
            expected="to be entered",
            observed=os.strerror(ctypes.get_errno()),
            source="setns",
            hint="run this as root, or in a container with --privileged",
        )
