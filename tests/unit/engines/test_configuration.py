"""The configuration of a service as a commit has it: and where it cannot have that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from rollproof.errors import UsageProblem
from rollproof.incident.incident import new_incident
from rollproof.planning.configuration import (
    configuration_at,
    entries,
    interpolated,
    read_document,
    said_by,
    with_environment,
)
from rollproof.planning.plan import plan_full, plan_service
from tests.unit.sandbox import Releases, Sandbox, facts, git, make_rollable
from tests.unit.saved_baseline import save_baseline

BEFORE, SINCE = "of the known-good commit", "of the bad one"
# Each way to refer to files that the service needs as they were: a compose file, and what it refers to.
STANDING = {
    "bind, short": ("{volumes: [data:/d, './conf/app.conf:/etc/app.conf:ro']}", "", "conf/app.conf"),
    "bind, long": ("{volumes: [{type: bind, source: conf/app.conf, target: /c}]}", "", "conf/app.conf"),
    "folder": ("{volumes: [./conf:/etc/app]}", "", "conf/deep/er.conf"),
    "variable": ("{volumes: ['${NONE:-${HERE:-./conf}}/app.conf:/c']}", "", "conf/app.conf"),
    "config": ("{configs: [one]}", "configs: {one: {file: conf/app.conf}}", "conf/app.conf"),
    "secret": (
        "{secrets: [{source: one, target: x}]}",
        "secrets: {one: {file: ./conf/app.conf}}",
        "conf/app.conf",
    ),
    "dollar": ("{volumes: ['./conf/$$A.conf:/c']}", "", "conf/$A.conf"),
    "label_file": ("{label_file: [labels]}", "", "labels"),
    "merged": ("{<<: *common}", "x-common: &common {volumes: [./conf:/c]}", "conf/app.conf"),
    "extends in the same file": ("{extends: other}", "", "conf/app.conf"),
    "extends": ("{extends: {file: common/base.yaml, service: base}}", "", "common/base.yaml"),
    "mounted by what it extends": (
        "{extends: {file: common/base.yaml, service: base}}",
        "",
        "common/below/app.conf",
    ),
    "environment of what it extends": (
        "{extends: {file: common/base.yaml, service: base}}",
        "",
        "common/base.env",
    ),
    "include": ("{image: i}", "include: [common/base.yaml]", "common/base.yaml"),
    "include, long": (
        "{image: i}",
        "include: [{path: [common/base.yaml], env_file: labels}]",
        "labels",
    ),
    "variables of the project": ("{image: '$TAG'}", "", ".env"),
}
FILES = {
    "conf/app.conf": BEFORE,
    "conf/deep/er.conf": BEFORE,
    "conf/$A.conf": BEFORE,
    "labels": "a: b",
    ".env": "HERE=./conf",
    "common/base.yaml": "services: {base: {image: i, volumes: [./below:/b], env_file: base.env}}",
    "common/below/app.conf": BEFORE,
    "common/base.env": "WORD=before",
    "backend.env": "WORD=before",
}


@pytest.fixture
def sandbox(tmp_path: Path, releases: Releases, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    return make_rollable(tmp_path, releases, monkeypatch)


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
    save_baseline(sandbox.target.folders.baselines, sandbox.target.name, facts(good))
    _commit(sandbox, {"compose.yaml": "services: {backend: {image: of-the-bad-one}}"})
    return good


def _compose(backend: str, besides: str = "") -> str:
    other = "{image: o, volumes: ['./conf/app.conf:/c']}"
    return f"{besides}\nservices:\n  backend: {backend}\n  other: {other}\nvolumes: {{data: }}\n"


@pytest.mark.parametrize("how", STANDING)
def test_what_compose_would_take_from_the_working_copy_is_refused_where_it_changed(
    sandbox: Sandbox, how: str
) -> None:
    backend, besides, name = STANDING[how]
    good = _known_good(sandbox, _compose(backend, besides))
    plan_service(sandbox.target, "backend")
    with (_repository(sandbox) / name).open("a") as file:
        file.write(f"\n# {SINCE}")
    for _ in range(2):
        with pytest.raises(
            UsageProblem, match=f"configuration of backend.* changed since: {re.escape(name)}"
        ) as caught:
            plan_service(sandbox.target, "backend")
        assert f"rollback full {good}" in caught.value.hint
        # All of it is taken along by the other one; committed or not makes no difference.
        plan_full(sandbox.target, good)
        git(_repository(sandbox), "commit", "--quiet", "--all", "--allow-empty", "--message", "m")


def test_what_the_service_does_not_refer_to_may_change(sandbox: Sandbox) -> None:
    backend = "{volumes: ['./conf/app.conf:/c', '/labels', 'labels:/l'], environment: {env_file: labels}}"
    override = "services: {backend: {volumes: ['./conf/deep:/c']}}"
    other = _repository(sandbox).parent / "override.yaml"
    other.write_text(override)
    engine = sandbox.target.engine
    files = {"engine": engine.model_copy(update={"files": (*engine.files, other)})}
    sandbox.target = sandbox.target.model_copy(update=files)
    _known_good(sandbox, _compose(backend, "secrets: {one: {file: labels}}"))
    # What a later file mounts is in the place of this one; the others are another service's, or no files.
    _commit(sandbox, {"conf/app.conf": SINCE, "labels": SINCE, "backend.env": SINCE, "common/base.yaml": "{"})
    plan_service(sandbox.target, "backend")
    _commit(sandbox, {"conf/deep/er.conf": SINCE})
    with pytest.raises(UsageProblem, match=r"changed since: conf/deep/er\.conf"):
        plan_service(sandbox.target, "backend")


def _linked(path: Path, content: Path | str) -> None:
    if path.is_symlink() or path.exists():
        path.unlink()
    if isinstance(content, Path):
        path.symlink_to(content)
    else:
        path.write_text(content)


@pytest.mark.parametrize(
    ("before", "since"),
    [(Path("one.env"), Path("two.env")), (Path("one.env"), "A=2"), ("A=1", Path("two.env"))],
    ids=["another link", "a file now", "a link now"],
)
@pytest.mark.parametrize("name", ["backend.env", "compose.yaml"])
def test_a_link_that_leads_elsewhere_now_is_refused(
    sandbox: Sandbox, name: str, before: Path | str, since: Path | str
) -> None:
    repository, texts = _repository(sandbox), {"compose.yaml": _compose("{env_file: backend.env}")}
    texts |= {"one.env": texts.get(name, "A=1")}
    _commit(sandbox, texts)
    _linked(repository / name, texts["one.env"] if before == "A=1" else before)
    good = _commit(sandbox, {})
    save_baseline(sandbox.target.folders.baselines, sandbox.target.name, facts(good))
    # Of a link that leads where it led, what is there is the commit's.
    (repository / name).write_text("services: {}" if name == "compose.yaml" else "A=of-today")
    plan_service(sandbox.target, "backend")
    _linked(repository / name, since)
    _commit(sandbox, {"two.env": "A=2"})
    with pytest.raises(UsageProblem, match=f"changed since: {name}"):
        plan_service(sandbox.target, "backend")


@pytest.mark.parametrize("since", ["conf-2", None], ids=["another folder", "a folder of its own"])
def test_a_linked_folder_above_what_is_mounted_is_looked_at(sandbox: Sandbox, since: str | None) -> None:
    link = _repository(sandbox) / "current"
    link.symlink_to("conf-1")
    files = {"conf-1/app.conf": "c", "conf-2/app.conf": "c"}
    _known_good(sandbox, _compose("{volumes: ['./current/app.conf:/c']}"), files)
    plan_service(sandbox.target, "backend")
    link.unlink()
    if since is None:
        _commit(sandbox, {"current/app.conf": SINCE})
    else:
        link.symlink_to(since)
    with pytest.raises(UsageProblem, match="changed since: current"):
        plan_service(sandbox.target, "backend")


def test_links_in_a_circle_end(sandbox: Sandbox) -> None:
    (_repository(sandbox) / "a").symlink_to("a")
    _known_good(sandbox, _compose("{volumes: ['./a:/a']}"))
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


def test_a_mounted_working_copy_is_changed_as_a_whole(sandbox: Sandbox) -> None:
    _known_good(sandbox, _compose("{volumes: [.:/app, /:/host]}"))
    _commit(sandbox, {"app.py": SINCE})
    with pytest.raises(UsageProblem, match=r"changed since: app\.py, compose\.yaml"):
        plan_service(sandbox.target, "backend")


def test_secrets_that_git_ignores_are_those_of_the_working_copy(sandbox: Sandbox) -> None:
    files = {".gitignore": "*.secret\n.env\n", "none": ""}
    compose = _compose("{env_file: [app.secret], secrets: [one], volumes: ['./nowhere:/n']}")
    (_repository(sandbox) / ".env").write_text("A=b")
    good = _known_good(sandbox, f"secrets: {{one: {{file: key.secret}}}}\n{compose}", files)
    for name in ("app.secret", "key.secret", ".env"):
        (_repository(sandbox) / name).write_text("WORD=of-today")
    plan_service(sandbox.target, "backend")
    with configuration_at(sandbox.target, good, "backend") as (file,):
        assert file.read_text() == git(_repository(sandbox), "show", f"{good}:compose.yaml") + "\n"


@pytest.mark.parametrize("form", ["backend.env", "[labels, './backend.env']", "[{path: backend.env}]"])
@pytest.mark.parametrize("gone", [False, True])
def test_an_environment_file_is_the_commits(sandbox: Sandbox, form: str, *, gone: bool) -> None:
    good = _known_good(
        sandbox,
        _compose(
            f"{{<<: *common, ports: !override ['22:22'], env_file: {form}}}",
            "x-common: &common {environment: {env_file: backend.env, A: '01'}}",
        ),
    )
    path = _repository(sandbox) / "backend.env"
    if gone:
        path.unlink()
    else:
        path.write_text("WORD=since")
    seen: list[tuple[str, str]] = []

    def up(*_: object, files: tuple[Path, ...], **__: object) -> None:
        (file,) = files
        backend = said_by(read_document(file, "it"))["services"]["backend"]
        name = entries(backend["env_file"])[-1]
        seen.append((Path(name["path"] if isinstance(name, dict) else name).read_text(), file.read_text()))
        assert backend["environment"] == {"env_file": "backend.env", "A": "01"}

    sandbox.control.up.side_effect = up
    incident = new_incident(sandbox.target.folders.incidents, sandbox.target.name)
    plan = plan_service(sandbox.target, "backend")
    assert plan.commit == good
    sandbox.run(plan, incident)
    ((words, text),) = seen
    assert words == "WORD=before"
    assert "!override" in text
    assert "22:22" in text
    # The working copy stays where it is.
    assert path.exists() is not gone
    assert not gone or git(_repository(sandbox), "status", "--short") == "D backend.env"


def test_what_compose_reads_of_another_service_is_there(sandbox: Sandbox) -> None:
    """Compose creates one service, and wants the files of all of them."""
    besides = "{image: o, env_file: [labels, of-other.env]}"
    text = _compose("{image: i}").replace("services:\n", f"services:\n  besides: {besides}\n")
    good = _known_good(sandbox, text, {**FILES, "of-other.env": "A=b"})
    for name in ("of-other.env", "labels"):
        (_repository(sandbox) / name).write_text(SINCE)
    with configuration_at(sandbox.target, good, "backend") as (file,):
        assert file.read_text() == text
    (_repository(sandbox) / "of-other.env").unlink()
    plan_service(sandbox.target, "backend")
    with configuration_at(sandbox.target, good, "backend") as (file,):
        labels, path = said_by(read_document(file, "it"))["services"]["besides"]["env_file"]
        assert (labels, Path(path).read_text()) == ("labels", "A=b")


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ("{extends: {file: common/base.yaml, service: base}}", "common/base.yaml"),
        ("{label_file: labels}", "labels"),
    ],
)
def test_a_file_of_another_service_that_is_gone_is_refused(sandbox: Sandbox, other: str, name: str) -> None:
    text = _compose("{image: i}").replace("services:\n", f"services:\n  besides: {other}\n")
    _known_good(sandbox, text)
    _commit(sandbox, {name: SINCE})
    plan_service(sandbox.target, "backend")
    (_repository(sandbox) / name).unlink()
    with pytest.raises(UsageProblem, match=f"changed since: {name}"):
        plan_service(sandbox.target, "backend")


def test_an_unchanged_environment_file_leaves_the_compose_file_as_it_is(sandbox: Sandbox) -> None:
    text = _compose("{env_file: backend.env}  # as it was")
    good = _known_good(sandbox, text)
    with configuration_at(sandbox.target, good, "backend") as (file,):
        assert file.read_text() == text


def test_a_compose_file_that_contains_itself_is_refused(sandbox: Sandbox) -> None:
    _known_good(sandbox, "x: &x {x: *x}\nservices: {backend: {image: i}}")
    with pytest.raises(UsageProblem, match="expected a document of YAML, observed RecursionError"):
        plan_service(sandbox.target, "backend")


def test_a_compose_file_that_is_no_yaml_is_refused(sandbox: Sandbox) -> None:
    _known_good(sandbox, "services: {backend: [}")
    with pytest.raises(
        UsageProblem, match=r"expected a document of YAML, observed ParserError .*compose\.yaml"
    ):
        plan_service(sandbox.target, "backend")


def test_a_rewritten_document_says_the_same() -> None:
    text = """
x-one: &one {restart: "no", command: [a, "true", 'b: c']}
services:
  backend:
    <<: [*one, {restart: always}]
    env_file: [old.env]
    ports: !override ["8090:8090", 22:22]
    build: !reset null
    healthcheck: {test: "a $$b", interval: 5s, retries: 0x10, on: yes}
    command: |
      several
      lines é
"""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    before = said_by(root)
    after = with_environment(root, {"old.env": Path("/new.env")})
    again = yaml.compose(after, Loader=yaml.SafeLoader)
    before["services"]["backend"]["env_file"] = ["/new.env"]
    assert said_by(again) == before
    assert before["services"]["backend"]["restart"] == "no"
    assert 'restart: "no"' in after or "restart: 'no'" in after
    assert [tag for tag in ("!override", "!reset") if tag in after] == ["!override", "!reset"]
    assert "é" in after


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("$A/b", "a/b"),
        ("${A}/b", "a/b"),
        ("$NONE/b", "/b"),
        ("${EMPTY:-x}${EMPTY-y}${NONE-z}", "xz"),
        ("${NONE:-${A}}", "a"),
        ("${A:+x}${NONE:+y}${A:?must}", "xa"),
        ("$SELF", "$SELF"),
        ("a$$b", "a$b"),
        ("${NONE:-a$$A}", "a$A"),
    ],
)
def test_variables_stand_for_what_compose_puts_in_their_places(text: str, said: str) -> None:
    assert interpolated(text, {"A": "a", "EMPTY": "", "SELF": "$SELF"}) == said
