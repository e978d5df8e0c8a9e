"""The proposed profile of a compose project, and the questions that are left. Nobody is asked but git."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from pydantic import SecretStr

from rollproof.collection import narrow_first
from rollproof.engines.compose import REVISION_LABEL
from rollproof.engines.engine import Mount
from rollproof.git.repository import unknown_to_git
from rollproof.init.observed import Observed
from rollproof.init.parts import Found, Parts
from rollproof.init.profile_text import Table, text_of, value
from rollproof.init.stack import Stack
from rollproof.profile.access_log import Requests
from rollproof.profile.application_profile import Application, Canary, Function, Maintenance, Sweeper
from rollproof.profile.functions import Functions
from rollproof.profile.kinds import descriptor_of, kinds
from rollproof.profile.mistakes import UNANSWERED
from rollproof.profile.profile import Engine, Folders
from rollproof.profile.sections import Account, ApiKey, Policy, StoreProfile
from rollproof.stores.recognising import CANARY, OPERATOR, READER, Holder

"""Stands where a profile needs a word that nobody knows yet; a question says so."""
_SECRETS_ARE_NAMED = (
    "Secrets are named here, never written: each is an environment variable or a file."
    f" Keys that hold {UNANSWERED!r} are questions that only a person can answer."
)
_CONFIGURATION = frozenset({".conf", ".cnf", ".ini", ".toml", ".yml", ".yaml"})
_MIGRATIONS = re.compile(r"(?i)(^|[/_.-])(alembic|migrations?|versions)([/_.-]|$)")


@dataclass(frozen=True, slots=True)
class Question:
    """An unknown fact: the key of the profile that it fills, and what to type there."""

    key: str
    asks: str
    answer: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A profile, the questions that it leaves, and what of the project it does not cover."""

    text: str
    questions: tuple[Question, ...]
    unsupported: tuple[str, ...]
    stores: Mapping[str, StoreProfile]
    holders: Mapping[str, Mapping[str, Holder]]


@dataclass(slots=True)
class _Draft:
    stack: Stack
    parts: Parts
    seen: Observed
    folder: Path
    repository: Path
    name: str
    tables: list[Table] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    stores: dict[str, StoreProfile] = field(default_factory=dict)
    holders: dict[str, dict[str, Holder]] = field(default_factory=dict)
    secrets: list[Mapping[str, str]] = field(default_factory=list)
    """Places of secrets that are of no store's own accounts."""

    def ask(self, key: str, asks: str, answer: str) -> None:
        """Add a question."""
        self.questions.append(Question(key, asks, answer))

    def relative(self, path: Path) -> str:
        """Return a path as the profile in `folder` names it."""
        return os.path.relpath(path, self.folder)


def profile_name(project: str) -> str:
    """Return the name of a project's target."""
    return re.sub(r"[^a-z0-9_.-]", "-", project.lower()).lstrip("_.-") or "target"


def proposed(stack: Stack, parts: Parts, seen: Observed, folder: Path, repository: Path) -> Proposal:
    """Return the profile of `stack` for a file in `folder`, whose paths are relative to it."""
    name = profile_name(stack.project)
    draft = _Draft(stack, parts, seen, folder, repository, name)
    _engine(draft)
    _application(draft)
    for store, found in parts.stores.items():
        _store(draft, store, found)
    _sweeper(draft)
    _mounts(draft)
    _left_out(draft)
    origin = "the running project" if seen.running else "the files"
    head = [
        f"{name}: proposed by `init` from {origin} of the compose project {stack.project}.",
        _SECRETS_ARE_NAMED,
        *(f"NOT SUPPORTED: {one}" for one in draft.unsupported),
    ]
    places = [one.place for several in draft.holders.values() for one in several.values()]
    variables = sorted({place["env"] for place in [*places, *draft.secrets] if "env" in place})
    _secrets(draft, variables)
    return Proposal(
        text=text_of(head, {"name": name}, draft.tables),
        questions=tuple(draft.questions),
        unsupported=tuple(draft.unsupported),
        stores=draft.stores,
        holders=draft.holders,
    )


def _secrets(draft: _Draft, variables: list[str]) -> None:
    """Ask for the variables of the environment: those of new accounts, and those of secrets that exist."""
    new = {
        one.place["env"]
        for several in draft.holders.values()
        for one in several.values()
        if "env" in one.place and is_new(one)
    }
    if made := [name for name in variables if name in new]:
        draft.ask(
            ", ".join(f"${name}" for name in made),
            "Passwords of accounts that are to be created: make them up, keep them, run the accounts' file.",
            f"for name in {' '.join(made)}; do export $name=$(openssl rand -hex 24); done",
        )
    if known := [name for name in variables if name not in new]:
        draft.ask(
            ", ".join(f"${name}" for name in known),
            "Secrets that exist already: their values stay outside of the profile.",
            "; ".join(f"export {name}=…" for name in known),
        )


def is_new(holder: Holder) -> bool:
    """Return whether an account is one of ours, which has to be created."""
    return holder.user.startswith("rollproof_")


def section_of(found: Found, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section of a store, with `UNANSWERED` for what it needs and nobody knows.

    Accounts are left out of it. `known` are keys by the server's own word, which win over compose's.
    """
    descriptor = kinds()[found.kind]
    section: dict[str, Any] = {
        "kind": found.kind,
        "address": {"service": found.clues.service, "port": found.port},
        "services": list(found.services),
        "risk": descriptor.least_risk,
        **found.recognition.settings(found.clues),
        **{name: one for name, one in known.items() if one},
    }
    for name, about in descriptor.profile.model_fields.items():
        if about.is_required() and name not in section and name not in {READER, OPERATOR}:
            section[name] = [UNANSWERED]
    return section


def holders_of(found: Found, *, guarded: bool) -> dict[str, Holder]:
    """Return the accounts of a store's section by role; none for a server that asks nobody."""
    return found.recognition.accounts(found.clues) if guarded else {}


def profile_of(section: Mapping[str, Any], holders: Mapping[str, Holder]) -> StoreProfile:
    """Return the section as the suite reads it, without any secret."""
    nothing = SecretStr("")
    accounts = {
        role: Account(user=one.user, password=nothing) if one.user else ApiKey(key=nothing)
        for role, one in holders.items()
    }
    profile: StoreProfile = kinds()[section["kind"]].profile(**section, **accounts)
    return profile


def is_guarded(found: Found, seen: Observed, name: str) -> bool:
    """Return whether a store's section needs accounts: its kind demands them, or its server does."""
    if any(kinds()[found.kind].profile.model_fields[role].is_required() for role in (READER, OPERATOR)):
        return True
    return name not in seen.unguarded and found.recognition.guarded(found.clues)


def _engine(draft: _Draft) -> None:
    values: dict[str, Any] = {"kind": "compose", "project": draft.stack.project}
    values["files"] = [draft.relative(file) for file in draft.stack.files]
    if draft.stack.env_file:
        values["env_file"] = draft.relative(draft.stack.env_file)
    draft.tables.append(Table(("engine",), Engine, values))
    folders = {
        "incidents": "incidents",
        "baselines": f"state/{draft.name}/baselines",
        "backups": f"state/{draft.name}/backups",
    }
    draft.tables.append(Table(("folders",), Folders, folders))


def _variable(stack: Stack, what: str) -> str:
    """Return the name of a variable for a secret; the suite's own variables have another beginning."""
    prefix = re.sub(r"[^A-Z0-9]+", "_", stack.project.upper()).strip("_")
    own = prefix[:1].isalpha() and not prefix.startswith("ROLLPROOF")
    return f"{prefix if own else f'TARGET_{prefix}'}_{what}"


def _application(draft: _Draft) -> None:
    parts = draft.parts
    services = list(parts.application) or [UNANSWERED]
    table = Table(("application",), Application)
    table.values["url"] = parts.url or f"http://{UNANSWERED}.invalid"
    if parts.url is None:
        asked = "Where do users reach the application? No service of it publishes a port."
        draft.ask("application.url", asked, 'url = "http://127.0.0.1:8090"')
    elif parts.url_is_a_guess:
        asked = f"Which port of the range {parts.url_is_a_guess} is the application's?"
        draft.ask("application.url", asked, f"docker compose port tells; url = {value(parts.url)}")
    elif parts.other_urls:
        table.note("url", f"Published as well: {', '.join(parts.other_urls)}.")
    table.values["services"] = services
    if not parts.application:
        asked = "Which services are the application? The project has none beside its stores."
        draft.ask("application.services", asked, 'services = ["backend"]')
    table.values["writers"] = list(parts.writers)
    table.note("writers", "Assumed: those that name a store, or share a secret with one.")
    for which, why in (
        (parts.one_shots, "they end when they have done their work"),
        (parts.optional, "only a compose profile brings them up"),
    ):
        if which:
            table.note("services", f"Not among them, since {why}: {', '.join(which)}.")
    if draft.seen.running and not draft.seen.revisions:
        unlabelled = f"Not all of their images say which commit they are of, by the label {REVISION_LABEL}."
        table.note("services", unlabelled)
    _api(draft, table)
    table.values["repository"] = draft.relative(draft.repository)
    if not (draft.repository / ".git").exists():
        asked = "Where is the git repository of the application, whose commits are rolled back?"
        draft.ask("application.repository", asked, 'repository = "/srv/application"')
    draft.tables.append(table)
    _functions(draft)
    _proxy(draft)
    _canary(draft)


def _api(draft: _Draft, table: Table) -> None:
    api = draft.seen.api
    if api is None:
        asked = (
            "Is the application's API LAYRA's, under /api/v1? Nobody could be asked."
            if not draft.seen.running
            else "Is the application's API LAYRA's, under /api/v1? It did not answer."
        )
        draft.ask("application.api", asked, 'api = "/api/v1", or leave it out, which is the same')
        return
    if api.is_layra:
        table.note("url", f"Its API is LAYRA's, as {api.described_by} describes it.")
    if not api.interface:
        table.values["interface"] = ""
        table.note("interface", "Nobody outside sees the description of the API.")
    if api.health and not api.health.startswith("/api/v1/health/check"):
        draft.ask(
            "application.health",
            f"A health endpoint answers at {api.health}, which is not LAYRA's.",
            f'health = {{path = "{api.health}", expect = {value(dict(api.expect))}}}, with api = ""',
        )


def _functions(draft: _Draft) -> None:
    """Let the monitor ask LAYRA's chat; of another API name the paths that may be of use to describe it."""
    api = draft.seen.api
    if api is None:
        return
    if api.is_layra:
        draft.tables.append(Table(("application", "function"), Function, {"chat": True}))
        return
    told = f"{len(api.paths)} paths in {api.described_by}" if api.paths else "no description of it"
    found = {name: [path for path in api.paths if words.search(path)][:5] for name, words in _OF.items()}
    about = [
        f"Its API is not LAYRA's ({told}; health: {api.health or 'no endpoint found'}).",
        "Phase 3 verifies only what is described here.",
        *(f"Paths that may be for {name}: {', '.join(paths)}" for name, paths in found.items() if paths),
    ]
    draft.tables.append(Table(("application", "functions"), Functions, {"api": "own"}, about))
    draft.ask(
        "application.functions",
        f"By which requests does one log in, list documents and ask? The API is not LAYRA's ({told}).",
        "a table for each, such as [application.functions.chat]: see docs/howto/application.md",
    )


_OF = {
    "log_in": re.compile(r"(?i)log-?_?in|sign-?_?in|token|session"),
    "documents": re.compile(r"(?i)document|files?\b|librar|knowledge"),
    "chat": re.compile(r"(?i)chat|complet|ask|query|answer"),
}
_NO_TIMES = (
    "Its log has no times: nobody knows how long a request took."
    " Add $request_time at the end of nginx's log_format."
)
_NOT_SEEN = (
    "No line of it was seen: they must be of nginx's format `combined`,"
    " with $request_time at the end if they have times."
)


def _proxy(draft: _Draft) -> None:
    proxy, seen = draft.parts.proxy, draft.seen
    if proxy is None:
        asked = "Whose log tells of users' requests? No service is a proxy that is known."
        draft.ask("application.requests", asked, '[application.requests] with service = "…"')
        return
    about = list[str]()
    if seen.log == "combined":
        about.append(_NO_TIMES)
    elif seen.log == "unknown":
        asked = f"The log of {proxy} has another format than nginx's `combined`: which one?"
        draft.ask(
            "application.requests.pattern", asked, "pattern = '^…(?P<method>…)…(?P<path>…)…(?P<status>…)…$'"
        )
    elif not seen.log:
        about.append(_NOT_SEEN)
    draft.tables.append(Table(("application", "requests"), Requests, {"service": proxy}, about))
    if proxy in draft.parts.writers:
        return
    if seen.maintenance:
        values = {
            "service": proxy,
            "on": ["touch", seen.maintenance],
            "off": ["rm", "-f", seen.maintenance],
        }
        about = [f"Its configuration answers 503 while {seen.maintenance} is there."]
        draft.tables.append(Table(("application", "maintenance"), Maintenance, values, about))
        return
    none = (
        f"None was found in {proxy}, so that a rollback stops it too, and users are refused."
        " With a location that answers 503 with Retry-After while a file is there:"
    )
    file = "/tmp/maintenance"  # noqa: S108 - inside a container
    values = {"service": proxy, "on": ["touch", file], "off": ["rm", "-f", file]}
    draft.tables.append(Table(("application", "maintenance"), Maintenance, values, [none], proposed=True))


def _canary(draft: _Draft) -> None:
    named = {name: file for one in draft.stack.services.values() for name, file in one.secrets.items()}
    given = named.get("canary_password")
    place = {"file": given} if given else {"env": _variable(draft.stack, "CANARY_PASSWORD")}
    draft.secrets.append(place)
    values: dict[str, Any] = {"user": UNANSWERED, "password": place}
    key = "application.canary"
    for name, asks, answer in (
        ("user", "Which user is there for verification alone? Sign one up.", '"canary"'),
        ("knowledge_base", "Which knowledge base is its own? Make one, with a few documents.", '"USER_ID"'),
        ("question", "Which question has an answer in those documents?", '"How often is the lamp wound?"'),
        ("expected_file", "Which of its files is the answer from?", '"lamp.pdf"'),
    ):
        values[name] = UNANSWERED
        draft.ask(f"{key}.{name}", asks, f"{name} = {answer}")
    draft.tables.append(Table(("application", "canary"), Canary, values))


def _sweeper(draft: _Draft) -> None:
    """Propose the account that removes the traces of the canary's log-ins, of a store that can do so."""
    for name, found in draft.parts.stores.items():
        holders = draft.holders[name]
        if not kinds()[found.kind].sweep:
            continue
        secret = found.clues.secret_of(frozenset({CANARY}))
        if holders[READER] == holders[OPERATOR]:
            account = holders[OPERATOR]  # the server knows no other
        elif secret:
            account = Holder(secret[0], {"file": secret[1]})
        else:
            account = Holder("rollproof_canary", {"env": f"{found.clues.variable}_CANARY_PASSWORD"})
        draft.secrets.append(account.place)
        values = {"store": name, "account": account.section()}
        draft.tables.append(Table(("application", "canary", "sweeper"), Sweeper, values))
        return


def _store(draft: _Draft, name: str, found: Found) -> None:
    guarded = is_guarded(found, draft.seen, name)
    holders = holders_of(found, guarded=guarded)
    known = draft.seen.holdings.get(name, {})
    section = section_of(found, known)
    descriptor = kinds()[found.kind]
    table = Table(("stores", name), descriptor.profile, dict(section))
    table.about.append(f"Recognised: {found.because}.")
    if not guarded:
        table.about.append("It has no accounts, since everybody is let in.")
    if why := draft.seen.unseen.get(name):
        table.about.append(f"It was not looked into: {why}.")
    for role, holder in holders.items():
        table.values[role] = holder.section()
    _watched(draft, name, table)
    draft.stores[name] = profile_of(section, holders)
    draft.holders[name] = holders
    for field_name, one in section.items():
        if one == [UNANSWERED]:
            draft.ask(
                f"stores.{name}.{field_name}",
                f"Which {field_name} of {found.clues.service} are the application's?",
                f'{field_name} = ["…"]',
            )
    _broker(draft, name, found, table)
    draft.tables.append(table)


def _watched(draft: _Draft, name: str, table: Table) -> None:
    """Propose what follows from watching a store."""
    watched = draft.seen.watched
    if watched is None:
        return
    usual: dict[str, Policy] = table.values.get("policy", {})
    policies = _uncovered({**watched.policies.get(name, {}), **usual})
    if policies.keys() - usual.keys():
        table.values["policy"] = narrow_first(policies)
        table.note(
            "policy", f"Seen to change in {watched.seconds:.0f} s; what is not named must stay as it is."
        )
    touched = {one: its for one, its in watched.touched.get(name, {}).items() if one in policies}
    if touched:
        table.values["touched"] = touched
    if pattern := watched.made.get(name):
        table.values["made_by_users"] = [pattern]
        table.note("made_by_users", "Such names were made meanwhile, or by a program: one for each user.")


def _uncovered(policies: Mapping[str, Policy]) -> dict[str, Policy]:
    """Return `policies` without those that a wider pattern covers which allows as much."""
    allowed = get_args(Policy)  # the strictest first
    return {
        one: policy
        for one, policy in policies.items()
        if not any(
            other != one
            and other.endswith("*")
            and fnmatchcase(one, other)
            and allowed.index(policy) <= allowed.index(wider)
            for other, wider in policies.items()
        )
    }


def _broker(draft: _Draft, name: str, found: Found, table: Table) -> None:
    """Say where a server sends its clients, and whether that is a place that this host reaches."""
    service = draft.stack.services[found.clues.service]
    advertised = found.recognition.advertised(found.clues)
    if not advertised:
        return
    hosts = {address.rpartition(":")[0] for address in advertised}
    outside = hosts - draft.stack.services.keys() - {service.name}
    table.note("address", f"It sends its clients to {', '.join(advertised)}.")
    if outside:
        return
    servers = [one for one in found.services if one in draft.stack.services]
    if len(servers) == 1:
        table.note(
            "address", "That is a name of the project's network alone: the suite relays to a single server."
        )
    else:
        draft.ask(
            f"stores.{name}.address",
            f"Several servers ({', '.join(servers)}) advertise names that this host does not know.",
            "add a listener for the host to each, and publish it",
        )


def _mounts(draft: _Draft) -> None:
    """Propose a store for each mount that can hold state, as far as a rollback stops who writes to it."""
    databases = [name for name, store in draft.stores.items() if descriptor_of(store).revisions]
    stays = draft.parts.proxy if draft.seen.maintenance else None
    held, stateless = list[str](), dict[str, str]()
    for service, mount in _stateful(draft):
        place = f"{service}:{mount.destination}"
        if mount.kind == "bind" and PurePosixPath(mount.destination).suffix in _CONFIGURATION:
            stateless[place] = "configuration"
        elif service in draft.parts.application and service != stays:
            held.append(place)
        else:
            stateless[place] = UNANSWERED
            draft.ask(
                "application.stateless",
                f"Nothing backs up {place}: why may a rollback leave it as it is?",
                f'stateless = {{{value(place)} = "a cache"}}',
            )
    if stateless:
        next(one for one in draft.tables if one.model is Application).values["stateless"] = stateless
    of_migrations = [one for one in held if _MIGRATIONS.search(one)]
    others = [one for one in held if one not in of_migrations]
    kind = _kind_of_mounts()
    for usual, places, together in (("migrations", of_migrations, databases), ("state", others, [])):
        if not places:
            continue
        name = usual if usual not in draft.stores else f"{usual}-files"
        values = {"kind": kind, "risk": kinds()[kind].least_risk, "held": places, "together": together}
        draft.tables.append(Table(("stores", name), kinds()[kind].profile, values))
        shown = ", ".join(places)
        if of_migrations is places:
            asked = f"Do {shown} belong to the database that they have migrated?"
            draft.ask(f"stores.{name}.together", asked, f"together = {value(together)}")
        else:
            asked = f"Do {shown} hold state? One that does not: move it to [application], with the reason."
            draft.ask(f"stores.{name}.held", asked, f'stateless = {{{value(places[0])} = "a cache"}}')


def _stateful(draft: _Draft) -> Iterator[tuple[str, Mount]]:
    """Yield the mounts that can hold state of no store's, each with its service, the application's first."""
    parts, services = draft.parts, draft.stack.services
    of_stores = {service for found in parts.stores.values() for service in found.services}
    known = {mount.name for service in of_stores for mount in services[service].mounts}
    left_out = {*of_stores, *parts.one_shots, *parts.optional}
    for name in [*parts.application, *sorted(services.keys() - {*parts.application, *left_out})]:
        for mount in services[name].mounts:
            if mount.may_hold_state and mount.name not in known and not _is_code(draft, mount):
                known |= {mount.name} - {""}
                yield name, mount


def _is_code(draft: _Draft, mount: Mount) -> bool:
    """Return whether a checkout brings a mount back: it is of the repository, and git knows all of it."""
    source, repository = Path(mount.source), draft.repository
    if mount.kind != "bind" or not source.is_relative_to(repository):
        return False
    return not (repository / ".git").exists() or (source.exists() and not unknown_to_git(repository, source))


def _kind_of_mounts() -> str:
    """Return the kind of store that is no server, and holds mounts."""
    return next(
        kind for kind, one in kinds().items() if one.profile.model_fields["address"].annotation is type(None)
    )


def _left_out(draft: _Draft) -> None:
    for service, what in draft.parts.unsupported.items():
        draft.unsupported.append(
            f"service {service} looks like {what}, a store of a kind unknown to the suite:"
            " it has no section. Its data is neither backed up nor verified"
        )
    for service, why in draft.parts.unusable.items():
        draft.unsupported.append(f"service {service}: {why}")
