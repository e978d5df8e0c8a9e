"""Looking at a running project: greetings, what stores hold, the API, the proxy. Each within a deadline."""

from __future__ import annotations

import io
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from rollproof.engines.compose import PROJECT_LABEL, REVISION_LABEL, ComposeEngine
from rollproof.engines.engine import Container
from rollproof.engines.questions import asking
from rollproof.errors import Problem, UsageProblem, reason_of
from rollproof.home import typed
from rollproof.init.compose_files import LARGEST_BYTES, read_stack
from rollproof.init.observed import Api, Observed
from rollproof.init.parts import WEB_PORTS, Found, Parts, is_proxy, matches, parts_of, recognitions
from rollproof.init.proposal import holders_of, is_guarded, profile_of, section_of
from rollproof.init.stack import Port, Service, Stack
from rollproof.profile.access_log import COMBINED, NOTICES, searched
from rollproof.profile.sections import Account, Address, ApiKey, StoreProfile
from rollproof.reading import read_regular
from rollproof.redaction.secret import remember
from rollproof.redaction.secret_command import LARGEST_SECRET
from rollproof.stores.drivers import at_place
from rollproof.stores.reach import NOBODY, Reach, Readable
from rollproof.stores.recognising import READER, Login
from rollproof.stores.registry import view_at
from rollproof.system.http import Request, fetch
from rollproof.system.side_by_side import Question, Workers, wait_for

ENGINE_SECONDS = 10.0
_GREETING_SECONDS = 0.7
_LOOKING_SECONDS = 8.0
_HTTP_SECONDS = 1.0
_LOG_LINES = 200
_FILES_LABEL = "com.docker.compose.project.config_files"
_ENVIRONMENT_LABEL = "com.docker.compose.project.environment_file"
_DESCRIPTIONS = ("/openapi.json", "/api/openapi.json", "/api/v1/openapi.json")
_HEALTH = ("/api/v1/health/check", "/health/check", "/api/health", "/health", "/healthz", "/api/v1/health")
_USUAL_PORTS = (8000, 8080)
# Letters of a word such as UP, healthy, or operational.
_WORD = 20


@dataclass(frozen=True, slots=True)
class Looked:
    """A running project as it was seen, and the way into its stores, for who watches them."""

    stack: Stack
    parts: Parts
    seen: Observed
    ways: Mapping[str, StoreProfile] = field(default_factory=dict)


def running_stack(
    project: str, files: Sequence[Path], env_file: Path | None
) -> tuple[Stack, Mapping[str, tuple[Container, ...]], tuple[str, ...]]:
    """Return a running project: its stack, its containers, and the files that it was made from and are gone.

    Without `files`, those are read that its containers were made from.

    Raises:
        UsageProblem: no container is of that project. `Unverifiable`: the engine does not answer.
    """
    containers = ComposeEngine(project, ENGINE_SECONDS).containers()
    if not containers:
        raise UsageProblem(
            what="compose project",
            expected="one that has containers",
            observed=project,
            source=f"container engine, with {', '.join(_projects()) or 'no compose project at all'}",
            hint="docker compose ls --all names them; or give --file docker-compose.yml",
        )
    gone: tuple[str, ...] = ()
    if not files:
        named = _named_files(containers)
        files = [Path(name) for name in named if Path(name).is_file()]
        gone = tuple(name for name in named if not Path(name).is_file())
        if not files:
            raise UsageProblem(
                what=f"compose files of {project}",
                expected="files on this machine",
                observed=", ".join(gone) or "none",
                source="labels of its containers",
                hint=typed(f"init --project {project} --file docker-compose.yml"),
            )
        if env_file is None and (label := _label(containers, _ENVIRONMENT_LABEL)):
            env_file = Path(label) if Path(label).is_file() else None
    return read_stack(files, project, env_file), containers, gone


def _label(containers: Mapping[str, tuple[Container, ...]], name: str) -> str:
    """Return the value of a label that most containers have."""
    counted = Counter(one.labels.get(name, "") for several in containers.values() for one in several)
    return min(counted, key=lambda value: (-counted[value], value))


def _named_files(containers: Mapping[str, tuple[Container, ...]]) -> list[str]:
    """Return the compose files that containers were made from, in order: some may be made with fewer."""
    lists = {one.labels.get(_FILES_LABEL, "") for several in containers.values() for one in several}
    longest_first = sorted(lists, key=lambda text: (-text.count(","), text))
    return list(dict.fromkeys(name for text in longest_first for name in text.split(",") if name))


def _projects() -> list[str]:
    with asking("compose projects", "any", ENGINE_SECONDS) as api:
        listed = api.containers(all=True, filters={"label": PROJECT_LABEL})
    return sorted({str(one["Labels"][PROJECT_LABEL]) for one in listed})


def look(stack: Stack, containers: Mapping[str, tuple[Container, ...]]) -> Looked:
    """Return what the running project tells. What does not answer in time is left out, and said so."""
    engine = ComposeEngine(stack.project, ENGINE_SECONDS)
    here = {name for name, several in containers.items() if any(one.running for one in several)}
    ended = frozenset(
        name for name, several in containers.items() if several and all(one.completed for one in several)
    )
    stack = _as_it_runs(stack, engine, containers, here)
    greetings = _greetings(stack, containers, engine, here - ended)
    parts = parts_of(stack, greetings, ended)
    questions: dict[str, Question[Any]] = {
        f"store {name}": Question(name, lambda name=name, found=found: _into(name, found, engine))  # type: ignore[misc]
        for name, found in parts.stores.items()
        if found.clues.service in here
    }
    questions["api"] = Question("api", lambda: _api(parts, stack, engine, here) or "")
    if parts.proxy:
        proxy = containers.get(parts.proxy, ())
        questions["log"] = Question("log", lambda: _log(engine, proxy))
        questions["maintenance"] = Question("maintenance", lambda: _maintenance(engine, proxy))
    for question in questions.values():
        question.start()
    wait_for(questions.values(), _LOOKING_SECONDS)
    answers = {name: _answer(question) for name, question in questions.items()}
    into = {name: answers.get(f"store {name}") for name in parts.stores}
    own = [one for name in parts.application for one in containers.get(name, ())]
    seen = Observed(
        running=True,
        greetings=greetings,
        ended=ended,
        holdings={name: one.holds for name, one in into.items() if one},
        unseen={
            name: one.why if one else "it gave no answer in time"
            for name, one in into.items()
            if not one or one.why
        },
        unguarded=frozenset(name for name, one in into.items() if one and one.unguarded),
        api=answers.get("api") or None,
        log=answers.get("log") or "",
        maintenance=answers.get("maintenance") or "",
        revisions=bool(own) and all(REVISION_LABEL in one.labels for one in own),
    )
    ways = {name: one.way for name, one in into.items() if one and one.way}
    return Looked(stack, parts, seen, ways)


def _as_it_runs(
    stack: Stack, engine: ComposeEngine, containers: Mapping[str, tuple[Container, ...]], here: set[str]
) -> Stack:
    """Return the stack with its containers' mounts, and the ports that they have of published ranges."""

    def actual(name: str, port: Port) -> Port:
        with suppress(Problem):
            if "-" in port.published and name in here:
                return replace(
                    port, published=str(engine.resolve(Address(service=name, port=port.target)).port)
                )
        return port

    services = {
        name: replace(
            one,
            ports=tuple(actual(name, port) for port in one.ports),
            mounts=containers[name][0].mounts if containers.get(name) else one.mounts,
        )
        for name, one in stack.services.items()
    }
    return replace(stack, services=services)


def configured(stack: Stack, parts: Parts) -> Observed:
    """Return what the files alone tell of the proxy, by its mounted configuration."""
    if parts.proxy is None:
        return Observed()
    mounted = [Path(one.source) for one in stack.services[parts.proxy].mounts if one.kind == "bind"]
    texts = [text.get_secret_value() for path in mounted if (text := _file(str(path))) is not None]
    return Observed(maintenance=maintenance_file(texts))


def _answer(question: Question[Any]) -> Any:  # noqa: ANN401 - each question has its own
    if question.waiting:
        return None
    with suppress(Problem):
        return question.answer()
    return None


def _greetings(
    stack: Stack, containers: Mapping[str, tuple[Container, ...]], engine: ComposeEngine, here: set[str]
) -> dict[str, tuple[str, int, str]]:
    """Return the kind, port and words of each service that answers as a store."""
    every = recognitions()
    asked = []
    for name in sorted(here & stack.services.keys()):
        service = stack.services[name]
        ports = _ports(service, containers[name])
        known = [kind for kind, one in every.items() if matches(service.short_image, one.images)]
        if not known and is_proxy(service):
            continue
        for kind, one in every.items():
            if one.greet is None or (known and kind not in known):
                continue
            # On those of the web HTTP is spoken, and our greeting would be logged as an error of a user.
            places = [*one.ports, *ports] if known else [port for port in ports if port not in WEB_PORTS]
            asked += [(name, kind, port) for port in dict.fromkeys(places)]

    def greeting(one: tuple[str, str, int]) -> str:
        name, kind, port = one
        greet = every[kind].greet
        with suppress(Problem):
            endpoint = engine.resolve(Address(service=name, port=port))
            return greet(Reach(name, endpoint, NOBODY, _GREETING_SECONDS)) if greet else ""
        return ""

    found: dict[str, tuple[str, int, str]] = {}
    with suppress(TimeoutError), Workers(16, "greetings") as workers:
        for (name, kind, port), said in zip(
            asked, workers.in_order(greeting, asked, seconds=_LOOKING_SECONDS), strict=False
        ):
            if said:
                found.setdefault(name, (kind, port, said))
    return found


def _ports(service: Service, containers: tuple[Container, ...]) -> list[int]:
    exposed = containers[0].settings.get("ExposedPorts") if containers else None
    named = exposed if isinstance(exposed, dict) else {}
    of_image = sorted(int(port.partition("/")[0]) for port in named if port.endswith("/tcp"))
    return list(dict.fromkeys([*(port.target for port in service.ports), *of_image]))


@dataclass(frozen=True, slots=True)
class _Into:
    """What a store holds, and the section with which it was looked into; `why` not, in words."""

    holds: Mapping[str, Any] = field(default_factory=dict)
    way: StoreProfile | None = None
    why: str = ""
    unguarded: bool = False


def _into(name: str, found: Found, engine: ComposeEngine) -> _Into:
    guarded = is_guarded(found, Observed(), name)
    section = section_of(found, {})
    endpoint = engine.resolve(Address(**section["address"]))
    profile = profile_of(section, holders_of(found, guarded=guarded))
    profile = profile.model_copy(update={"deadline_seconds": 3.0})
    optional = not type(profile).model_fields[READER].is_required()
    logins: list[Login | None] = [None] if optional else []
    for login in [*logins, *_logins(found)]:
        reader = _identity(login, profile)
        way = profile.model_copy(update={"reader": reader})
        with suppress(Problem):
            holds: Mapping[str, Any] = {}
            readable = Readable(name, way, endpoint, engine=engine)
            if found.recognition.holdings:
                holds = at_place(found.recognition.holdings)(readable)
                way = type(way).model_validate({**dict(way), **holds}) if holds else way
            else:
                with view_at(name, way, endpoint, engine) as view:
                    view.ask()
            return _Into(holds, way, unguarded=login is None)
    return _Into(why=_unread(found) or "no account that compose names may look into it")


def _unread(found: Found) -> str:
    """Return which secret of a store cannot be read here, and why, in words; "" if all can."""
    for file in sorted(found.clues.secrets.values()):
        try:
            read_regular(Path(file), LARGEST_SECRET)
        except OSError as error:
            return f"compose's secret {file} cannot be read: {reason_of(error)}"
    return ""


def _identity(login: Login | None, profile: StoreProfile) -> Account | ApiKey | None:
    if login is None:
        return None
    remember(login.secret.get_secret_value())
    wants_key = ApiKey in getattr(type(profile).model_fields[READER].annotation, "__args__", ())
    return ApiKey(key=login.secret) if wants_key else Account(user=login.user, password=login.secret)


def _logins(found: Found) -> Iterator[Login]:
    """Yield the accounts that compose names for a store, those for reading first."""
    clues, sign = found.clues, found.recognition
    own = [one for one in sorted(clues.secrets) if one]
    order = {"reader": 0, "readonly": 0, "operator": 1, "root": 1, "admin": 1}
    words = {name: name.lower().replace("-", "_").rpartition("_")[2] for name in own}
    users = {holder.user for holder in holders_of(found, guarded=True).values()}
    for name in sorted(own, key=lambda one: (order.get(words[one], 2), one)):
        if secret := _file(clues.secrets[name]):
            yield Login(words[name], secret)
            for user in sorted(users - {words[name]}):
                yield Login(user, secret)
    for user, variable in sign.logins:
        value = clues.says(variable)
        named = clues.says(user[1:]) if user.startswith("$") else user
        if value and named:
            yield Login(named, SecretStr(value))
        inside = Path(clues.says(f"{variable}_FILE")).name
        if named and (secret := _file(clues.secrets.get(inside, ""))):
            yield Login(named, secret)
    yield from sign.more_logins(clues)


def _file(name: str) -> SecretStr | None:
    path = Path(name)
    with suppress(OSError, UnicodeDecodeError):
        if name:
            text = read_regular(path, LARGEST_SECRET).decode().strip()
            return SecretStr(text) if text else None
    return None


def _api(parts: Parts, stack: Stack, engine: ComposeEngine, here: set[str]) -> Api | None:
    """Return the API, by its description outside, or by that which a service itself shows."""
    inside = [
        _url(engine, name, port)
        for name in parts.application
        if name in here
        for port in [one.target for one in stack.services[name].ports] or _USUAL_PORTS
    ]
    found = Api()
    for url in dict.fromkeys(url for url in (parts.url, *inside) if url):
        described = ((path, _paths(f"{url}{path}")) for path in _DESCRIPTIONS)
        shown, paths = next(((path, paths) for path, paths in described if paths), ("", ()))
        if paths:
            outside = url == parts.url
            found = Api(
                described_by=f"{url}{shown}" if outside else f"{shown} of a service itself",
                interface=shown if outside else "",
                paths=paths,
            )
            break
    for path in _HEALTH if parts.url else ():
        if answer := _json(f"{parts.url}{path}"):
            states = [
                (name, one) for name, one in answer.items() if isinstance(one, str) and len(one) < _WORD
            ]
            return replace(found, health=path, expect=dict(states[:1]))
    return found if found.paths else None


def _paths(url: str) -> tuple[str, ...]:
    answer = _json(url) or {}
    paths = answer.get("paths")
    return tuple(sorted(paths)) if isinstance(paths, dict) else ()


def _url(engine: ComposeEngine, service: str, port: int) -> str:
    with suppress(Problem):
        endpoint = engine.resolve(Address(service=service, port=port))
        return f"http://{endpoint.in_url}:{endpoint.port}"
    return ""


def _json(url: str) -> dict[str, Any] | None:
    with suppress(Problem):
        answer = fetch(Request("GET", url), _HTTP_SECONDS)
        if answer.status == 200 and isinstance(answer.body, dict):  # noqa: PLR2004 - HTTP's OK
            return answer.body
    return None


def _log(engine: ComposeEngine, containers: Iterable[Container]) -> str:
    for one in containers:
        return log_format(engine.logs(one.id, _LOG_LINES).splitlines())
    return ""


def _maintenance(engine: ComposeEngine, containers: Iterable[Container]) -> str:
    for one in containers:
        with engine.files(one.id, "/etc/nginx", ENGINE_SECONDS) as chunks:
            return maintenance_file(_configurations(chunks))
    return ""


def _configurations(chunks: Iterator[bytes]) -> Iterator[str]:
    """Yield the text of each configuration in a tar, as far as a folder of a proxy can be long."""
    data = b""
    for chunk in chunks:
        data += chunk
        if len(data) > 16 * LARGEST_BYTES:
            return
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            if (
                member.isfile()
                and member.name.endswith((".conf", "default"))
                and (file := tar.extractfile(member))
            ):
                yield file.read().decode(errors="replace")


_FILE_IS_THERE = re.compile(r"if\s*\(\s*-f\s+[\"']?(?P<file>/[^\s)\"']+)[\"']?\s*\)")
_UNAVAILABLE = re.compile(r"return\s+503\b")
_COMMENT = re.compile(r"(?m)#.*$")


def log_format(lines: Iterable[str]) -> str:
    """Return the format of a proxy's log: ``timed``, ``combined``, ``unknown``, or "" without a request."""
    found = ""
    for line in lines:
        if match := searched(COMBINED, line):
            found = "timed" if match["seconds"] is not None else "combined"
        elif line.strip() and not searched(NOTICES, line) and not line.startswith("/"):
            found = found or "unknown"
    return found


def maintenance_file(configurations: Iterable[str]) -> str:
    """Return the file while which is there nginx answers 503, by its configuration; "" without one."""
    for text in configurations:
        code = _COMMENT.sub("", text)
        if _UNAVAILABLE.search(code) and (found := _FILE_IS_THERE.search(code)):
            return found["file"]
    return ""
