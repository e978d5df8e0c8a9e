"""The configuration of a service as a commit has it, read by compose: and where it cannot have that."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rollproof.errors import UsageProblem
from rollproof.planning.configuration import configuration_at
from rollproof.planning.plan import plan_full, plan_service
from tests.real_git import git
from tests.world.sandbox import Sandbox, facts

BEFORE, SINCE = "of the known-good commit", "of the bad one"
# Each way to mount a file of the working copy: a compose file, and what it mounts.
MOUNTED = {
    "bind": ("{volumes: [data:/d, './conf/app.conf:/etc/app.conf:ro']}", "", "conf/app.conf"),
    "folder": ("{volumes: [./conf:/etc/app]}", "", "conf/deep/er.conf"),
    "variable": ("{volumes: ['${NONE:-${HERE:-./conf}}/app.conf:/c']}", "", "conf/app.conf"),
    "config": ("{configs: [one]}", "configs: {one: {file: conf/app.conf}}", "conf/app.conf"),
    "secret": (
        "{secrets: [{source: one, target: x}]}",
        "secrets: {one: {file: conf/app.conf}}",
        "conf/app.conf",
    ),
    "extends": ("{extends: {file: common/base.yaml, service: base}}", "", "common/below/app.conf"),
}
# Each way to have the environment WORD=before.
READ = {
    "env_file": ("{env_file: backend.env}", "", "backend.env"),
    "extends": ("{extends: {file: common/base.yaml, service: base}}", "", "common/base.yaml"),
    "its environment": ("{extends: {file: common/base.yaml, service: base}}", "", "common/base.env"),
    "include": (
        "{environment: {WORD: before}, depends_on: [base]}",
        "include: [common/base.yaml]",
        "common/base.env",
    ),
    "variables of the project": ("{environment: {WORD: '$VALUE'}}", "", ".env"),
}
FILES = {
    "conf/app.conf": BEFORE,
    "conf/deep/er.conf": BEFORE,
    ".env": "HERE=./conf\nVALUE=before",
    "common/base.yaml": "services: {base: {image: i, volumes: [./below:/b], env_file: base.env}}",
    "common/below/app.conf": BEFORE,
    "common/base.env": "WORD=before",
    "backend.env": "WORD=before",
}


def _repository(sandbox: Sandbox) -> Path:
    return sandbox.target.application.repository


def _commit(sandbox: Sandbox, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = _repository(sandbox) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(_repository(sandbox), "add", "--all")
    git(_repository(sandbox), "commit", "--quiet", "--allow-empty", "--message", "more")
    return git(_repository(sandbox), "rev-parse", "HEAD")


def _known_good(sandbox: Sandbox, compose: str, files: dict[str, str] = FILES) -> str:
    """Make a commit with that compose file the known-good one, and then one with another compose file."""
    good = _commit(sandbox, {**files, "compose.yaml": compose})
    sandbox.save(facts(good))
    _commit(sandbox, {"compose.yaml": "services: {backend: {image: of-the-bad-one}}"})
    return good


def _compose(backend: str, besides: str = "") -> str:
    other = "{image: o, volumes: ['./conf/app.conf:/c']}"
    with_image = backend if "extends" in backend else backend.replace("{", "{image: i, ", 1)
    return f"{besides}\nservices:\n  backend: {with_image}\n  other: {other}\nvolumes: {{data: }}\n"


def _described(sandbox: Sandbox, commit: str) -> dict[str, Any]:
    with configuration_at(sandbox.target, commit, "backend") as (file,):
        backend: dict[str, Any] = json.loads(file.read_text())["services"]["backend"]
    return backend


@pytest.mark.parametrize("how", MOUNTED)
def test_what_is_mounted_from_the_working_copy_is_refused_where_it_changed(
    sandbox: Sandbox, how: str
) -> None:
    backend, besides, name = MOUNTED[how]
    good = _known_good(sandbox, _compose(backend, besides))
    plan_service(sandbox.target, "backend")
    with (_repository(sandbox) / name).open("a") as file:
        file.write(f"\n# {SINCE}")
    with pytest.raises(
        UsageProblem, match=f"configuration of backend.* changed since: {re.escape(name)}"
    ) as caught:
        plan_service(sandbox.target, "backend")
    assert f"rollback full {good}" in caught.value.hint
    # All of it is taken along by the other one.
    plan_full(sandbox.target, good)


@pytest.mark.parametrize("how", READ)
def test_what_compose_reads_is_the_commits(sandbox: Sandbox, how: str) -> None:
    backend, besides, name = READ[how]
    good = _known_good(sandbox, _compose(backend, besides))
    (_repository(sandbox) / name).write_text("WORD=since")
    status = git(_repository(sandbox), "status", "--short")
    plan_service(sandbox.target, "backend")
    assert _described(sandbox, good)["environment"] == {"WORD": "before"}
    assert git(_repository(sandbox), "status", "--short") == status


def test_what_the_service_does_not_mount_may_change(sandbox: Sandbox) -> None:
    override = _repository(sandbox).parent / "override.yaml"
    override.write_text("services: {backend: {volumes: ['./conf/deep:/c']}}")
    engine = sandbox.target.engine
    files = {"engine": engine.model_copy(update={"files": (*engine.files, override)})}
    sandbox.target = sandbox.target.model_copy(update=files)
    _known_good(sandbox, _compose("{volumes: ['./conf/app.conf:/c', '/labels', 'data:/l']}"))
    # What a later file mounts is in the place of this one.
    _commit(sandbox, {"conf/app.conf": SINCE, "backend.env": SINCE, "common/base.yaml": "{"})
    plan_service(sandbox.target, "backend")
    _commit(sandbox, {"conf/deep/er.conf": SINCE})
    with pytest.raises(UsageProblem, match=r"changed since: conf/deep/er\.conf"):
        plan_service(sandbox.target, "backend")


@pytest.mark.parametrize("gone", [True, False])
def test_a_file_that_is_gone_or_new_in_a_mounted_folder_is_a_change(sandbox: Sandbox, *, gone: bool) -> None:
    _known_good(sandbox, _compose("{volumes: [./conf:/c]}"))
    if gone:
        (_repository(sandbox) / "conf/app.conf").unlink()
    else:
        _commit(sandbox, {"conf/new.conf": SINCE})
    with pytest.raises(UsageProblem, match=rf"changed since: conf/{'app' if gone else 'new'}\.conf"):
        plan_service(sandbox.target, "backend")


def test_files_that_git_ignores_are_those_of_the_working_copy(sandbox: Sandbox) -> None:
    ignored = {"secrets/app.secret": "WORD=of-today", "key.secret": "k", ".env": "VALUE=of-today"}
    for name, text in ignored.items():
        (_repository(sandbox) / name).parent.mkdir(exist_ok=True)
        (_repository(sandbox) / name).write_text(text)
    compose = _compose(
        "{env_file: [secrets/app.secret], environment: {V: $VALUE}, secrets: [one], volumes: ['./none:/n']}",
        "secrets: {one: {file: key.secret}}",
    )
    good = _known_good(sandbox, compose, {".gitignore": "*.secret\n.env\n"})
    plan_service(sandbox.target, "backend")
    assert _described(sandbox, good)["environment"] == {"WORD": "of-today", "V": "of-today"}
    (_repository(sandbox) / "secrets/app.secret").unlink()
    with pytest.raises(UsageProblem, match="expected files that compose reads, and all that they refer to"):
        plan_service(sandbox.target, "backend")


def test_a_service_is_created_by_the_commits_files_with_paths_of_the_working_copy(sandbox: Sandbox) -> None:
    backend = "{volumes: [./conf:/c], env_file: backend.env, healthcheck: {test: 'a $$b'}}"
    good = _known_good(sandbox, _compose(backend))
    (_repository(sandbox) / "backend.env").write_text("WORD=since")
    seen: list[dict[str, Any]] = []

    def up(*_: object, files: tuple[Path, ...], **__: object) -> None:
        (file,) = files
        seen.append(json.loads(file.read_text())["services"]["backend"])

    sandbox.control.recreate.side_effect = up
    incident = sandbox.new_incident()
    plan = plan_service(sandbox.target, "backend")
    assert plan.commit == good
    sandbox.run(plan, incident)
    (described,) = seen
    assert described["environment"] == {"WORD": "before"}
    assert described["volumes"][0]["source"] == str(_repository(sandbox) / "conf")
    assert described["healthcheck"]["test"][-1] == "a $$b"


def test_a_compose_file_that_compose_refuses_is_refused(sandbox: Sandbox) -> None:
    good = _known_good(sandbox, "services: {backend: [}")
    with pytest.raises(UsageProblem, match="compose files of commit"):
        plan_service(sandbox.target, "backend")
    # It is no reason not to leave a release whose files are broken.
    plan_full(sandbox.target, good)
