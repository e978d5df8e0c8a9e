"""Images are built once for each content, and the fallback from MySQL to MariaDB is said."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rollproof.errors import Problem
from staging.stack import store_images as module
from staging.stack.store_images import STORES, Images, Recipe

FOLDERS = ("base", "mariadb", *STORES)


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    """A folder of recipes, each of one file."""
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(f"FROM {name}\n")
    return tmp_path


class Docker:
    """Takes the place of the docker command: remembers the tags and contents that were built."""

    def __init__(self) -> None:
        self.built: dict[str, str] = {}
        self.folders: list[str] = []
        self.broken: set[str] = set()
        self.lock = threading.Lock()

    def run(self, arguments: Sequence[str], **_: object) -> str:
        """Answer one command as docker would."""
        with self.lock:
            if arguments[1] == "build":
                folder = Path(arguments[-1]).name
                if folder in self.broken:
                    raise Problem(
                        what="build", expected="0", observed=f"{folder} broke", source="log", hint="no"
                    )
                options = dict(option.split("=", 1) for option in arguments[2:-1])
                self.built[options["--tag"]] = options["--label"].removeprefix("rollproof.content=")
                self.folders.append(folder)
                return ""
            if "--format={{.ID}} {{.Repository}}" in arguments:
                return "".join(f"{tag} {tag}\n" for tag in self.built)
            if arguments[2] == "inspect":
                return "".join(f"{self.built[tag]}\n" for tag in arguments[4:])
            return "present\n"


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Docker:
    fake = Docker()
    monkeypatch.setattr(module, "run", fake.run)
    monkeypatch.delenv("ROLLPROOF_MYSQL", raising=False)
    return fake


def build(recipes: Path) -> list[str]:
    said: list[str] = []
    Images(recipes, recipes / "ca.crt").build(said.append)
    return said


def touch(folder: Path) -> None:
    (folder / "more").write_text("")


def make_executable(folder: Path) -> None:
    (folder / "Dockerfile").chmod(0o755)


def append(folder: Path) -> None:
    with (folder / "Dockerfile").open("a") as file:
        file.write(" ")


@pytest.mark.parametrize("change", [touch, make_executable, append])
def test_every_change_is_another_content(recipes: Path, change: Callable[[Path], None]) -> None:
    before = Recipe.of("redis", recipes / "redis", "base")
    change(recipes / "redis")
    assert Recipe.of("redis", recipes / "redis", "base").content != before.content


def test_the_foundation_counts_and_compiled_python_does_not(recipes: Path) -> None:
    folder = recipes / "redis"
    before = Recipe.of("redis", folder, "base")
    assert Recipe.of("redis", folder, "another base").content != before.content
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "it.pyc").write_text("")
    assert Recipe.of("redis", folder, "base") == before


def test_each_image_is_built_once(recipes: Path, docker: Docker) -> None:
    build(recipes)
    assert sorted(docker.folders) == sorted({*FOLDERS} - {"mariadb"})
    docker.folders.clear()
    assert build(recipes) == []
    assert docker.folders == []


def test_a_changed_recipe_is_built_again(recipes: Path, docker: Docker) -> None:
    build(recipes)
    docker.folders.clear()
    touch(recipes / "qdrant")
    build(recipes)
    assert docker.folders == ["qdrant"]


def test_mariadb_takes_the_place_of_a_mysql_that_cannot_be_built(recipes: Path, docker: Docker) -> None:
    docker.broken = {"mysql"}
    said = build(recipes)
    assert "mariadb" in docker.folders
    assert any("MySQL could not be built" in line and "mysql broke" in line for line in said)
    # It is said at every run, and MySQL is not tried over and over.
    assert build(recipes) == ["mysql: MariaDB answers to this name"]


def test_mysql_that_was_asked_for_is_not_replaced(
    recipes: Path, docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLPROOF_MYSQL", "mysql")
    docker.broken = {"mysql"}
    with pytest.raises(Problem, match="mysql broke"):
        build(recipes)
    assert "mariadb" not in docker.folders


def test_mariadb_can_be_asked_for(recipes: Path, docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    build(recipes)
    monkeypatch.setenv("ROLLPROOF_MYSQL", "mariadb")
    assert "mysql: MariaDB answers to this name" in build(recipes)
    assert docker.folders[-1] == "mariadb"


def test_another_server_is_refused(recipes: Path, docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLPROOF_MYSQL", "oracle")
    with pytest.raises(Problem, match="expected mysql or mariadb, observed oracle"):
        build(recipes)
    assert "mysql" not in docker.folders


def test_one_broken_build_ends_the_whole(recipes: Path, docker: Docker) -> None:
    docker.broken = {"milvus"}
    with pytest.raises(Problem, match="milvus broke"):
        build(recipes)
