"""Finds out what a rollback goes back from, before it changes anything."""

from __future__ import annotations

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import Problem
from fixtures.git import head
from fixtures.origin import Origin, is_commit_id
from fixtures.target import Target


def origin_of(target: Target, engine: ContainerEngine) -> Origin | None:
    """Return what is deployed now, None where git or the engine cannot tell.

    Never a reason not to roll back: what is not known keeps the gate of the next migration closed instead.
    """
    try:
        commit = head(target.application.repository)
        found = engine.containers()
    except Problem:
        return None
    labels = {container.revision for name in target.application.services for container in found.get(name, ())}
    return Origin(commit, tuple(sorted(label for label in labels if label and is_commit_id(label))))
