"""`rollproof init`: a profile from a compose project, and the questions that are left."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some

from rollproof.cli.command_line import main
from rollproof.errors import ExitCode
from rollproof.init.initial import texts_of
from rollproof.init.parts import Looked, parts_of
from rollproof.init.stack import ComposeFiles, stack_of
from rollproof.profile.mistakes import UNANSWERED
from rollproof.profile.profile import Target, load_target
from tests.conftest import ROOT
from tests.real_git import git

PROJECTS = Path(__file__).parent / "projects"
STAGING = ROOT / "staging"
SHAPES = {
    "staging": [STAGING / "compose.yaml", STAGING / "application/release1/compose.yaml"],
    "stranger": [
        STAGING / "compose.yaml",
        STAGING / "compose.stranger.yaml",
        STAGING / "application/release1/compose.yaml",
        STAGING / "application/stranger1/compose.stranger.yaml",
    ],
    **{name: [PROJECTS / f"{name}.yaml"] for name in ("renamed", "few", "built")},
}
Init = Callable[..., str]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The secrets of the staging stack, and the file of its environment."""
    (tmp_path / "secrets").mkdir()
    compose = (STAGING / "compose.yaml").read_text(encoding="utf-8")
    for name in re.findall(r"secrets/(\w+)", compose):
        (tmp_path / "secrets" / name).write_text(f"hunter2-of-{name}", encoding="utf-8")
    (tmp_path / "env").write_text(
        f"CA_BUNDLE=/dev/null\nSTAGING_STATE={tmp_path}\nAPPLICATION_DIR={STAGING}/application/release1\n",
        encoding="utf-8",
    )
    return tmp_path


@pytest.fixture
def init(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Init:
    """Run `init` in an empty folder; return all that it said."""
    (tmp_path / "here").mkdir()
    # A machine may be busy with other tests.
    monkeypatch.setattr("rollproof.init.stack._SECONDS", 280.0)

    def run(*words: object, code: ExitCode = ExitCode.VERIFIED) -> str:
        monkeypatch.chdir(tmp_path / "here")
        monkeypatch.setattr("sys.argv", ["rollproof", "init", *map(str, words)])
        assert main() is code
        said = capsys.readouterr()
        return said.out + said.err

    return run


def _files(shape: str, state: Path) -> list[str]:
    found = [f"--file={file}" for file in SHAPES[shape]]
    return found if shape in {"renamed", "few", "built"} else [*found, f"--env-file={state / 'env'}"]


def _loaded(profile: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    for name in re.findall(r'env = "([A-Z0-9_]+)"', profile.read_text(encoding="utf-8")):
        monkeypatch.setenv(name, "a-secret-of-the-test")
    return load_target(profile)


_EVERY = {
    "kafka": ("kafka", ("kafka-host", "kafka")),
    "milvus": ("milvus", ("milvus",)),
    "s3": ("s3", ("minio",)),
    "mongodb": ("mongodb", ("mongodb",)),
    "mysql": ("mysql", ("mysql",)),
    "qdrant": ("qdrant", ("qdrant",)),
    "redis": ("redis", ("redis",)),
}
_STAGING: dict[str, Any] = {
    "stores": _EVERY,
    "services": ("backend", "frontend", "nginx", "worker"),
    "writers": ("backend", "frontend", "worker"),
    "url": "http://127.0.0.1:8090/",
}
EXPECTED: dict[str, dict[str, Any]] = {
    "staging": _STAGING,
    "stranger": _STAGING | {"stores": _EVERY | {"kafka": ("kafka", ("kafka",)), "state": ("mounts", ())}},
    "renamed": {
        "stores": {
            "kafka": ("kafka", ("log",)),
            "s3": ("s3", ("objects",)),
            "mongodb": ("mongodb", ("documents",)),
            "mysql": ("mysql", ("db",)),
            "qdrant": ("qdrant", ("vectors",)),
            "redis": ("redis", ("cache",)),
            "state": ("mounts", ()),
        },
        "services": ("api", "web"),
        "writers": ("api",),
        "url": "http://127.0.0.1:8081/",
    },
    "few": {
        "stores": {
            "mysql": ("mysql", ("maria",)),
            "postgresql": ("postgresql", ("database",)),
            "redis": ("redis", ("sessions",)),
        },
        "services": ("api",),
        "writers": ("api",),
        "url": f"http://{UNANSWERED}.invalid/",
    },
    "built": {
        "stores": {
            "cache-a": ("redis", ("cache-a",)),
            "cache-b": ("redis", ("cache-b",)),
            "kafka": ("kafka", ("broker-1", "broker-2")),
            "milvus": ("milvus", ("milvus-standalone", "milvus-etcd", "milvus-minio")),
            "s3": ("s3", ("own-minio",)),
            "mysql": ("mysql", ("sql",)),
        },
        "services": ("backend", "cache-b-replica", "gateway"),
        "writers": ("backend", "cache-b-replica"),
        "url": f"http://{UNANSWERED}.invalid/",
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_profile_loads_and_has_every_part_of_the_project(
    shape: str, state: Path, init: Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = init(*_files(shape, state), "--output=first.toml")
    target = _loaded(Path("first.toml"), monkeypatch)
    expected = EXPECTED[shape]
    assert {name: (one.kind, one.services) for name, one in target.stores.items()} == expected["stores"]
    assert target.application.services == expected["services"]
    assert target.application.writers == expected["writers"]
    assert str(target.application.url) == expected["url"]
    if shape == "few":
        # The same project gives the same bytes, and a file that is there stays as it is.
        before = {file.name: file.read_bytes() for file in Path().iterdir()}
        assert "--force" in init(*_files(shape, state), "--output=first.toml", code=ExitCode.USAGE)
        init(*_files(shape, state), "--output=first.toml", "--force")
        assert {file.name: file.read_bytes() for file in Path().iterdir()} == before
    assert sorted(file.name for file in Path().iterdir()) == ["first.accounts.sh", "first.toml"]
    # What is asked is a key of the profile, or a variable that it names.
    text = Path("first.toml").read_text(encoding="utf-8")
    assert "hunter2" not in said + text + Path("first.accounts.sh").read_text(encoding="utf-8")
    asked = re.findall(r"^ +\d+\. (\S[^:]*):", said, re.MULTILINE)
    assert asked
    databases = {"mysql", "postgresql"} & {store.kind for store in target.stores.values()}
    assert ("application.migrations" in asked) == bool(databases)
    assert said.count(UNANSWERED) == 0
    assert text.count(f'"{UNANSWERED}"') == sum(
        f"{key.rpartition('.')[2]} = " in text and _unknown(text, key) for key in asked
    )
    subprocess.run(["sh", "-n", "first.accounts.sh"], check=True, timeout=60)


def _unknown(text: str, key: str) -> bool:
    table, _, name = key.rpartition(".")
    part = text.partition(f"\n[{table}]\n")[2].partition("\n[")[0]
    return re.search(rf'^{name} = \[?"{UNANSWERED}"', part, re.MULTILINE) is not None


def test_one_shots_brokers_and_secrets_are_told(
    state: Path, init: Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    init(*_files("stranger", state), "--output=it.toml")
    text = Path("it.toml").read_text(encoding="utf-8")
    unwrapped = " ".join(text.replace("#", "").split())
    assert "done their work: kafka-init, model-weights-init, pages-init, sandbox." in unwrapped
    target = _loaded(Path("it.toml"), monkeypatch)
    # One password for everybody, from the secret that the server's own command reads.
    redis = target.stores["redis"]
    assert redis.reader == redis.operator
    assert redis.reader is not None
    assert "redis_app" in text
    sweeper = target.application.canary.sweeper
    assert sweeper is not None
    assert sweeper.account == redis.reader


def test_statements_have_least_rights_and_no_password(state: Path, init: Init) -> None:
    init(*_files("renamed", state))
    text = Path("shop.accounts.sh").read_text(encoding="utf-8")
    for line in (
        "CREATE USER IF NOT EXISTS 'rollproof_reader'@'%' IDENTIFIED BY '${SHOP_MYSQL_READER_PASSWORD}';",
        r"GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON \`shop\\_main\`.* TO 'rollproof_reader'@'%';",
        "/*!80000 GRANT SHOW_ROUTINE, PROCESS ON *.* TO 'rollproof_reader'@'%' */;",
    ):
        assert line in text.splitlines()
    assert "/docker-entrypoint-initdb.d/50-rollproof.js." in text
    assert "rollproof_canary on resetpass >PASSWORD_OF_CANARY ~token:* ~user:canary" in text
    assert "readAnyDatabase" in text
    assert "mc admin policy attach here rollproof_reader" in text


def _sh(*words: str, programs: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the accounts' script with a docker that only shows what it is given, or runs it with `programs`."""
    bin_folder = Path("bin")
    bin_folder.mkdir(exist_ok=True)
    docker = bin_folder / "docker"
    runs = f'for last; do :; done\n{programs}\nsh -c "$last"' if programs else 'echo "ARGUMENTS $*"; cat'
    docker.write_text(f"#!/bin/sh\n{runs}\n", encoding="utf-8")
    docker.chmod(0o755)
    path = f"{bin_folder.absolute()}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "shop.accounts.sh", *words],
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_statements_get_passwords_by_standard_input_alone(state: Path, init: Init) -> None:
    init(*_files("renamed", state))
    secrets = {
        "SHOP_MYSQL_READER_PASSWORD": "of-the-reader",
        "SHOP_MYSQL_OPERATOR_PASSWORD": "of-the-operator",
    }
    ran = _sh("mysql", **secrets)
    assert ran.returncode == 0
    arguments, _, statements = ran.stdout.partition("\n")
    assert "exec -T db sh -c" in arguments
    assert "of-the-reader" not in arguments
    assert "IDENTIFIED BY 'of-the-reader';" in statements
    assert r"ON `shop\_main`.*" in statements
    assert ran.stderr == "not run, but remarks in this file, to read: kafka, qdrant, redis\n"
    lacking = _sh("mysql", **{name: one for name, one in secrets.items() if "READER" not in name})
    assert lacking.returncode != 0
    assert "SHOP_MYSQL_READER_PASSWORD: export it" in lacking.stderr


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """What compose says of a project with a secret in every place."""
    said = subprocess.run(
        ["docker", "compose", "--file", str(PROJECTS / "renamed.yaml"), "config", "--format", "json"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def _texts(stack: ComposeFiles, **seen: Any) -> tuple[str, str, list[str]]:  # noqa: ANN401 - fields of what was seen
    output = Path("shop.toml")
    return texts_of(Looked(stack, parts_of(stack), **seen), output, output.with_suffix(".accounts.sh"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=some.text(min_size=5, max_size=40))
def test_no_secret_of_the_environment_is_in_any_output(config: dict[str, Any], secret: str) -> None:
    text = json.dumps(config).replace("hunter2-of-", "@@-")
    for place in re.findall(r"@@-[a-z]+", text):
        text = text.replace(place, json.dumps(secret)[1:-1])
    harmless = _texts(stack_of(config, "shop", (), None))
    profile, accounts, lines = outputs = _texts(stack_of(json.loads(text), "shop", (), None))
    # The same words whatever the secrets are: there is no way from them into an output.
    assert outputs == harmless
    assume(secret not in "\n".join((harmless[0], harmless[1], *harmless[2])))
    assert all(secret not in one for one in (profile, accounts, *lines))


def test_what_a_running_project_tells_is_in_the_profile(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = stack_of(config, "shop", (), None)
    seen: dict[str, Any] = {
        "holdings": {
            "s3": {"buckets": ["b1", 'odd"\n[name]']},
            "redis": {"databases": [0, 1], "patterns": ["0:token:*"]},
        },
        "unseen": ("mysql",),
    }
    profile, _, lines = _texts(stack, **seen)
    (tmp_path / "it.toml").write_text(profile, encoding="utf-8")
    target = _loaded(tmp_path / "it.toml", monkeypatch)
    assert target.stores["s3"].model_dump()["buckets"] == ("b1", 'odd"\n[name]')
    assert (target.stores["redis"].policy, target.stores["mysql"].policy) == ({"*": "volatile"}, {})
    assert any("application.functions" in line for line in lines)
    assert any(line.startswith("not looked into: store mysql") for line in lines)


PUBLIC: dict[str, tuple[dict[str, tuple[str, ...]], tuple[str, ...], set[str]]] = {
    "dify": (
        {"postgresql": ("db_postgres",), "redis": ("redis",)},
        ("api:/app/api/storage", "plugin_daemon:/app/storage", "sandbox:/dependencies"),
        {"weaviate"},
    ),
    "langfuse": (
        {"postgresql": ("postgres",), "redis": ("redis",), "s3": ("minio",)},
        (),
        {"clickhouse"},
    ),
    "onyx": (
        {"postgresql": ("relational_db",), "redis": ("cache",), "s3": ("minio",)},
        (
            *("api_server:/app/file-system", "api_server:/var/log/onyx", "background:/var/log/onyx"),
            "inference_model_server:/app/.cache/huggingface",
        ),
        {"index", "opensearch"},
    ),
    "khoj": (
        {"postgresql": ("database",)},
        (
            *("computer:/home/operator", "search:/etc/searxng"),
            *("server:/root/.cache/torch/sentence_transformers", "server:/root/.khoj"),
        ),
        set(),
    ),
    "weknora": ({"postgresql": ("postgres",), "redis": ("redis",)}, ("app:/data/files",), set()),
    "open-webui": ({}, ("ollama:/root/.ollama", "open-webui:/app/backend/data"), set()),
    "surfsense": (
        {"postgresql": ("db",), "redis": ("redis",)},
        ("backend:/shared_tmp", "zero-cache:/data"),
        set(),
    ),
}
"""Of public applications: their stores, the mounts of their own files, and services of unknown kinds."""


@pytest.mark.parametrize("name", PUBLIC)
def test_public_applications_have_a_profile_that_names_what_it_lacks(
    name: str, init: Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = PROJECTS / f"public/{name}.env"
    more = [f"--env-file={environment}"] if environment.exists() else []
    said = init(f"--file={PROJECTS / 'public' / name}.yaml", *more)
    stores, held, unsupported = PUBLIC[name]
    found = dict(_loaded(Path(f"{name}.toml"), monkeypatch).stores)
    state = found.pop("state", None)
    assert {one: store.services for one, store in found.items()} == stores
    assert tuple(":".join(one) for one in state.mounts) == held if state else held == ()
    assert set(re.findall(r"^not supported: service (\S+)", said, re.MULTILINE)) == unsupported
    assert ("stores.state.held: " in said) == bool(held)


def test_folders_that_git_knows_and_files_are_no_state(tmp_path: Path) -> None:
    for name in ("code", "uploads"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "code")
    volumes = [
        {"type": "bind", "source": str(tmp_path / source), "target": f"/{number}", "read_only": closed}
        for number, (source, closed) in enumerate(
            [("code", False), ("code/file", False), ("uploads", True), ("uploads", False), ("new", False)]
        )
    ]
    volumes += [{"type": "volume", "target": "/nameless"}, {"type": "tmpfs", "target": "/tmp"}]  # noqa: S108
    config = {"services": {"api": {"build": {"context": str(tmp_path)}, "volumes": volumes}}}
    profile, _, _ = _texts(stack_of(config, "shop", (), None))
    assert 'held = ["api:/3", "api:/4"]' in profile


def test_files_that_compose_refuses_are_one_error_without_a_value(tmp_path: Path, init: Init) -> None:
    (tmp_path / "compose.yaml").write_text("services: {a: {image: 'hunter2${'}}", encoding="utf-8")
    said = init(f"--file={tmp_path / 'compose.yaml'}", code=ExitCode.USAGE)
    assert "compose files: expected files that compose can read" in said
    assert f"--file {tmp_path / 'compose.yaml'} --profile '*' config --quiet" in said
    assert "hunter2" not in said
    assert not list(Path().iterdir())
