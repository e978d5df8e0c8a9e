"""A probe of one function, as a user has it: the canary logs in, sees its files, and may ask its question.

Health endpoints and status codes do not tell of it: a stream that breaks is a 200 in the access log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rollproof.application.canary import Canary, canary_in_use, longest_use
from rollproof.application.client import ApplicationClient
from rollproof.errors import Mismatch, Unverifiable
from rollproof.monitoring.probes.probe import Reading, Unheld, unreached_by
from rollproof.monitoring.samples import ProbeId, ProbeKind, Unreached
from rollproof.stores.references import follow_all
from rollproof.stores.registry import open_view
from rollproof.system.clock import Moment
from rollproof.system.rounds import Opened, Wrong
from rollproof.system.side_by_side import Question

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollproof.engines.engine import ContainerEngine
    from rollproof.profile.application_profile import Function
    from rollproof.profile.profile import Target

# At this part of a beat the last answer is told, if the one that is due has not come.
_TOLD = 0.8


class FunctionProbe(Unheld):
    """The function, asked at the profile's own rate; each beat has the last answer."""

    id = ProbeId(ProbeKind.FUNCTION)

    def __init__(
        self,
        target: Target,
        function: Function,
        engine: ContainerEngine,
        deadline: float,
        clock: Callable[[], float],
    ) -> None:
        """Ask nothing yet."""
        self.deadline = deadline
        self._target = target
        self._every = function.every_seconds
        self._chats = function.chat
        self._engine = engine
        self._clock = clock
        self._due = clock()
        self._question: Question[Reading] = Question(str(self.id), self._use)
        self._last: Reading | None = None
        self._kept: Unverifiable | None = None

    def ask(self) -> Reading:
        """Ask if it is time to; return the newest answer."""
        if not self._question.waiting and self._clock() >= self._due:
            self._due = self._clock() + self._every
            self._question.start()
        self._question.wait(self.deadline * _TOLD)
        if not self._question.waiting:
            self._last = None
            self._last = self._question.answer()
        elif self._question.asked.seconds_ago() >= self._longest:
            text = f"no end since {self._question.asked.wall}"
            return Reading(ok=False, text=text, value=1.0, unreached=Unreached.SILENT)
        if self._last is None:
            raise self._question.unanswered("none yet")
        return self._last

    @property
    def _longest(self) -> float:
        """Seconds after which no answer is one."""
        return longest_use(self._target.application, chat=self._chats)

    def _use(self) -> Reading:
        """Use the function once, unless checks use the canary now: then the last answer stays."""
        if self._kept is not None:
            raise self._kept
        with canary_in_use(self._target, alone=True, seconds=0.0) as ours:
            if ours:
                return self._as_the_canary()
        if self._last is not None:
            return self._last
        raise Unverifiable(
            what="function",
            expected="a canary that nobody uses",
            observed="checks that use it",
            source=self._target.name,
            hint="it is asked again when they have ended",
        )

    def _as_the_canary(self) -> Reading:
        began = Moment.now()
        try:
            said = self._said()
        except Mismatch as refused:
            return Reading(ok=False, text=refused.summary, value=1.0)
        except Unverifiable as problem:
            unreached = unreached_by(problem, self.id.kind)
            if unreached is None:
                raise
            return Reading(ok=False, text=problem.summary, value=1.0, unreached=unreached)
        wrong = self._wrong_with(said)
        text = wrong or f"{', '.join(said)}, in {began.seconds_ago():.1f} s"
        return Reading(ok=not wrong, text=text, value=float(bool(wrong)))

    def _said(self) -> Mapping[str, str]:
        """Use the function; return what was done, each with what is wrong with it, and leave no trace."""
        wanted = self._target.application.canary
        client = ApplicationClient(self._target.application)
        with Opened(lambda name: open_view(name, self._target.stores[name], self._engine)) as views:

            def references() -> Mapping[str, int | Wrong]:
                return follow_all(wanted.references, views, self._target.personal)

            canary = Canary(self._target, self._engine, client, references)
            done = {"log-in": ""}
            try:
                session, there = canary.log_in(), True
                if "documents" in self._target.application.functions.described():
                    files = client.files(session, wanted.knowledge_base)
                    there = not wanted.expected_file or wanted.expected_file in files
                    done["files"] = "" if there else f"{wanted.expected_file} is not among {len(files)} files"
                if self._chats and there:
                    asked = canary.ask(session)
                    done["chat"] = "" if asked.well else str(asked)
            finally:
                self._leave_no_trace(canary)
        return done

    def _leave_no_trace(self, canary: Canary) -> None:
        try:
            canary.forget()
        except Unverifiable as problem:
            # Each question would leave a conversation for good: there is no other.
            self._kept = problem if unreached_by(problem, self.id.kind) is None else None
            raise
        except Mismatch as refused:
            self._kept = _untold(refused)
            raise self._kept from None
        application = self._target.application
        if not (application.canary.sweeper or application.functions.log_out):
            return
        try:
            canary.sweep()
        except Mismatch as left:
            # It says nothing of the function.
            raise _untold(left) from None

    @staticmethod
    def _wrong_with(said: Mapping[str, str]) -> str:
        return "; ".join(f"{name}: {wrong}" for name, wrong in said.items() if wrong)


def _untold(mismatch: Mismatch) -> Unverifiable:
    """Return the error for what says nothing of the function."""
    return Unverifiable(
        what=mismatch.what,
        expected=mismatch.expected,
        observed=mismatch.observed,
        source=mismatch.source,
        hint=mismatch.hint,
    )
