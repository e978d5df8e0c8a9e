"""The parts of a compose project: stores, the application, what ends by itself, what is not supported."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from rollproof.init.stack import Service, Stack
from rollproof.profile.kinds import kinds
from rollproof.stores.drivers import at_place
from rollproof.stores.recognising import Clues, Recognition

UNSUPPORTED: Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "ArangoDB": (("arangodb",), (8529,)),
    "Cassandra": (("cassandra", "scylla"), (9042,)),
    "Chroma": (("chroma",), ()),
    "ClickHouse": (("clickhouse*",), (8123,)),
    "CockroachDB": (("cockroach",), (26257,)),
    "CouchDB": (("couchdb",), (5984,)),
    "Elasticsearch or OpenSearch": (("elasticsearch*", "opensearch"), (9200,)),
    "etcd": (("etcd",), (2379,)),
    "InfluxDB": (("influxdb",), (8086,)),
    "Meilisearch": (("meilisearch",), (7700,)),
    "Memcached": (("memcached",), (11211,)),
    "Microsoft SQL Server": (("mssql-server", "azure-sql-edge"), (1433,)),
    "NATS": (("nats",), (4222,)),
    "Neo4j": (("neo4j",), (7687,)),
    "Oracle": (("oracle-*",), (1521,)),
    "PostgreSQL": (("postgres*", "pgvector", "postgis", "timescaledb*"), (5432,)),
    "Pulsar": (("pulsar",), (6650,)),
    "RabbitMQ": (("rabbitmq",), (5672,)),
    "Typesense": (("typesense",), (8108,)),
    "Weaviate": (("weaviate",), ()),
    "ZooKeeper": (("zookeeper", "cp-zookeeper"), (2181,)),
}
"""Stores that the suite has no kind for: patterns of their images, and their usual ports."""

PROXIES = ("nginx*", "traefik", "caddy", "haproxy", "httpd", "envoy*", "openresty", "apache")
"""Patterns of images, or names of services, that hand requests on and write no data."""
_PAGES = re.compile(r"(?i)(front-?end|web-?ui|ui|www|static|dashboard)")
_SECURE_PORTS = frozenset({443, 8443})
WEB_PORTS = (443, 80, 8443, 8080, 8000, 8090, 3000, 5000, 8888)
"""Usual ports of applications and their proxies, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Found:
    """A store: its kind, its services, the first of which is the one to connect to, and the reason."""

    kind: str
    services: tuple[str, ...]
    port: int
    clues: Clues
    because: str

    @property
    def recognition(self) -> Recognition:
        """The signs of its kind."""
        return recognitions()[self.kind]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a project. Each service is in exactly one of them."""

    stores: Mapping[str, Found]
    unsupported: Mapping[str, str]
    application: tuple[str, ...]
    writers: tuple[str, ...]
    one_shots: tuple[str, ...]
    optional: tuple[str, ...]
    proxy: str | None
    url: str | None
    other_urls: tuple[str, ...] = ()
    url_is_a_guess: str = ""
    """The range of ports of which `url` has the first, if it was published so."""
    unusable: Mapping[str, str] = field(default_factory=dict)
    """Services of the application that a profile cannot name, each with the reason."""


def recognitions() -> dict[str, Recognition]:
    """Return the signs of every kind of store that is a service."""
    return {
        kind: at_place(descriptor.recognition)
        for kind, descriptor in kinds().items()
        if descriptor.recognition
    }


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Return whether `name` matches a shell-style pattern."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def parts_of(
    stack: Stack,
    greetings: Mapping[str, tuple[str, int, str]] | None = None,
    ended: frozenset[str] = frozenset(),
) -> Parts:
    """Return the parts of `stack`.

    `greetings` are the kind, port and words of what answered in running services. `ended` are the services
    whose containers have ended well, and would not have been started again.
    """
    greetings = greetings or {}
    optional = {name for name, one in stack.services.items() if one.optional and name not in greetings}
    there = {name: one for name, one in stack.services.items() if name not in optional}
    one_shots = {other for one in there.values() for other in one.completed if other in there} | (
        ended & there.keys()
    )
    there = {name: one for name, one in there.items() if name not in one_shots}
    recognised = {
        name: sign for name, one in there.items() if (sign := _sign_of(one, greetings.get(name))) is not None
    }
    stores, parts = _stores(stack, there, recognised)
    taken = {service for found in stores.values() for service in found.services}
    rest = {name: one for name, one in there.items() if name not in taken}
    unsupported = {
        name: what for name, one in rest.items() if (what := _unsupported(one)) and name not in parts
    }
    application = [name for name in rest if name not in unsupported]
    unusable = {
        name: "its name has letters that a profile's services have not (a-z, 0-9, _ . -)"
        for name in application
        if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", name)
    }
    application = [name for name in application if name not in unusable]
    urls = _urls(rest, application)
    proxies = [name for name in application if is_proxy(rest[name])]
    return Parts(
        stores=stores,
        unsupported=dict(sorted(unsupported.items())),
        application=tuple(sorted(application)),
        writers=tuple(_writers(application, rest, stores, stack)),
        one_shots=tuple(sorted(one_shots)),
        optional=tuple(sorted(optional)),
        proxy=proxies[0] if proxies else None,
        url=urls[0][0] if urls else None,
        other_urls=tuple(url for url, _ in urls[1:]),
        url_is_a_guess=urls[0][1] if urls else "",
        unusable=unusable,
    )


def is_proxy(service: Service) -> bool:
    """Return whether a service hands requests on."""
    return matches(service.short_image, PROXIES) or matches(service.name.lower(), PROXIES)


def _sign_of(service: Service, greeting: tuple[str, int, str] | None) -> tuple[str, int, str] | None:
    """Return the kind and port of the store that a service is, and why; None if it is none."""
    targets = [port.target for port in service.ports]
    if greeting is not None:
        kind, port, said = greeting
        return kind, port, f"it answered on port {port}: {said}"
    for kind, one in recognitions().items():
        if matches(service.short_image, one.images):
            return kind, _port(one, targets), f"its image is {service.short_image}"
    named = bool(service.short_image) and not service.build
    for kind, one in recognitions().items():
        # Its clients, such as a web page for it, may have the same variables, and another port.
        fits = not named or not targets or not set(one.ports).isdisjoint(targets)
        if fits and one.variables and any(name.startswith(one.variables) for name in service.environment):
            return kind, _port(one, targets), "its environment has variables of that server"
    if named:
        return None  # an image of another name: a port alone would be a guess against it
    for kind, one in recognitions().items():
        if usual := next((port for port in one.ports if port in targets), None):
            return kind, usual, f"its port is {usual}"
    return None


def _port(recognition: Recognition, targets: Sequence[int]) -> int:
    """Return the port for clients: a usual one, else the only other one of the container, else the usual."""
    for port in recognition.ports:
        if port in targets:
            return port
    return targets[0] if len(targets) == 1 else recognition.ports[0]


def _stores(
    stack: Stack,
    there: Mapping[str, Service],
    recognised: Mapping[str, tuple[str, int, str]],
) -> tuple[dict[str, Found], set[str]]:
    """Return the stores by name, and all services that hold a part of another one's data."""
    every = recognitions()
    recognised = {
        name: one
        for name, one in recognised.items()
        if every[one[0]].one_of_many or not _helps(name, recognised, there)
    }
    of: dict[str, tuple[str, ...]] = {}
    for name, (kind, _, _) in recognised.items():
        addresses = every[kind].parts(clues_of(stack, there[name], name))
        hosts = {_host(one) for address in addresses for one in address.split(",")}
        of[name] = tuple(other for other in there if other in hosts and other != name)
    parts = {part for several in of.values() for part in several}
    # A part that the application speaks to as well is a store of its own too.
    shared = {
        part
        for part in parts & recognised.keys()
        for name, one in there.items()
        if name not in recognised and name not in parts and mentions(one, part)
    }
    first: dict[str, list[str]] = {}
    for name, (kind, _, _) in recognised.items():
        if name in parts and name not in shared:
            continue
        group = kind if every[kind].one_of_many else name
        first.setdefault(group, []).append(name)
    kinds_there = [recognised[names[0]][0] for names in first.values()]
    found: dict[str, Found] = {}
    for names in first.values():
        # Of several brokers, the one that this host can reach by what it advertises, else a published one.
        names.sort(key=lambda name: (not _reached(stack, there[name], every), name))
        kind, port, because = recognised[names[0]]
        usual = every[kind].name
        own = usual if kinds_there.count(kind) == 1 else _store_name(names[0])
        own = own if own not in found else f"{own}-{len(found)}"
        services = (*names, *(part for name in names for part in of[name]))
        found[own] = Found(
            kind,
            services,
            port,
            clues_of(stack, there[names[0]], own),
            because,
        )
    return dict(sorted(found.items())), parts


def _store_name(service: str) -> str:
    return re.sub(r"^[^a-z0-9]+", "", service.lower()) or "store"


def _reached(stack: Stack, service: Service, every: Mapping[str, Recognition]) -> bool:
    published = {f"127.0.0.1:{port.published}" for port in service.ports if port.published}
    published |= {f"localhost:{port.published}" for port in service.ports if port.published}
    clues = clues_of(stack, service, service.name)
    return any(address in published for one in every.values() for address in one.advertised(clues))


def clues_of(stack: Stack, service: Service, name: str) -> Clues:
    """Return what compose says of the store `name`, whose first service is `service`."""
    variable = re.sub(r"[^A-Z0-9]+", "_", f"{stack.project}_{name}".upper()).strip("_")
    if not variable[:1].isalpha() or variable.startswith("ROLLPROOF_"):
        variable = f"TARGET_{variable}"
    return Clues(service.name, variable, service.environment, service.command, service.secrets)


def _host(address: str) -> str:
    return address.strip().rpartition("://")[2].partition("/")[0].partition(":")[0]


def mentions(service: Service, other: str) -> bool:
    """Return whether a service waits for `other`, or names it as a host in its environment or command."""
    return other in service.after or _names(service, other)


def _names(service: Service, other: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(other)}(?![\w-])", service.words()) is not None


def _helps(name: str, recognised: Mapping[str, tuple[str, int, str]], there: Mapping[str, Service]) -> bool:
    """Return whether a service names another of its kind: it is a helper of that one, or its replica."""
    return any(
        _names(there[name], other) and not _names(there[other], name)
        for other, one in recognised.items()
        if other != name and one[0] == recognised[name][0]
    )


def _unsupported(service: Service) -> str:
    """Return what store a service looks like that the suite does not know, or ""."""
    for what, (images, ports) in UNSUPPORTED.items():
        if matches(service.short_image, images):
            return what
        if not service.short_image and any(port.target in ports for port in service.ports):
            return what
    return ""


def _urls(services: Mapping[str, Service], application: Sequence[str]) -> list[tuple[str, str]]:
    """Return the published addresses of the application and their ranges of ports, the proxy's first."""
    found = []
    for name in application:
        proxied = not is_proxy(services[name])
        for port in services[name].ports:
            if port.published:
                first, dash, _ = port.published.partition("-")
                scheme = "https" if port.target in _SECURE_PORTS else "http"
                usual = WEB_PORTS.index(port.target) if port.target in WEB_PORTS else len(WEB_PORTS)
                host = f"[{port.host}]" if ":" in port.host else port.host
                url = f"{scheme}://{host}:{first}"
                found.append((proxied, usual, name, url, port.published if dash else ""))
    return [(url, several) for *_, url, several in sorted(found)]


def _writers(
    application: Sequence[str],
    services: Mapping[str, Service],
    stores: Mapping[str, Found],
    stack: Stack,
) -> list[str]:
    """Return the services that may write data: those that name a store, or share a secret with one."""
    of_stores = {service for found in stores.values() for service in found.services}
    secrets = {name for service in of_stores for name in stack.services[service].secrets}
    some = [
        name
        for name in application
        if not is_proxy(services[name])
        and (
            any(mentions(services[name], store) for store in of_stores)
            or secrets & services[name].secrets.keys()
        )
    ]
    others = [name for name in application if not is_proxy(services[name]) and not _PAGES.fullmatch(name)]
    return sorted(some or others)
