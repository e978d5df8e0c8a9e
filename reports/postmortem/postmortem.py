"""`postmortem.md`: the incident as its record shows it, with blanks for the facts only people know.

It is made from the incident's folder alone, so it is the same whenever and wherever it is made. People's
text below its last line is kept when the page is rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from reports.incident.events import Event, Kind
from reports.postmortem.story import FATES, Story
from reports.text.page import TEMPLATES, markdown
from rollproof.errors import Unverifiable, reason_of
from rollproof.home import COMMAND, typed
from rollproof.reading import read_regular
from rollproof.record_names import POST_MORTEM
from rollproof.system.files import write_page

BY_PEOPLE = "<!-- From here on people write; this part is kept when the record is rebuilt. -->"
# A monitor that changes its word with each beat would fill pages that say no more.
_MOST_SAMPLES = 20
_SHOWN, _LONGEST = 5, 300


def write_post_mortem(folder: Path, story: Story, redact: Callable[[str], str]) -> Path:
    """Write the post-mortem of the incident in `folder`, whole or not at all; return its path."""
    path = folder / POST_MORTEM
    try:
        by_people = _by_people(path)
        below = (TEMPLATES / "by_people.md").read_text() if by_people is None else redact(by_people)
        text = f"{post_mortem(story, redact)}\n{BY_PEOPLE}\n{below}"
        write_page(path, text)
    except (OSError, UnicodeDecodeError) as error:
        raise Unverifiable(
            what="post-mortem",
            expected="a file that can be read and written",
            observed=reason_of(error),
            source=str(path),
            hint=f"keep what people wrote there in another file, then: {typed('report FOLDER')}",
        ) from None
    return path


def post_mortem(story: Story, redact: Callable[[str], str]) -> str:
    """Return the part of the post-mortem that is made from the record."""
    events = [event for event in story.timeline.events if event.kind not in {Kind.ACTION, Kind.NOTE}]
    shown = _spared(events)
    return markdown(
        "postmortem.md.jinja",
        redact,
        story=story,
        events=shown,
        left_out=len(events) - len(shown),
        actions=story.timeline.of(Kind.ACTION),
        notes=story.timeline.of(Kind.NOTE),
        records=story.records,
        fates=FATES,
        command=COMMAND,
        shown=_SHOWN,
        longest=_LONGEST,
    )


def _spared(events: Sequence[Event]) -> list[Event]:
    """Return `events` without the changes of the monitor between the first and the last few."""
    samples = [event for event in events if event.kind is Kind.SAMPLE]
    half = _MOST_SAMPLES // 2
    left_out = samples[half:-half] if len(samples) > _MOST_SAMPLES else []
    return [event for event in events if event not in left_out]


def _by_people(path: Path) -> str | None:
    """Return people's text, below our last line; None if there is no post-mortem yet."""
    if not path.exists():
        return None
    text = read_regular(path).decode()
    before, ours, after = text.partition(f"{BY_PEOPLE}\n")
    # Without our last line, nobody can separate the parts: treat the whole text as people's.
    return after if ours else before
