"""A team of a test's own: channels to a small server, contacts that they lead to, and a change document."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollproof.profile.profile import load_target
from tests.world.application import Exchange, running
from tests.world.sandbox import Sandbox

PASSWORD = "hunter2-of-the-channel"  # noqa: S105 - what must not be seen
TOKEN = "tok3n-in-the-path"  # noqa: S105
ON_CALL = ("Ada", "Grace")
DOCUMENT = """# The change of {commit}

## Expected changes
The tables of users are consolidated into one.

## Impact
Signing in takes a little longer for a minute.

## Rollback plan
./deploy/rollback/emergency_rollback.sh, with the known-good commit.
"""


@dataclass
class Channels:
    """A server that channels lead to: what it was sent, by path, and what it answers.

    `failing` is how often a path answers 500 before it is well. A redirect leads to a page, which is there.
    """

    url: str = ""
    statuses: dict[str, int] = field(default_factory=dict)
    failing: dict[str, int] = field(default_factory=dict)
    hangs: set[str] = field(default_factory=set)
    sent: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)

    def apprise(self, path: str) -> str:
        """Return the URL, for Apprise, of the channel at `path`."""
        return f"json://team:{PASSWORD}@{self.url}/{TOKEN}/{path}"


@contextmanager
def channels() -> Iterator[Channels]:
    """Run the server."""
    there = Channels()

    def answer(exchange: Exchange) -> None:
        if exchange.method == "GET":
            exchange.reply(200, "")
            return
        login = base64.b64decode(exchange.headers["Authorization"].removeprefix("Basic ")).decode()
        name = exchange.path.rsplit("/", maxsplit=1)[-1]
        there.sent.append((name, json.loads(exchange.body), login))
        if name in there.hangs:
            exchange.application.ended.wait()
        fails = there.failing.get(name, 0)
        there.failing[name] = fails - 1
        status = 500 if fails > 0 else there.statuses.get(name, 200)
        exchange.start(status, {"Location": "/log-in", "Content-Length": "0"})

    with running() as served:
        served.answers = defaultdict(lambda: answer)
        there.url = served.url.removeprefix("http://")
        yield there


def join(sandbox: Sandbox, *urls: str, on_call: tuple[str, ...] = ON_CALL, more: str = "") -> Path:
    """Give `sandbox` a team with these channels, and a document of the change to `bad`; return that."""
    document = sandbox.folder / "change.md"
    document.write_text(DOCUMENT.format(commit=sandbox.bad), encoding="utf-8")
    for number, url in enumerate(urls):
        (sandbox.folder / f"channel{number}").write_text(url, encoding="utf-8")
    files = ", ".join(f'{{file = "channel{number}"}}' for number in range(len(urls)))
    text = sandbox.profile.read_text(encoding="utf-8").partition("[premigration.team]")[0]
    team = f"[premigration.team]\nchannels = [{files}]\non_call = {json.dumps(on_call)}\n{more}\n"
    document_line = 'document = "change.md"\n'
    sandbox.profile.write_text(f"{text}{team}{document_line}", encoding="utf-8")
    sandbox.target = load_target(sandbox.profile)
    return document


def reach(
    sandbox: Sandbox, server: Channels, *, on_call: tuple[str, ...] = ("ada",), more: str = "", end: str = ""
) -> None:
    """Give the sandbox's profile contacts whose channels lead to the server."""
    text = sandbox.profile.read_text(encoding="utf-8").partition("[contacts]")[0]
    lines = [f"[contacts]\n{more}"]
    for contact, people, names in (("on_call", "Ada", on_call), ("tech_lead", "Grace", ("grace",))):
        for name in names:
            (sandbox.folder / name).write_text(server.apprise(name), encoding="utf-8")
        files = ", ".join(f'{{file = "{name}"}}' for name in names)
        lines.append(f'[contacts.{contact}]\nnames = ["{people}"]\nchannels = [{files}]\n')
    sandbox.profile.write_text(text + "".join([*lines, end]), encoding="utf-8")
    sandbox.target = load_target(sandbox.profile)
