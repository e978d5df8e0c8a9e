"""The stores' images: built from images/, once for each content.

Each image has a label with the hash of its sources. An image with a matching label is not built again, so a
warm run costs a single request to the engine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rollproof.errors import Problem
from rollproof.system.side_by_side import Workers
from staging.engine import install
from staging.processes import run

PREFIX = "rollproof-staging"
CONTENT_LABEL = "rollproof.content"
DEBIAN = "debian:trixie-slim"
BOOTSTRAPPED = f"{PREFIX}/debian"
STORES = ("mysql", "mongodb", "redis", "milvus", "qdrant", "minio", "kafka")
BUILDS_AT_ONCE = 4
BUILD_SECONDS = 900
PULL_SECONDS = 120
BOOTSTRAP_SECONDS = 300
ASK_SECONDS = 20
MYSQL_CHOICE = "ROLLPROOF_MYSQL"

Report = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """An image's recipe: its tag, its folder, and the hash of its content."""

    tag: str
    folder: Path
    content: str

    @classmethod
    def of(cls, tag: str, folder: Path, foundation: str) -> Recipe:
        """Return the recipe; its content covers all files of `folder`, their modes, and the `foundation`."""
        digest = hashlib.sha256(foundation.encode())
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                executable = os.access(path, os.X_OK)
                name = path.relative_to(folder)
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"\n{name} {executable} {content}".encode())
        return cls(f"{PREFIX}/{tag}", folder, digest.hexdigest())


@dataclass(frozen=True)
class Images:
    """The images of the stores under one folder of recipes."""

    recipes: Path
    certificates: Path

    def build(self, report: Report, stores: Collection[str] = STORES) -> None:
        """Build the images that are missing or out of date, and report the server that the name mysql means.

        Args:
            report: Is told of steps that take time.
            stores: The stores to build.

        Raises:
            Problem: An image could not be built; the message holds the last lines of its log.
        """
        base = Recipe.of("base", self.recipes / "base", DEBIAN)
        present = contents()
        if present.get(base.tag) != base.content:
            self._build_base(base, report)
        wanted = [self._store(store, base) for store in stores if store != "mysql"]
        missing = [recipe for recipe in wanted if present.get(recipe.tag) != recipe.content]
        # MySQL first: it takes longest.
        builds = [partial(self._build_mysql, base, present) for store in stores if store == "mysql"]
        builds += [partial(self._build, recipe) for recipe in missing]
        with Workers(BUILDS_AT_ONCE, "build") as workers:
            list(workers.merged(lambda build: [build(report, workers.stopped)], builds))

    def _store(self, store: str, base: Recipe, folder: str | None = None) -> Recipe:
        return Recipe.of(store, self.recipes / (folder or store), base.content)

    def _build_base(self, base: Recipe, report: Report) -> None:
        self._build(base, report, threading.Event(), {"DEBIAN": debian(report)})

    def _build_mysql(
        self, base: Recipe, present: Mapping[str, str], report: Report, cancelled: threading.Event
    ) -> None:
        """Build MySQL; build MariaDB instead if MySQL fails or MariaDB is asked for."""
        choice = os.environ.get(MYSQL_CHOICE, "")
        if choice not in {"", "mysql", "mariadb"}:
            raise Problem(
                what="database server",
                expected="mysql or mariadb",
                observed=choice,
                source=MYSQL_CHOICE,
                hint=f"unset {MYSQL_CHOICE} to get MySQL, or MariaDB when MySQL cannot be built",
            )
        mysql = self._store("mysql", base)
        mariadb = self._store("mysql", base, folder="mariadb")
        content = present.get(mysql.tag)
        if content == mysql.content and choice != "mariadb":
            return
        if content == mariadb.content and choice != "mysql":
            report("mysql: MariaDB answers to this name")
            return
        if choice != "mariadb":
            try:
                self._build(mysql, report, cancelled)
            except Problem as problem:
                if choice == "mysql" or cancelled.is_set():
                    raise
                report(f"mysql: MySQL could not be built, MariaDB takes its place\n{problem}")
            else:
                return
        self._build(mariadb, report, cancelled)
        report("mysql: MariaDB answers to this name")

    def _build(
        self,
        recipe: Recipe,
        report: Report,
        cancelled: threading.Event,
        arguments: Mapping[str, str] | None = None,
    ) -> None:
        report(f"building {recipe.tag} from {recipe.folder.name}")
        label = f"--label={CONTENT_LABEL}={recipe.content}"
        build_image(recipe.tag, recipe.folder, self.certificates, arguments or {}, label, cancelled=cancelled)


def build_image(
    tag: str,
    folder: Path,
    certificates: Path,
    arguments: Mapping[str, str],
    *options: str,
    cancelled: threading.Event | None = None,
) -> None:
    """Build the image `tag` from the Dockerfile in `folder`, which may trust `certificates`.

    Raises:
        Problem: it could not be built; the message holds the last lines of its log.
    """
    run(
        [
            "docker",
            "build",
            "--progress=plain",
            f"--tag={tag}",
            *options,
            f"--secret=id=ca,src={certificates}",
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            str(folder),
        ],
        seconds=BUILD_SECONDS,
        hint=f"mend {folder}/Dockerfile, or see that this machine reaches its package registries",
        environment={"DOCKER_BUILDKIT": "1"},
        cancelled=cancelled,
    )


def contents() -> dict[str, str]:
    """Return the content hash of every image built here, by its tag."""
    listed = run(
        [
            "docker",
            "image",
            "ls",
            f"--filter=label={CONTENT_LABEL}",
            "--filter=dangling=false",
            "--format={{.ID}} {{.Repository}}",
        ],
        seconds=ASK_SECONDS,
        hint="see that the Docker engine answers",
    )
    pairs = [line.split() for line in listed.splitlines()]
    if not pairs:
        return {}
    labels = run(
        ["docker", "image", "inspect", f'--format={{{{index .Config.Labels "{CONTENT_LABEL}"}}}}']
        + [identity for identity, _ in pairs],
        seconds=ASK_SECONDS,
        hint="see that the Docker engine answers",
    )
    return {tag: label for (_, tag), label in zip(pairs, labels.split(), strict=True)}


def debian(report: Report) -> str:
    """Return the tag of a Debian image: a present one, else pulled, else bootstrapped from a mirror."""
    for tag in (DEBIAN, BOOTSTRAPPED):
        if _has(tag):
            return tag
    report(f"pulling {DEBIAN}")
    try:
        run(["docker", "pull", "--quiet", DEBIAN], seconds=PULL_SECONDS, hint=f"load an image as {DEBIAN}")
    except Problem:
        report(f"{DEBIAN} cannot be pulled here: bootstrapping it from Debian's packages")
        bootstrap(BOOTSTRAPPED, report)
        return BOOTSTRAPPED
    return DEBIAN


def _has(tag: str) -> bool:
    listed = run(
        ["docker", "image", "ls", "--quiet", tag],
        seconds=ASK_SECONDS,
        hint="see that the Docker engine answers",
    )
    return bool(listed.strip())


def bootstrap(tag: str, report: Report) -> None:
    """Build a small Debian image with mmdebstrap, which is installed if missing.

    Raises:
        Problem: mmdebstrap could not be installed, failed, or timed out.
    """
    if shutil.which("mmdebstrap") is None:
        install("mmdebstrap", report=report)
    leave_out = [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "locale", "doc")]
    hint = f"see that apt-get works on this machine, or load an image as {DEBIAN}"
    with tempfile.TemporaryDirectory() as folder:
        archive = str(Path(folder) / "debian.tar")
        run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                '--aptopt=Acquire::Check-Valid-Until "false"',
                *leave_out,
                "--dpkgopt=path-include=/usr/share/doc/*/copyright",
                "trixie",
                archive,
            ],
            seconds=BOOTSTRAP_SECONDS,
            hint=hint,
        )
        run(["docker", "import", archive, tag], seconds=BOOTSTRAP_SECONDS, hint=hint)
