"""A sandbox whose migration went wrong and was rolled back, and what its fix needs to be let through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.incident.incident import Incident, load_incident
from rollproof.planning.plan import Plan, plan_emergency
from rollproof.profile.profile import load_target
from tests.rehearsals import record_rehearsal
from tests.unit.command_line import Ran
from tests.world.git import git
from tests.world.sandbox import SERVICES, STORES, Deployed, Releases, Sandbox, make_sandbox
from tests.world.stores import WordStore

MIGRATION_FILE = "migrations/0002.sql"
CAUSE = "the index was dropped before its successor was built"


@dataclass
class RolledBack:
    """The sandbox after the emergency rollback from `bad`, in `incident`, and a commit `fix` upon `bad`."""

    run: Ran
    sandbox: Sandbox
    incident: Incident
    fix: str

    @property
    def repository(self) -> Path:
        return self.sandbox.target.application.repository

    @property
    def record(self) -> Path:
        """The journal of the incident's reopenings."""
        return self.incident.folder / "reopening.jsonl"

    def rehearse(self, migration: str, *, ended: bool = True, **changes: str) -> Incident:
        """Record a rehearsal of `migration` that passed except for `changes`."""
        incidents, target = self.sandbox.target.folders.incidents, self.sandbox.target.name
        return record_rehearsal(incidents, target, migration, self.sandbox.commit, ended=ended, **changes)

    def reopen(self, *options: str, code: ExitCode = ExitCode.VERIFIED) -> str:
        """Reopen the incident for `fix`, or by `options` that come after those and so count."""
        ours = ("--fix", self.fix, "--root-cause", CAUSE, "--as", "Ada")
        return self.run("reopen", self.incident.id, *ours, *options, code=code)


def roll_back(sandbox: Sandbox, plan: Plan | None = None, beginning: str | None = None) -> Incident:
    """Roll back from `beginning`, else `bad`, in a new incident; without a `plan` it is an emergency."""
    incident, repository = sandbox.new_incident(), sandbox.target.application.repository
    deployed = beginning or sandbox.bad
    git(repository, "checkout", "--quiet", "--detach", deployed)
    sandbox.engine.containers.return_value = dict.fromkeys(SERVICES, (Deployed(deployed),))
    sandbox.run(plan or plan_emergency(sandbox.target, sandbox.commit), incident)
    git(repository, "checkout", "--quiet", "--detach", sandbox.commit)
    return incident


def commit(sandbox: Sandbox, parent: str, files: dict[str, str]) -> str:
    """Return a new commit upon `parent` that has `files` besides; the working copy stays where it is."""
    repository = sandbox.target.application.repository
    here = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "--quiet", "--detach", parent)
    for name, text in files.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", ", ".join(files) or "nothing")
    made = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "--quiet", "--detach", here)
    return made


@dataclass(frozen=True)
class History:
    """The files of a sandbox that was rolled back from `bad` in an incident, and a commit `fix` upon it."""

    releases: Releases
    incident: str
    fix: str


def make_history(folder: Path, releases: Releases) -> History:
    """Make it in `folder`; its profile has the store whose package of words can be verified."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/no-engine.sock")
        sandbox = make_sandbox(folder, releases)
        sandbox.profile.write_text(sandbox.profile.read_text().partition("[stores.mysql]")[0])
        sandbox.target = load_target(sandbox.profile)
        del sandbox.keepers["mysql"], sandbox.clients["mysql"]
        sandbox.bad = commit(sandbox, sandbox.bad, {MIGRATION_FILE: "DROP INDEX by_name;\n"})
        incident = roll_back(sandbox)
    fix = commit(sandbox, sandbox.bad, {MIGRATION_FILE: "CREATE INDEX by_name_2 ON users (name);\n"})
    return History(Releases(folder, sandbox.commit, sandbox.bad), incident.id, fix)


def make_rolled_back(
    folder: Path, history: History, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> RolledBack:
    """Make a copy of it in `folder`."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/no-engine.sock")
    sandbox = make_sandbox(folder, history.releases)
    del sandbox.keepers["mysql"], sandbox.clients["mysql"]
    sandbox.keepers["redis"] = WordStore("redis", STORES["redis"])
    sandbox.engine.containers.return_value = dict.fromkeys(SERVICES, (Deployed(sandbox.bad),))
    incident = load_incident(sandbox.target.folders.incidents / history.incident)
    capsys.readouterr()
    return RolledBack(Ran(sandbox, monkeypatch, capsys), sandbox, incident, history.fix)
