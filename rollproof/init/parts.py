"""The parts of a compose project: stores, the application, what ends by itself, what is not supported."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from rollproof.init.stack import ComposeFiles, ComposeService
from rollproof.profile.kinds import kinds
from rollproof.profile.recognition import Recognition

_UNSUPPORTED = (
    *("arangodb", "cassandra", "chroma", "clickhouse*", "cockroach", "couchdb", "elasticsearch*", "etcd"),
    *("influxdb", "meilisearch", "memcached", "mssql-server", "nats", "neo4j", "opensearch", "oracle-*"),
    *("pulsar", "rabbitmq", "scylla", "surrealdb", "typesense", "vespa", "weaviate", "zookeeper"),
    *("cp-zookeeper", "nebula-*", "falkordb", "memgraph*"),
)
"""Images of stores that the suite has no kind for."""
_PROXIES = ("nginx*", "traefik", "caddy", "haproxy", "httpd", "envoy*", "openresty", "apache")
_USABLE = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_SECURE_PORTS = frozenset({443, 8443})
WEB_PORTS = (443, 80, 8443, 8080, 8000, 8090, 3000, 5000, 8888)
"""Usual ports of applications and their proxies, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Found:
    """A store: its kind, its services, the first of which is connected to, and why it was recognised.

    `service` is that first one. `variable` begins the names of variables that the profile invents for it:
    ``SHOP_MYSQL``.
    """

    kind: str
    services: tuple[str, ...]
    port: int
    service: ComposeService
    variable: str
    because: str

    @property
    def sign(self) -> Recognition:
        """The signs of its kind."""
        return recognitions()[self.kind]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a project. `unsupported` are services that no profile can name, each with the reason.

    `urls` are the published addresses of the application, the likeliest first.
    """

    stores: Mapping[str, Found]
    unsupported: Mapping[str, str]
    application: tuple[str, ...]
    writers: tuple[str, ...]
    one_shots: tuple[str, ...]
    optional: tuple[str, ...]
    proxy: str | None
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Looked:
    """A project as it was seen: `stack` and `parts` alone where only its files are known.

    `holdings` are keys of a store's section as its server lists them. `unseen` are the stores that nobody
    could look into, `unguarded` those that ask nobody who they are.
    """

    stack: ComposeFiles
    parts: Parts
    holdings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    unguarded: frozenset[str] = frozenset()


def recognitions() -> dict[str, Recognition]:
    """Return the signs of every kind of store that is a service."""
    return {kind: one.recognition for kind, one in kinds().items() if one.recognition}


def parts_of(stack: ComposeFiles, ended: frozenset[str] = frozenset()) -> Parts:
    """Return the parts of `stack`; the containers of the services `ended` have ended well for good."""
    optional = {name for name, one in stack.services.items() if one.optional}
    there = {name: one for name, one in stack.services.items() if name not in optional}
    one_shots = {*ended, *(other for one in there.values() for other in one.completed)} & there.keys()
    there = {name: one for name, one in there.items() if name not in one_shots}
    recognised = {name: found for name, one in there.items() if (found := _by_image(one)) is not None}
    known = {found.kind for found in recognised.values()}
    strangers = (one for name, one in there.items() if name not in recognised)
    recognised |= {one.name: found for one in strangers if (found := _by_other_signs(one, known)) is not None}
    stores, parts = _stores(stack, there, recognised)
    taken = {service for found in stores.values() for service in found.services} | parts
    rest = {name: one for name, one in there.items() if name not in taken}
    unsupported = {
        name: f"{one.image or 'built here'}: {why}" for name, one in rest.items() if (why := _unusable(one))
    }
    rest = {name: one for name, one in rest.items() if name not in unsupported}
    proxies = [name for name in rest if is_proxy(rest[name])]
    return Parts(
        stores=stores,
        unsupported=unsupported,
        application=tuple(sorted(rest)),
        writers=tuple(sorted(name for name in rest if name not in proxies)),
        one_shots=tuple(sorted(one_shots)),
        optional=tuple(sorted(optional)),
        proxy=proxies[0] if proxies else None,
        urls=tuple(_urls(rest)),
    )


def is_proxy(service: ComposeService) -> bool:
    """Return whether a service hands requests on, and writes no data."""
    return _matches(service.short_image, _PROXIES) or _matches(service.name.lower(), _PROXIES)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _unusable(service: ComposeService) -> str:
    """Return why a profile cannot have a service, in words, or ""."""
    if _matches(service.short_image, _UNSUPPORTED):
        return "a store of a kind unknown to the suite, whose data is neither backed up nor verified"
    if not _USABLE.fullmatch(service.name):
        return "its name has letters that a profile's services have not (a-z, 0-9, _ . -)"
    return ""


def _by_image(service: ComposeService) -> Found | None:
    """Return the store that a service is by its image, or None."""
    image = service.short_image
    for kind, one in recognitions().items():
        if _matches(image, one.images):
            return _found(service, kind, f"its image is {image}")
    return None


def _by_other_signs(service: ComposeService, known: Collection[str]) -> Found | None:
    """Return the store that a service is by its environment or port, or None.

    A client may have the same variables as the server. So where a server of the kind is `known`, variables
    alone are no sign.
    """
    targets, every = {port.target for port in service.ports}, recognitions()
    named = bool(service.short_image) and not service.build
    if _matches(service.short_image, _UNSUPPORTED):
        return None
    for kind, one in every.items():
        fits = not targets.isdisjoint(one.ports) or (kind not in known and not (named and targets))
        if fits and one.variables and any(name.startswith(one.variables) for name in service.environment):
            return _found(service, kind, "its environment has variables of that server")
    if named:
        return None  # an image of another name: a port alone would be a guess against it
    usual = ((kind, port) for kind, one in every.items() for port in one.ports if port in targets)
    return next((_found(service, kind, f"its port is {port}") for kind, port in usual), None)


def _found(service: ComposeService, kind: str, because: str) -> Found:
    # The port for clients: a usual one, else the only other one of the container, else the usual.
    targets, usual = [port.target for port in service.ports], recognitions()[kind].ports
    known = next((port for port in usual if port in targets), None)
    port = known or (targets[0] if len(targets) == 1 else usual[0])
    return Found(kind, (service.name,), port, service, "", because)


def _stores(
    stack: ComposeFiles, there: Mapping[str, ComposeService], recognised: Mapping[str, Found]
) -> tuple[dict[str, Found], set[str]]:
    """Return the stores by name, and all services that hold a part of another one's data."""
    recognised = {
        name: one
        for name, one in recognised.items()
        if one.sign.several_are_one or not _helps(one, recognised.values())
    }
    held: dict[str, tuple[str, ...]] = {}
    for name, one in recognised.items():
        hosts = {_host(host) for part in one.sign.parts for host in one.service.value(part).split(",")}
        held[name] = tuple(other for other in there if other in hosts and other != name)
    parts = {part for several in held.values() for part in several}
    # A part that the application speaks to as well is a store of its own too.
    clients = [one for name, one in there.items() if name not in recognised and name not in parts]
    shared = {part for part in parts & recognised.keys() if any(_mentions(one, part) for one in clients)}
    groups: dict[str, list[Found]] = {}
    for name, one in recognised.items():
        if name not in parts or name in shared:
            groups.setdefault(one.kind if one.sign.several_are_one else name, []).append(one)
    kinds_there = [several[0].kind for several in groups.values()]
    found: dict[str, Found] = {}
    for several in groups.values():
        # Of several brokers, the one that this host can reach by what it advertises, else the first.
        several.sort(key=lambda one: (not _is_reached(one), one.service.name))
        first, names = several[0], [one.service.name for one in several]
        own = names[0].lower().lstrip("_.-") or "store"
        own = first.sign.name if kinds_there.count(first.kind) == 1 else own
        own = own if own not in found else f"{own}-{len(found)}"
        services = (*names, *(part for name in names for part in held[name]))
        found[own] = replace(first, services=services, variable=variable_of(stack, own))
    return dict(sorted(found.items())), parts


def _is_reached(found: Found) -> bool:
    """Return whether a server sends its clients on to an address that this host knows."""
    service, hosts = found.service, ("127.0.0.1", "localhost")
    published = {f"{host}:{port.published}" for port in service.ports for host in hosts}
    return not published.isdisjoint(re.findall(r"://([^,\s]+:\d+)", service.value(*found.sign.advertised)))


def variable_of(stack: ComposeFiles, what: str) -> str:
    """Return the prefix of variables for secrets of `what`, which is not that of the suite's own."""
    variable = re.sub(r"[^A-Z0-9]+", "_", f"{stack.project}_{what}".upper()).strip("_")
    return (
        f"TARGET_{variable}" if not variable[:1].isalpha() or variable.startswith("ROLLPROOF") else variable
    )


def _host(address: str) -> str:
    return address.strip().rpartition("://")[2].partition("/")[0].partition(":")[0]


def _mentions(service: ComposeService, other: str) -> bool:
    """Return whether a service waits for `other`, or names it as a host in its environment or command."""
    return other in service.after or _names(service, other)


def _names(service: ComposeService, other: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(other)}(?![\w-])", service.words()) is not None


def _helps(one: Found, others: Iterable[Found]) -> bool:
    """Return whether a service names another of its kind: it prepares that one, or is its replica."""
    own = one.service
    kin = [other.service for other in others if other.kind == one.kind and other.service.name != own.name]
    return any(_names(own, other.name) and not _names(other, own.name) for other in kin)


def _urls(application: Mapping[str, ComposeService]) -> list[str]:
    """Return the published addresses of the application, the proxy's first."""
    found = []
    for name, service in application.items():
        for port in service.ports:
            if port.published and "-" not in port.published:
                usual = WEB_PORTS.index(port.target) if port.target in WEB_PORTS else len(WEB_PORTS)
                scheme = "https" if port.target in _SECURE_PORTS else "http"
                host = f"[{port.host}]" if ":" in port.host else port.host
                found.append((not is_proxy(service), usual, name, f"{scheme}://{host}:{port.published}"))
    return [url for *_, url in sorted(found)]
