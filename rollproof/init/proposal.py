"""The proposed profile of a compose project, and the questions that are left. Nobody is asked but git."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollproof.init.accounts import (
    OPERATOR,
    READER,
    Holder,
    accounts_of,
    canary_of,
    is_guarded,
    profile_of,
    section_of,
)
from rollproof.init.parts import LAYRA, Found, Observed, Parts, variable_of
from rollproof.init.profile_text import Table, text_of, value
from rollproof.init.stack import Stack
from rollproof.profile.access_log import Requests
from rollproof.profile.application_profile import Application, Canary, Function, Maintenance, Sweeper
from rollproof.profile.functions import Functions
from rollproof.profile.kinds import kinds
from rollproof.profile.mistakes import UNANSWERED
from rollproof.profile.profile import Engine, Folders
from rollproof.profile.sections import StoreProfile

_SECRETS_ARE_NAMED = (
    "Secrets are named here, never written: each is an environment variable or a file."
    f" Keys that hold {UNANSWERED!r} are questions that only a person can answer."
)
_MOST_PATHS = 12
_CANARY = (
    ("user", "Which user is there for verification alone? Sign one up.", "canary"),
    ("knowledge_base", "Which knowledge base is its own? Make one, with a few documents.", "USER_ID"),
    ("question", "Which question has an answer in those documents?", "How often is the lamp wound?"),
    ("expected_file", "Which of its files is the answer from?", "lamp.pdf"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """An unknown fact: the key of the profile that it fills, and what to type there."""

    key: str
    asks: str
    answer: str


@dataclass(slots=True)
class Proposal:
    """The profile of `stack`, as a file in `folder` names its paths, and the questions that it leaves."""

    stack: Stack
    parts: Parts
    seen: Observed
    folder: Path
    repository: Path
    tables: list[Table] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    stores: dict[str, StoreProfile] = field(default_factory=dict)
    holders: dict[str, dict[str, Holder]] = field(default_factory=dict)
    places: list[Mapping[str, str]] = field(default_factory=list)
    """Where secrets are that are of no store's own accounts."""

    def ask(self, key: str, asks: str, answer: str) -> None:
        """Add a question."""
        self.questions.append(Question(key, asks, answer))

    def relative(self, path: Path) -> str:
        """Return a path as the profile names it."""
        return os.path.relpath(path, self.folder)

    @property
    def unsupported(self) -> list[str]:
        """The services that the profile cannot have, each with its image and the reason."""
        return [f"service {name} ({why})" for name, why in self.parts.unsupported.items()]

    @property
    def text(self) -> str:
        """The profile."""
        head = [
            f"Proposed by `init` from the compose project {self.stack.project}.",
            _SECRETS_ARE_NAMED,
            *(f"NOT SUPPORTED: {one}" for one in self.unsupported),
        ]
        return text_of(head, {"name": profile_name(self.stack.project)}, self.tables)


def profile_name(project: str) -> str:
    """Return the name of a project's target."""
    return re.sub(r"[^a-z0-9_.-]", "-", project.lower()).lstrip("_.-") or "target"


def proposed(stack: Stack, parts: Parts, seen: Observed, folder: Path, repository: Path) -> Proposal:
    """Return the profile of `stack` for a file in `folder`, whose paths are relative to it."""
    proposal = Proposal(stack, parts, seen, folder, repository)
    _engine(proposal)
    _application(proposal)
    for store, found in parts.stores.items():
        _store(proposal, store, found)
    _sweeper(proposal)
    _secrets(proposal)
    return proposal


def _engine(proposal: Proposal) -> None:
    stack, name = proposal.stack, profile_name(proposal.stack.project)
    values: dict[str, Any] = {"kind": "compose", "project": stack.project}
    values["files"] = [proposal.relative(file) for file in stack.files]
    if stack.env_file:
        values["env_file"] = proposal.relative(stack.env_file)
    proposal.tables.append(Table(("engine",), Engine, values))
    folders = {"incidents": "incidents"} | {one: f"state/{name}/{one}" for one in ("baselines", "backups")}
    proposal.tables.append(Table(("folders",), Folders, folders))


def _application(proposal: Proposal) -> None:
    parts = proposal.parts
    table = Table(("application",), Application)
    table.values["url"] = parts.urls[0] if parts.urls else f"http://{UNANSWERED}.invalid"
    if not parts.urls:
        asked = "Where do users reach the application? No service of it publishes a single port."
        proposal.ask("application.url", asked, 'url = "http://127.0.0.1:8090"')
    elif parts.urls[1:]:
        table.note("url", f"Published as well: {', '.join(parts.urls[1:])}.")
    table.values["services"] = list(parts.application) or [UNANSWERED]
    if not parts.application:
        asked = "Which services are the application? The project has none besides its stores."
        proposal.ask("application.services", asked, 'services = ["backend"]')
    table.values["writers"] = list(parts.writers)
    table.note("writers", "Assumed: all but proxies. Each is stopped before data is restored.")
    for which, why in (
        (parts.one_shots, "they end when they have done their work"),
        (parts.optional, "only a compose profile brings them up"),
    ):
        if which:
            table.note("services", f"Not among them, since {why}: {', '.join(which)}.")
    table.values["repository"] = proposal.relative(proposal.repository)
    if not (proposal.repository / ".git").exists():
        asked = "Where is the git repository of the application, whose commits are rolled back?"
        proposal.ask("application.repository", asked, 'repository = "/srv/application"')
    proposal.tables.append(table)
    _api(proposal, table)
    _proxy(proposal)
    _canary(proposal)


def _api(proposal: Proposal, table: Table) -> None:
    """Let the monitor ask LAYRA's chat; of another API name the paths that may be of use to describe it."""
    api = proposal.seen.api
    if api is None:
        asked = "Is the application's API LAYRA's, under /api/v1? It did not show its description."
        proposal.ask("application.api", asked, 'api = "/api/v1", or leave it out, which is the same')
        return
    if not api.interface:
        table.values["interface"] = ""
        table.note("interface", "Nobody outside sees the description of the API.")
    if {*api.paths} >= LAYRA:
        table.note("url", f"Its API is LAYRA's, as {api.described_by} describes it.")
        proposal.tables.append(Table(("application", "function"), Function, {"chat": True}))
        return
    more = ", …" if api.paths[_MOST_PATHS:] else ""
    about = [
        "Its API is not LAYRA's: phase 3 verifies only what is described here.",
        f"{api.described_by} has the paths {', '.join(api.paths[:_MOST_PATHS])}{more}",
    ]
    proposal.tables.append(Table(("application", "functions"), Functions, {"api": "own"}, about))
    proposal.ask(
        "application.functions",
        "By which requests does one log in, list documents and ask? The API is not LAYRA's.",
        "a table for each, such as [application.functions.chat]: see docs/howto/application.md",
    )


def _proxy(proposal: Proposal) -> None:
    proxy = proposal.parts.proxy
    if proxy is None:
        asked = "Whose log has users' requests? No service is a proxy that is known."
        proposal.ask("application.requests", asked, '[application.requests] with service = "…"')
        return
    about = ["Its log must be of nginx's format `combined`, with $request_time at the end to know latencies."]
    proposal.tables.append(Table(("application", "requests"), Requests, {"service": proxy}, about))
    about = ["Else a rollback stops the proxy too. With a location that answers 503 while a file is there:"]
    file = "/tmp/maintenance"  # noqa: S108 - inside a container
    values = {"service": proxy, "on": ["touch", file], "off": ["rm", "-f", file]}
    table = Table(("application", "maintenance"), Maintenance, values, about, proposed=True)
    proposal.tables.append(table)


def _canary(proposal: Proposal) -> None:
    services = proposal.stack.services.values()
    file = next((one.secrets["canary_password"] for one in services if "canary_password" in one.secrets), "")
    place = {"file": file} if file else {"env": variable_of(proposal.stack, "CANARY_PASSWORD")}
    proposal.places.append(place)
    values: dict[str, Any] = {"user": UNANSWERED, "password": place}
    for name, asks, answer in _CANARY:
        values[name] = UNANSWERED
        proposal.ask(f"application.canary.{name}", asks, f"{name} = {value(answer)}")
    proposal.tables.append(Table(("application", "canary"), Canary, values))


def _sweeper(proposal: Proposal) -> None:
    """Propose the account that removes the traces of the canary's log-ins, of a store that can do so."""
    name, found = next(
        ((name, one) for name, one in proposal.parts.stores.items() if kinds()[one.kind].sweep), (None, None)
    )
    if name is None or found is None:
        return
    holders = proposal.holders[name]
    # Where reader and operator are one, the server knows no other.
    account = holders[OPERATOR] if holders[READER] == holders[OPERATOR] else canary_of(found)
    proposal.places.append(account.place)
    values = {"store": name, "account": account.section()}
    proposal.tables.append(Table(("application", "canary", "sweeper"), Sweeper, values))


def _store(proposal: Proposal, name: str, found: Found) -> None:
    guarded = name not in proposal.seen.unguarded and is_guarded(found)
    holders = accounts_of(found, guarded=guarded)
    section = section_of(found, proposal.seen.holdings.get(name, {}))
    table = Table(("stores", name), kinds()[found.kind].profile, dict(section))
    table.about.append(f"Recognised: {found.because}.")
    if not holders:
        table.about.append("It has no accounts, since everybody is let in.")
    if name in proposal.seen.unseen:
        table.about.append("Nobody has looked into it.")
    for role, holder in holders.items():
        table.values[role] = holder.section()
    proposal.stores[name] = profile_of(section, found, guarded=guarded)
    proposal.holders[name] = holders
    for key in (key for key, one in section.items() if one == [UNANSWERED]):
        asked = f"Which {key} of {found.service.name} are the application's?"
        proposal.ask(f"stores.{name}.{key}", asked, f'{key} = ["…"]')
    proposal.tables.append(table)


def _secrets(proposal: Proposal) -> None:
    """Ask for the variables of the environment: those of new accounts, and those of secrets that exist."""
    holders = [one for several in proposal.holders.values() for one in several.values()]
    new = sorted({one.place["env"] for one in holders if "env" in one.place and one.is_new})
    places = [*(one.place for one in holders), *proposal.places]
    known = sorted({place["env"] for place in places if "env" in place} - {*new})
    if new:
        proposal.ask(
            ", ".join(f"${name}" for name in new),
            "Passwords of accounts that are to be created: make them up, keep them, run the accounts' file.",
            f"for name in {' '.join(new)}; do export $name=$(openssl rand -hex 24); done",
        )
    if known:
        proposal.ask(
            ", ".join(f"${name}" for name in known),
            "Secrets that exist already: their values stay outside of the profile.",
            "; ".join(f"export {name}=…" for name in known),
        )
