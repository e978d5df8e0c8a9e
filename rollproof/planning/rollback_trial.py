"""A rollback to the running version, tried as far as possible without changing anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from rollproof.backups.images import images_to_load
from rollproof.baseline.folder import Baseline
from rollproof.engines.compose_project import ComposeProject
from rollproof.engines.engine import open_engine
from rollproof.errors import ActionFailed, Problem
from rollproof.git.repository import head
from rollproof.incident.rehearsals import PartTrial, RollbackPart
from rollproof.planning.configuration import services_at
from rollproof.planning.foresight import foresee, not_judged, problems
from rollproof.planning.plan import Plan, images_in, plan_emergency
from rollproof.planning.refusals import Allowed, Asked, refusals
from rollproof.planning.unfinished import refuse_unfinished
from rollproof.profile.data_formats import Fit
from rollproof.profile.profile import Target

SECONDS = 60.0


class RollbackTrial:
    """The parts of an emergency rollback to the commit that the working copy is on, each tried by itself."""

    def __init__(self, target: Target, baseline: Baseline) -> None:
        """Try nothing yet; `baseline` knows the images."""
        self._target = target
        self._baseline = baseline
        self._project = ComposeProject(target.engine)

    def of(self, part: RollbackPart) -> PartTrial:
        """Return the result of `part`."""
        parts: Mapping[RollbackPart, Callable[[], str]] = {
            RollbackPart.PLAN: self._plan,
            RollbackPart.IMAGES: self._images,
            RollbackPart.COMPOSE_FILES: self._compose_files,
            RollbackPart.FORESIGHT: self._foresight,
            RollbackPart.REFUSALS: self._refusals,
        }
        try:
            return PartTrial(part, parts[part]())
        except Problem as problem:
            return PartTrial(part, problem=problem)

    @cached_property
    def _commit(self) -> str:
        return head(self._target.application.repository)

    @cached_property
    def _planned(self) -> Plan:
        return plan_emergency(self._target, self._commit)

    def _plan(self) -> str:
        plan = self._planned
        backup = plan.backup.folder.name if plan.backup else "no backup"
        return f"{plan.request}: {len(plan.images)} services and {len(plan.stores)} stores, from {backup}"

    def _images(self) -> str:
        images = images_in(self._baseline, self._target.application.services)
        gone = images_to_load(self._target.folders.backups, images, self._project, deadline=SECONDS)
        kept = f"; {gone} of them in the backup alone" if gone else ""
        return f"{len(set(images.values()))} images of {len(images)} services are there, by id{kept}"

    def _compose_files(self) -> str:
        files, services = self._target.engine.files, self._target.application.services
        described = services_at(self._target, self._commit)
        if missing := [name for name in services if name not in described]:
            raise ActionFailed(
                what=f"compose files at {self._commit[:12]}",
                expected=f"the services {', '.join(services)}",
                observed=f"none called {', '.join(missing)}",
                source=", ".join(map(str, files)),
                hint="correct engine.files or application.services in the profile",
            )
        return f"{len(files)} compose files at {self._commit[:12]} describe {len(described)} services"

    def _foresight(self) -> str:
        """Return what fits after the rollback, and what is not judged; raise the first refusal."""
        foreseen = foresee(self._target, self._planned, open_engine(self._target.engine))
        for problem in problems(foreseen):
            raise problem
        fitting = [one for one in foreseen if one.judgement.fit is Fit.FITS]
        words = [f"{one.what}: {one.judgement.reason}" for one in fitting]
        return "; ".join([*words, *not_judged(foreseen)]) or "nothing to judge"

    def _refusals(self) -> str:
        """Return that nothing would refuse the rollback now; raise the first refusal.

        A protected target's confirmation is taken as given.
        """
        target = self._target
        refuse_unfinished(target.folders.incidents, target.name)
        allowed = Allowed(confirm=target.name if target.protected else None)
        for refusal in refusals(Asked(target, self._planned, allowed)):
            raise refusal
        return "nothing would refuse it"
