"""A target of a test's own without a server: a profile, a repository, a baseline, backups of two stores."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

from pydantic import SecretStr

from reports.terminal.progress import Progress
from rollback_actions.backup.taking import take_backup
from rollback_actions.containers.compose import ComposeControl
from rollback_actions.outside import Outside
from rollback_actions.rollback.engine import roll_back
from rollback_actions.session.session import Journal, Recorder
from rollproof.backups.sets import write_index
from rollproof.baseline.facts import Facts, Surroundings
from rollproof.collection import Json
from rollproof.engines.compose import ComposeEngine
from rollproof.errors import ActionFailed
from rollproof.incident.incident import Incident, RollbackRecord, new_incident
from rollproof.incident.journal import Step, StepId, verify_journal
from rollproof.incident.rollback_request import RollbackRequest
from rollproof.planning.plan import Plan
from rollproof.planning.unfinished import Unfinished, UnfinishedFile
from rollproof.profile.profile import Target, load_target
from rollproof.stores.contract import Blind
from rollproof.stores.keeper import ConnectedClient
from rollproof.system.clock import Moment
from tests.conftest import PROFILE
from tests.world.application import Exchange, Nobody, StandIn
from tests.world.baseline import FACTS, save_baseline
from tests.world.stores import WordReader, WordStore
from tests.world.waiting import Waiting

SECRET = "s3cret-of-the-canary"  # noqa: S105 - what must not be seen
SERVICES = ("frontend", "backend", "worker")
WRITERS = ("backend", "worker")
STORES = {"redis": "redis", "mysql": "mysql"}
MYSQL = """
[stores.mysql]
kind = "mysql"
address = {host = "127.0.0.1", port = 9}
services = ["database-server"]
risk = "low"
databases = ["imagedb"]
reader = {user = "reader", password = {file = "canary_password"}}
operator = {user = "operator", password = {file = "canary_password"}}
"""
MAINTAINED = "frontend"
MAINTENANCE = f"""
[application.maintenance]
service = "{MAINTAINED}"
on = ["touch", "flag"]
off = ["rm", "flag"]
"""
WAY_IN = 'way_in = {header = "X-Way-In", value = {file = "canary_password"}}\n'
_SERVICE = "{image: t/python:current}"
COMPOSE_FILE = f"services: {{backend: {_SERVICE}, frontend: {_SERVICE}, worker: {_SERVICE}}} # release 1\n"


def image(service: str) -> str:
    """Return the image id that the baseline records of `service`."""
    return f"sha256:{SERVICES.index(service):064x}"


@cache
def _specified(kind: type) -> Any:  # noqa: ANN401 - a mock
    return create_autospec(kind, instance=True)


def stand_in(kind: type) -> Any:  # noqa: ANN401 - a mock
    """Return what stands in for the one object of `kind` that a test has, as new.

    It is the same for every test: to find out all signatures takes longer than most tests.
    """
    made = _specified(kind)
    made.reset_mock(return_value=True, side_effect=True)
    return made


def control_with_images() -> Any:  # noqa: ANN401 - a mock
    """Return a control whose engine has the images that the baseline records."""
    made = stand_in(ComposeControl)
    made.image_ids.return_value = frozenset(map(image, SERVICES))
    made.save_image.side_effect = save_image
    return made


def save_image(image: str, file: Path, *, deadline: float) -> None:
    """Write the id of an image to `file`, in the place of its content."""
    assert deadline > 0
    file.write_text(image)


@dataclass(frozen=True)
class Deployed:
    """A container, as far as backups and rollbacks ask: its commit's label, its image, its configuration."""

    revision: str | None
    image_id: str = image(SERVICES[0])
    id: str = "of release 2"
    mounts: tuple[()] = ()
    running: bool = True
    settings: Mapping[str, Json] = field(default_factory=dict)
    private: Mapping[str, SecretStr] = field(default_factory=dict)


@dataclass
class StandInProxy:
    """A service that says 503 with Retry-After while its flag is there, at an address of its own.

    `lets_in` says that it knows the canary's way in.
    """

    stand_in: StandIn
    broken: bool = False
    on: bool = False
    lets_in: bool = True

    def run(self, _: str, command: tuple[str, ...], **__: object) -> str:
        """Do what `on` and `off` of the profile do."""
        if self.broken:
            raise ActionFailed(what="touch", expected="a", observed="no such program", source="b", hint="c")
        self.on = command[0] == "touch"
        return ""

    def answer(self, exchange: Exchange) -> None:
        """Answer a request."""
        canary = exchange.headers.get("X-Way-In") == SECRET
        out = self.on and not (canary and self.lets_in)
        headers = {"Retry-After": "30"} if out else {}
        exchange.start(503 if out else 200, {**headers, "Content-Length": "0"})


@dataclass
class StandInClients:
    """Who is connected to a store: nobody, until a test says who."""

    found: list[ConnectedClient] = field(default_factory=list)
    blind: bool = False

    def others(self) -> list[ConnectedClient]:
        """Return them."""
        if self.blind:
            raise Blind(what="clients", expected="a privilege", observed="none", source="b", hint="c")
        return self.found

    def close(self) -> None:
        """Hold nothing."""


@dataclass
class Sandbox:
    """The target on release 2, with a baseline and a backup of release 1, `commit`."""

    folder: Path
    profile: Path
    target: Target
    commit: str
    bad: str
    control: Any = field(default_factory=control_with_images)
    engine: Any = field(default_factory=lambda: stand_in(ComposeEngine))
    keepers: dict[str, WordStore] = field(default_factory=dict)
    clients: dict[str, StandInClients] = field(default_factory=dict)
    outside: Outside = field(init=False)

    def __post_init__(self) -> None:
        """Let this process reach the stores in memory, and no application."""
        waiting = Waiting()
        self.outside = Outside(
            self.reader,
            self.reader,
            lambda name, *_: self.keepers[name],
            lambda name, *_: self.clients[name],
            Nobody(),
            waiting.deadline,
            waiting.sleep,
            look_seconds=0.01,
        )

    def reader(self, name: str, *_: object, **__: object) -> WordReader:
        """Return a reader of the store `name`."""
        return WordReader(self.keepers[name])

    def new_incident(self) -> Incident:
        """Return a new incident of it."""
        return new_incident(self.target.folders.incidents, self.target.name)

    def save(self, facts: Facts) -> Path:
        """Make a baseline of `facts` the current one, and return its folder."""
        return save_baseline(self.target.folders.baselines, self.target.name, facts)

    def run(self, plan: Plan, incident: Incident, interrupt: StepId | None = None) -> RollbackRecord:
        """Roll back by `plan`; with `interrupt`, as if Ctrl-C were pressed in that step of it."""
        with steps_in(incident.folder / "journal.jsonl", interrupt) as steps:
            return roll_back(self.target, plan, incident, self.engine, self.control, steps, self.outside)


class Steps(Recorder):
    """Steps of which one may be interrupted as it begins."""

    interrupted: StepId | None = None

    @contextmanager
    def __call__(self, step: Step, of: str = "", deadline: float | None = None) -> Iterator[Any]:
        with super().__call__(step, of, deadline) as shown:
            if self.interrupted == StepId(step, of):
                raise KeyboardInterrupt
            yield shown


@contextmanager
def steps_in(file: Path, interrupted: StepId | None = None) -> Iterator[Steps]:
    """Give steps that are recorded in the journal `file`; nobody else acts on a sandbox."""
    with Progress() as progress:
        steps = Steps(Journal(file, str), progress, lambda: None)
        steps.interrupted = interrupted
        yield steps


def proxied(sandbox: Sandbox, more: str = "") -> StandInProxy:
    """Give `sandbox` a service that can be in maintenance; `more` are lines of its section."""
    proxy = StandInProxy(serve(sandbox))
    proxy.stand_in.answers = defaultdict(lambda: proxy.answer)
    sandbox.profile.write_text(
        sandbox.profile.read_text(encoding="utf-8") + MAINTENANCE + more, encoding="utf-8"
    )
    sandbox.target = load_target(sandbox.profile)
    sandbox.control.run_in_each.side_effect = proxy.run
    return proxy


def serve(sandbox: Sandbox) -> StandIn:
    """Have an application behind the URL of the profile, and return it."""
    sandbox.outside = replace(sandbox.outside, transport=StandIn())
    assert isinstance(sandbox.outside.transport, StandIn)
    return sandbox.outside.transport


@dataclass(frozen=True)
class Releases:
    """The files of a target on release 2, which every sandbox is a copy of: repository, baseline, backup.

    `commit` and `bad` are releases 1 and 2 of its repository.
    """

    folder: Path
    commit: str
    bad: str


def make_releases(folder: Path, git: Callable[..., str]) -> Releases:
    """Make them in `folder`, by `git`."""
    (folder / "canary_password").write_text(SECRET, encoding="utf-8")
    repository = folder / "application"
    repository.mkdir()
    # Without the samples of hooks: they would be copied each time.
    git(repository, "init", "--quiet", "--template=")
    commits = []
    for release in ("1", "2"):
        (repository / "compose.yaml").write_text(COMPOSE_FILE.replace("release 1", f"release {release}"))
        git(repository, "add", "compose.yaml")
        git(repository, "commit", "--quiet", "--message", f"release {release}, {SECRET}")
        commits.append(git(repository, "rev-parse", "HEAD"))
    (folder / "profile.toml").write_text(_profile(), encoding="utf-8")
    releases = Releases(folder, commits[0], commits[1])
    sandbox = _sandbox(folder, releases)
    sandbox.save(facts(releases.commit))
    back_up(sandbox, releases.commit)
    return releases


def make_sandbox(folder: Path, releases: Releases) -> Sandbox:
    """Make it in `folder`."""
    shutil.copytree(releases.folder, folder, symlinks=True, dirs_exist_ok=True)
    sandbox = _sandbox(folder, releases)
    for keeper in sandbox.keepers.values():
        keeper.words["a"] = "of release 2"
    deployed = (Deployed(releases.bad),)
    containers = {**dict.fromkeys(SERVICES, deployed), "redis": (Deployed(None),)}
    sandbox.engine.containers.return_value = containers
    sandbox.engine.running.return_value = ()
    return sandbox


def _sandbox(folder: Path, releases: Releases) -> Sandbox:
    profile = folder / "profile.toml"
    keepers = {name: WordStore(name, kind) for name, kind in STORES.items()}
    clients = {name: StandInClients() for name in STORES}
    return Sandbox(
        folder, profile, load_target(profile), releases.commit, releases.bad, keepers=keepers, clients=clients
    )


def begun(incident: Incident) -> dict[str, str]:
    """Return the ids of the steps in the journal of `incident`, each with its last result or error."""
    records = verify_journal(incident.folder / "journal.jsonl")
    return {
        f"{record['id']} {record['of']}".strip(): str(record.get("result") or record.get("error") or "")
        for record in records
        if "step" in record
    }


def back_up(sandbox: Sandbox, commit: str, name: str = "") -> None:
    """Back the stores up as they are, as of `commit`."""
    target = sandbox.target
    with steps_in(sandbox.folder / "backup.jsonl") as steps:
        take_backup(
            target.folders.backups / (name or f"set-of-{commit[:7]}"),
            target.name,
            commit,
            {name: keeper.back_up for name, keeper in sandbox.keepers.items()},
            steps,
            index={
                name: partial(write_index, target, sandbox.engine, name, open_reader=sandbox.reader)
                for name in sandbox.keepers
            },
        )


def begun_earlier(request: RollbackRequest) -> Unfinished:
    """Return a rollback by `request` that began, and kept the earlier data."""
    now = Moment.now()
    incident = Incident("begun", Path("begun"), "sandbox", now)
    record = UnfinishedFile(request.commit, now, request.kind, request.names, copies=("copies",))
    return Unfinished(incident, record)


def facts(commit: str, services: tuple[str, ...] = SERVICES) -> Facts:
    """Return what the baseline of `commit` holds; backend and worker run on one image's tag."""
    tags = {"frontend": "t/frontend:current", "backend": "t/python:current", "worker": "t/python:current"}
    (one,) = FACTS.containers
    containers = tuple(
        replace(
            one,
            service=service,
            name=f"t-{service}-1",
            image=tags[service],
            image_id=image(service),
            revision=commit,
        )
        for service in services
    )
    return replace(
        FACTS, commit=commit, containers=containers, stores={}, surroundings=Surroundings("0"), demands={}
    )


def _profile() -> str:
    changes = {
        'services = ["backend"]': f"services = {json.dumps(SERVICES)}\nwriters = {json.dumps(WRITERS)}",
        'project = "sandbox"': 'project = "sandbox"\nfiles = ["application/compose.yaml"]',
    }
    profile = PROFILE
    for before, after in changes.items():
        profile = profile.replace(before, after)
    return profile + MYSQL
