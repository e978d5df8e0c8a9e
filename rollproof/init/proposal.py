"""The proposed profile of a compose project, and the questions that are left. Nobody is asked but git."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollproof.engines.engine import Mount
from rollproof.git.repository import unknown_to_git
from rollproof.init.accounts import (
    OPERATOR,
    READER,
    AccountHolder,
    accounts_of,
    canary_of,
    is_guarded,
    profile_of,
    section_of,
)
from rollproof.init.parts import Found, Looked, variable_of
from rollproof.init.profile_text import comment, table, value
from rollproof.profile.kinds import kinds
from rollproof.profile.mistakes import UNANSWERED
from rollproof.profile.sections import StoreProfile

_SECRETS_ARE_NAMED = (
    "Secrets are named here, never written: each is an environment variable or a file."
    f" Keys that hold {UNANSWERED!r} are questions that only a person can answer."
)
STATE = "state"
"""The name of the store of the application's own files."""
_CANARY = (
    ("user", "Which user is there for verification alone? Sign one up.", "canary"),
    ("knowledge_base", "Which knowledge base is its own? Make one, with a few documents.", "USER_ID"),
    ("question", "Which question has an answer in those documents?", "How often is the lamp wound?"),
    ("expected_file", "Which of its files is the answer from?", "lamp.pdf"),
)


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """An unknown fact: the key of the profile that it fills, and what to type there."""

    key: str
    asks: str
    answer: str


@dataclass(slots=True)
class Proposal:
    """The profile of what was `seen`, with paths relative to `folder`, and the questions that it leaves."""

    seen: Looked
    folder: Path
    repository: Path
    lines: list[str] = field(default_factory=list)
    questions: list[OpenQuestion] = field(default_factory=list)
    stores: dict[str, StoreProfile] = field(default_factory=dict)
    holders: dict[str, dict[str, AccountHolder]] = field(default_factory=dict)
    places: list[Mapping[str, str]] = field(default_factory=list)
    """Where secrets are that are of no store's own accounts."""

    def ask(self, key: str, asks: str, answer: str) -> None:
        """Add a question."""
        self.questions.append(OpenQuestion(key, asks, answer))

    def relative(self, path: Path) -> str:
        """Return a path as the profile names it."""
        return os.path.relpath(path, self.folder)

    @property
    def unsupported(self) -> list[str]:
        """The services that the profile cannot have, each with its image and the reason."""
        return [f"service {name} ({why})" for name, why in self.seen.parts.unsupported.items()]

    def add(self, path: str, values: Mapping[str, Any], *about: str) -> None:
        """Add the table at `path`, whose parts have blanks between them, with comments above it."""
        self.lines += table(path.split(), values, about)

    @property
    def text(self) -> str:
        """The profile."""
        head = [
            f"Proposed by `init` from the compose project {self.seen.stack.project}.",
            _SECRETS_ARE_NAMED,
            *(f"NOT SUPPORTED: {one}" for one in self.unsupported),
        ]
        lines = [line for text in head for line in comment(text)]
        return "\n".join([*lines, f"name = {value(profile_name(self.seen.stack.project))}", *self.lines, ""])


def profile_name(project: str) -> str:
    """Return the name of a project's target."""
    return re.sub(r"[^a-z0-9_.-]", "-", project.lower()).lstrip("_.-") or "target"


def proposed(seen: Looked, folder: Path, repository: Path) -> Proposal:
    """Return the profile for a file in `folder`, whose paths are relative to it."""
    proposal = Proposal(seen, folder, repository)
    _engine(proposal)
    _application(proposal)
    for store, found in seen.parts.stores.items():
        _store(proposal, store, found)
    _state(proposal)
    _migrations(proposal)
    _sweeper(proposal)
    _secrets(proposal)
    return proposal


def _engine(proposal: Proposal) -> None:
    stack, name = proposal.seen.stack, profile_name(proposal.seen.stack.project)
    values: dict[str, Any] = {"kind": "compose", "project": stack.project}
    values["files"] = [proposal.relative(file) for file in stack.files]
    if stack.env_file:
        values["env_file"] = proposal.relative(stack.env_file)
    proposal.add("engine", values)
    folders = {"incidents": "incidents"} | {one: f"state/{name}/{one}" for one in ("baselines", "backups")}
    proposal.add("folders", folders)


def _application(proposal: Proposal) -> None:
    parts = proposal.seen.parts
    values: dict[str, Any] = {
        "url": parts.urls[0] if parts.urls else f"http://{UNANSWERED}.invalid",
        "services": list(parts.application) or [UNANSWERED],
        "writers": list(parts.writers),
        "repository": proposal.relative(proposal.repository),
    }
    about = ["Writers are assumed to be all but proxies. Each is stopped before data is restored."]
    if not parts.urls:
        asked = "Where do users reach the application? No service of it publishes a single port."
        proposal.ask("application.url", asked, 'url = "http://127.0.0.1:8090"')
    elif parts.urls[1:]:
        about.append(f"Published as well: {', '.join(parts.urls[1:])}.")
    if not parts.application:
        asked = "Which services are the application? The project has none besides its stores."
        proposal.ask("application.services", asked, 'services = ["backend"]')
    if parts.one_shots:
        about.append(f"No services of it, since they have done their work: {', '.join(parts.one_shots)}.")
    if parts.optional:
        about.append(f"Nor, since only a compose profile brings them up: {', '.join(parts.optional)}.")
    if not (proposal.repository / ".git").exists():
        asked = "Where is the git repository of the application, whose commits are rolled back?"
        proposal.ask("application.repository", asked, 'repository = "/srv/application"')
    proposal.add("application", values, *about)
    proposal.ask(
        "application.functions",
        "By which requests does one log in, list documents and ask? As it stands, by those of LAYRA.",
        'api = "own", and a table for each, such as [application.functions.chat]: docs/howto/application.md',
    )
    proposal.ask(
        "application.interface",
        "Where is the description of the API? As it stands, at /openapi.json.",
        'interface = "/docs/openapi.json", or "" if users cannot see one',
    )
    _proxy(proposal)
    _canary(proposal)


def _proxy(proposal: Proposal) -> None:
    proxy = proposal.seen.parts.proxy
    if proxy is None:
        asked = "Whose log has users' requests? No service is a proxy that is known."
        proposal.ask("application.requests", asked, '[application.requests] with service = "…"')
        return
    about = "Its log must be of nginx's format `combined`, with $request_time at the end to know latencies."
    proposal.add("application requests", {"service": proxy}, about)


def _canary(proposal: Proposal) -> None:
    services = proposal.seen.stack.services.values()
    file = next((one.secrets["canary_password"] for one in services if "canary_password" in one.secrets), "")
    place = {"file": file} if file else {"env": variable_of(proposal.seen.stack, "CANARY_PASSWORD")}
    proposal.places.append(place)
    values: dict[str, Any] = {"user": UNANSWERED, "password": place}
    for name, asks, answer in _CANARY:
        values[name] = UNANSWERED
        proposal.ask(f"application.canary.{name}", asks, f"{name} = {value(answer)}")
    proposal.add("application canary", values)
    about = "What the monitor does as the canary: a stream that breaks is a 200 in every log."
    proposal.add("application function", {"chat": True}, about)


def _migrations(proposal: Proposal) -> None:
    """Ask for migrations: data and code of a database that they migrate go back together."""
    for name, found in proposal.seen.parts.stores.items():
        if kinds()[found.kind].may_have_revisions:
            asked = f"Which service's image brings alembic's or Django's migrations of {name}, if any does?"
            answer = (
                f'[application.migrations.SERVICE] with folders = ["/app/versions"], store = "{name}", table'
            )
            proposal.ask("application.migrations", asked, answer)


def _sweeper(proposal: Proposal) -> None:
    """Propose the account that removes the traces of the canary's log-ins, of a store that can do so."""
    stores = proposal.seen.parts.stores
    if (name := next((one for one in stores if kinds()[stores[one].kind].sweep), None)) is None:
        return
    holders = proposal.holders[name]
    # Where reader and operator are one, the server knows no other.
    account = holders[OPERATOR] if holders[READER] == holders[OPERATOR] else canary_of(stores[name])
    proposal.places.append(account.place)
    about = "The removal of the canary's tokens, for which the API has no way."
    proposal.add("application canary sweeper", {"store": name, "account": account.section()}, about)


def _store(proposal: Proposal, name: str, found: Found) -> None:
    guarded = name not in proposal.seen.unguarded and is_guarded(found)
    holders = accounts_of(found, guarded=guarded)
    section = section_of(found, proposal.seen.holdings.get(name, {}))
    about = [f"Recognised: {found.because}."]
    if not holders:
        about.append("It has no accounts, since everybody is let in.")
    if name in proposal.seen.unseen:
        about.append("Nobody has looked into it.")
    proposal.stores[name] = profile_of(section, found, guarded=guarded)
    proposal.holders[name] = holders
    for key in (key for key, one in section.items() if one == [UNANSWERED]):
        asked = f"Which {key} of {found.service.name} are the application's?"
        proposal.ask(f"stores.{name}.{key}", asked, f'{key} = ["…"]')
    accounts = {role: holder.section() for role, holder in holders.items()}
    proposal.lines += table(("stores", name), {**section, **accounts}, about)


def _state(proposal: Proposal) -> None:
    """Propose a store of the files in volumes and folders that the application writes to."""
    parts, services = proposal.seen.parts, proposal.seen.stack.services
    own = {service for found in parts.stores.values() for service in found.services}
    of_stores = {mount.name for service in own for mount in services[service].mounts}
    held: dict[str, str] = {}
    for service in parts.writers:
        for mount in services[service].mounts:
            known = mount.name in of_stores or not mount.may_hold_state
            if not known and not _is_code(mount, proposal.repository):
                held.setdefault(mount.name, f"{service}:{mount.destination}")
    descriptor = next((one for one in kinds().values() if one.holding), None)
    if not held or descriptor is None or descriptor.holding is None:
        return
    section = descriptor.holding(sorted(held.values()))
    proposal.stores[STATE] = descriptor.profile(**section)
    about = "Files in volumes and folders that the application writes to."
    proposal.lines += table(("stores", STATE), section, [about])
    asked = "Which of these mounts hold no state, such as models? Name them in application.stateless."
    proposal.ask(f"stores.{STATE}.held", asked, 'stateless = {"llm:/models" = "fetched again at its start"}')
    if parts.stores:
        asked = "Of which stores' records are these files, such as uploads? A rollback takes both back."
        proposal.ask(f"stores.{STATE}.together", asked, f"together = {value([*parts.stores][:1])}")


def _is_code(mount: Mount, repository: Path) -> bool:
    """Return whether a mount is a file of the host, or a folder that git knows."""
    place = Path(mount.source)
    if mount.kind != "bind" or not place.exists():
        return False
    known = place.is_relative_to(repository) and (repository / ".git").exists()
    return place.is_file() or (known and not unknown_to_git(repository, place))


def _secrets(proposal: Proposal) -> None:
    """Ask for the variables of the environment: those of new accounts, and those of secrets that exist."""
    holders = [one for several in proposal.holders.values() for one in several.values()]
    new = {one.place["env"] for one in holders if "env" in one.place and one.is_new}
    places = [*(one.place for one in holders), *proposal.places]
    known = {place["env"] for place in places if "env" in place} - new
    if new:
        asked = (
            "Passwords of accounts that are to be created: make them up, keep them, run the accounts' file."
        )
        answer = f"for name in {' '.join(sorted(new))}; do export $name=$(openssl rand -hex 24); done"
        proposal.ask(", ".join(f"${name}" for name in sorted(new)), asked, answer)
    if known:
        asked = "Secrets that exist already: their values stay outside of the profile."
        answer = f"export {' '.join(f'{name}=…' for name in sorted(known))}"
        proposal.ask(", ".join(f"${name}" for name in sorted(known)), asked, answer)
