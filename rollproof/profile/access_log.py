"""The profile's source for counting users' requests: an access log. Data only."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from rollproof.errors import ProfileMistake, shown
from rollproof.profile.sections import Model

NEEDED = ("status", "path", "method")
"""Groups that a line's pattern must have; `seconds`, the duration of the answer, is optional."""

# A field of nginx's log as it is, a dash without a value, or those of several upstreams.
_ONE_TIME = r"(?:\d+(?:\.\d+)?|-)"
_TIMES = rf"{_ONE_TIME}(?: ?[,:] ?{_ONE_TIME})*"
_STATUSES = r"(?:\d{3}|-)(?: ?[,:] ?(?:\d{3}|-))*"
# nginx's own format "combined", optionally with $request_time or $upstream_response_time at its end.
COMBINED = (
    r"^\S+ - [^\[]*\[[^\]]*\] "
    r'"(?:(?P<method>[A-Z]+) (?P<path>\S+)[^"]*|[^"]*)" '
    rf'(?P<status>{_STATUSES}) (?:\d+|-) "[^"]*" "[^"]*"(?: (?P<seconds>{_TIMES}))?$'
)
# Lines of nginx's error log, which goes to the same output.
NOTICES = r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[[a-z]+\] "


def searched(pattern: str, line: str) -> Any:  # noqa: ANN401 - RE2's own match, which has no types, or None
    """Return the first match of `pattern` in a log's line, or None."""
    # RE2 reads UTF-8, which has no half characters.
    return _compiled(pattern).search(line.encode(errors="replace").decode())


@cache
def _compiled(pattern: str) -> Any:  # noqa: ANN401 - RE2's own class, which has no types
    """Return a pattern compiled by RE2: linear in a line's length, whatever users send.

    Raises:
        Wrong: it is no regular expression of RE2, which knows neither look-around nor back-references.
    """
    import re2  # noqa: PLC0415 - only a target with a log of requests needs it

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        expected = "a regular expression of RE2, without look-around and back-references"
        raise ProfileMistake(
            expected, f"{shown(pattern)}: {error.args[0].decode(errors='replace')}"
        ) from None


def _expression(pattern: str) -> str:
    _compiled(pattern)
    return pattern


def _of_lines(pattern: str) -> str:
    groups = _compiled(_expression(pattern)).groupindex
    if missing := [name for name in NEEDED if name not in groups]:
        raise ProfileMistake(f"the groups {', '.join(NEEDED)}", f"none named {', '.join(missing)}")
    return pattern


Text = Annotated[str, Field(min_length=1)]


class Requests(Model):
    """The source of users' requests: the access log of `service`, line by line."""

    service: Text
    """Service that logs the requests."""
    pattern: Annotated[str, AfterValidator(_of_lines)] = COMBINED
    """Expression of RE2 for the line of a request.

    Its groups are `status`, `path`, `method` and, if need be, `seconds`.
    """
    notices: Annotated[str, AfterValidator(_expression)] = NOTICES
    """Expression of RE2 for lines of no request."""
    log_in: tuple[Text, ...] = ("/api/v1/auth/login",)
    """Patterns of the paths of log-ins."""
    slow: tuple[Text, ...] = ("*/sse/*",)
    """Patterns of paths that do not count for latency, since their answers are streamed."""
