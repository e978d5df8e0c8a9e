"""The first screen of `report.html`: the incident itself, before the tree of its checks."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

from markupsafe import Markup

from reports.pictures.album import EVERY
from reports.postmortem.story import FATES, Story
from reports.text.page import html
from rollproof.reading import read_regular
from rollproof.record_names import PICTURES


def front_page(story: Story, redact: Callable[[str], str]) -> str:
    """Return the HTML of the first screen; the pictures that are in the incident's folder are within it."""
    folder = story.record.incident.folder / PICTURES
    pictures = [_embedded(folder / name) for name in EVERY if (folder / name).is_file()]
    return html("front.html.jinja", redact, story=story, pictures=pictures, fates=FATES)


def _embedded(picture: Path) -> Markup:
    data = base64.b64encode(read_regular(picture)).decode()
    return Markup('<img alt="{}" src="data:image/svg+xml;base64,{}">').format(picture.stem, data)
