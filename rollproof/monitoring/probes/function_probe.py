"""A probe of one function, as a user has it: the canary logs in, sees its files, and may ask its question.

Health endpoints and status codes do not tell of it: a stream that breaks is a 200 in the access log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from rollproof.application.canary import Canary, canary_in_use, longest_use
from rollproof.application.client import ApplicationClient
from rollproof.errors import Mismatch, Unverifiable
from rollproof.incident.samples import ProbeId, ProbeKind, Unreached
from rollproof.monitoring.probes.probe import COLLECTED, Probe, Reading, unreached_by
from rollproof.stores.references import follow_all
from rollproof.stores.registry import open_reader
from rollproof.system.clock import Moment
from rollproof.system.side_by_side import Opened, Question

if TYPE_CHECKING:
    import httpx2

    from rollproof.engines.engine import ContainerEngine
    from rollproof.profile.application_profile import Function
    from rollproof.profile.profile import Target


class FunctionProbe(Probe):
    """The function, asked at the profile's own rate; each beat has the last answer.

    What was not well, or nobody knows, as while a store is backed up, is asked again with the next beat.
    """

    id = ProbeId(ProbeKind.FUNCTION)

    def __init__(
        self,
        target: Target,
        function: Function,
        engine: ContainerEngine,
        deadline: float,
        *,
        question: Callable[[str, Callable[[], Reading]], Question[Reading]] = Question,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Ask nothing yet; `transport` None is the network."""
        self._target, self._function, self._engine, self._deadline = target, function, engine, deadline
        self._question = question(str(self.id), self._use)
        self._transport, self._sleep = transport, sleep
        self._last: Reading | None = None
        self._ended: Unverifiable | None = None

    def ask(self) -> Reading:
        """Ask if it is time to; return the newest answer."""
        question, function = self._question, self._function
        well = self._last is not None and self._last.ok
        due = not well or question.asked.seconds_ago() >= function.every_seconds
        if due and not question.waiting:
            question.start()
        question.wait(self._deadline * COLLECTED)
        if not question.waiting:
            self._last = None
            self._last = question.answer()
        elif question.asked.seconds_ago() >= longest_use(self._target.application, chat=function.chat):
            return Reading(False, f"no end since {question.asked.wall}", 1.0, unreached=Unreached.SILENT)
        if self._last is None:
            raise question.unanswered("none yet")
        return self._last

    def _use(self) -> Reading:
        """Use the function once, unless checks use the canary now: then the last answer stays."""
        if self._ended is not None:
            raise self._ended
        with canary_in_use(self._target, alone=True, seconds=0.0) as ours:
            if not ours:
                if self._last is None:
                    raise self._question.unanswered("checks that use it")
                return self._last
            began = Moment.now()
            try:
                done = self._done()
            except Mismatch as refused:
                return Reading(False, refused.summary, 1.0)
            except Unverifiable as problem:
                unreached = unreached_by(problem, self.id.kind)
                if unreached is None:
                    raise
                return Reading(False, problem.summary, 1.0, unreached=unreached)
        wrong = "; ".join(f"{name}: {said}" for name, said in done.items() if said)
        return Reading(
            not wrong, wrong or f"{', '.join(done)}, in {began.seconds_ago():.1f} s", float(bool(wrong))
        )

    def _done(self) -> Mapping[str, str]:
        """Use the function; return what was done, each with what is wrong with it, and leave no trace."""
        application, target = self._target.application, self._target
        wanted, client = application.canary, ApplicationClient(application, self._transport)
        with Opened(lambda name: open_reader(name, target.stores[name], self._engine)) as views:
            follow = partial(follow_all, wanted.references, views, target.personal)
            canary = Canary(target, self._engine, client, follow, sleep=self._sleep)
            done = {"log-in": ""}
            described = application.functions.described()
            try:
                session, there = canary.log_in(), True
                if "documents" in described:
                    files = client.files(session, wanted.knowledge_base)
                    there = not wanted.expected_file or wanted.expected_file in files
                    done["files"] = "" if there else f"{wanted.expected_file} is not among {len(files)} files"
                if self._function.chat and "chat" in described and there:
                    asked = canary.ask(session)
                    done["chat"] = "" if asked.well else str(asked)
            finally:
                self._leave_no_trace(canary)
        return done

    def _leave_no_trace(self, canary: Canary) -> None:
        """Remove the canary's traces; what is left says nothing of the function, and is no bad reading.

        If something cannot be removed, the function is never used again: each use would leave another.
        """
        application = self._target.application
        try:
            if application.canary.sweeper or application.functions.log_out:
                canary.sweep()
            else:
                canary.forget()
        except (Mismatch, Unverifiable) as left:
            problem = Unverifiable(
                what=left.what,
                expected=left.expected,
                observed=left.observed,
                source=left.source,
                hint=left.hint,
                means=left.means,
            )
            self._ended = problem if unreached_by(problem, self.id.kind) is None else None
            raise problem from None
