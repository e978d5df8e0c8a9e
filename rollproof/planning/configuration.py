"""A commit's configuration, as compose reads it in a checkout of its own; the working copy is not touched.

In that checkout, links stand for the files that git does not track, such as a file of secrets: these are the
working copy's. What a container mounts stays where it is, and has to be as the commit has it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rollproof.engines.compose_project import ComposeProject
from rollproof.errors import ActionFailed, UsageProblem, listed
from rollproof.git.repository import checked_out, git, top_of
from rollproof.home import typed
from rollproof.profile.profile import Target
from rollproof.system.command import Deadline

Answer = TypeVar("Answer")
_SECONDS = 60.0
_SHOWN = 5


def require_configuration(target: Target, commit: str, service: str) -> None:
    """Check that `service` can be created as `commit` configures it, while the working copy is elsewhere."""
    with _checkout(target, commit) as checkout:
        changed = checkout.changed(_mounted(json.loads(checkout.configuration(service)), service))
    if changed:
        raise UsageProblem(
            what=f"configuration of {service}",
            expected=f"what it mounts as in commit {commit[:12]}",
            observed=f"changed since: {listed(changed, _SHOWN)}",
            source=str(target.application.repository),
            hint=f"a full rollback changes the working copy too: {typed(f'rollback full {commit}')}",
        )


@contextmanager
def configuration_at(target: Target, commit: str, service: str) -> Iterator[tuple[Path, ...]]:
    """Yield a compose file that describes `service`, and what it depends on, as `commit` does."""
    with tempfile.TemporaryDirectory(prefix="rollproof-") as folder:
        file = Path(folder) / "compose.json"
        with _checkout(target, commit) as checkout:
            text = checkout.configuration(service)
            file.write_text(text.replace(str(checkout.tree), str(checkout.top)), encoding="utf-8")
        yield (file,)


def services_at(target: Target, commit: str) -> frozenset[str]:
    """Return the services that the compose files describe at `commit`."""
    with _checkout(target, commit) as checkout:
        return checkout.ask(lambda project: project.described(deadline=_SECONDS))


@dataclass(frozen=True, slots=True)
class _Checkout:
    """The files of `commit` in the folder `tree`, in place of the working copy `top`."""

    target: Target
    commit: str
    top: Path
    tree: Path

    def configuration(self, *services: str) -> str:
        """Return what compose reads of `services`, as its JSON; paths are below `tree`."""
        return self.ask(lambda project: project.configuration(Deadline(_SECONDS), *services))

    def ask(self, question: Callable[[ComposeProject], Answer]) -> Answer:
        """Return compose's answer about the commit's files; raises `UsageProblem` if it refuses them."""
        engine = self.target.engine
        files = tuple(self._in_tree(file) for file in engine.files)
        variables = self._in_tree(engine.env_file) if engine.env_file else None
        project = ComposeProject(engine.model_copy(update={"files": files, "env_file": variables}))
        try:
            return question(project)
        except ActionFailed as refused:
            raise UsageProblem(
                what=f"compose files of commit {self.commit[:12]}",
                expected="files that compose reads, and all that they refer to",
                observed=refused.observed,
                source=", ".join(map(str, engine.files)),
                hint="see why, in a copy of that commit with the files that git ignores:"
                " docker compose config --quiet",
            ) from None

    def changed(self, mounted: Iterable[Path]) -> list[str]:
        """Return the tracked files at or below `mounted`, in `tree`, that differ in the working copy."""
        names = list[str]()
        for path in mounted:
            # A link, or one above, may lead elsewhere now: then the link differs, or what it leads to.
            links = [above for above in path.parents if above.is_symlink()]
            for place in (path, *links, Path(os.path.realpath(path))):
                root = next((one for one in (self.tree, self.top) if place.is_relative_to(one)), None)
                if root is not None:
                    names.append(f":(literal){place.relative_to(root)}")
        if not names:
            return []
        # The same output whatever tools and looks the user has configured.
        plain = ("--name-only", "-z", "--no-renames", "--no-ext-diff", "--ignore-submodules=none")
        found = git(self.top, "--no-optional-locks", "diff", *plain, self.commit, "--", *names)
        return [name for name in found.split("\0") if name]

    def _in_tree(self, path: Path) -> Path:
        there = path.parent.resolve() / path.name
        return self.tree / there.relative_to(self.top) if there.is_relative_to(self.top) else path


@contextmanager
def _checkout(target: Target, commit: str) -> Iterator[_Checkout]:
    top = top_of(target.application.repository).resolve()
    with checked_out(top, commit) as tree:
        for name in git(top, "ls-files", "--others", "--directory", "-z").split("\0"):
            place = tree / name.rstrip("/")
            if name and not os.path.lexists(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(top / name)
        yield _Checkout(target, commit, top, tree)


def _mounted(configuration: Mapping[str, Any], service: str) -> Iterator[Path]:
    """Yield the files and folders of this host that `service` mounts."""
    described = configuration["services"][service]
    for volume in described.get("volumes") or ():
        if volume["type"] == "bind":
            yield Path(volume["source"])
    for kind in ("configs", "secrets"):
        for use in described.get(kind) or ():
            if file := configuration[kind][use["source"]].get("file"):
                yield Path(file)
