"""Which request goes where, and who may ask: the route table. Pure and immutable; it is swapped whole.

A service has one `ServiceRoute`. From all of them `RouteTable` derives what a request needs: the service of a
host name, the exporter of an API, the caller of a token. When two services export one API, the one from the
source with precedence has it, then the one whose id sorts first; a stopped service exports nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Who acts for the node itself, in Atek-Auth-User and Atek-Auth-Service.
SYSTEM = "system"
#: The node itself as a service among others; no host name leads to it.
NODE = ""


@dataclass(frozen=True, slots=True)
class Export:
    """An API at a path of a backend. `transport` is rpc (JSON-RPC by POST) or proxy (a WebSocket)."""

    api: str
    path: str
    transport: str = "rpc"


@dataclass(frozen=True, slots=True)
class Backend:
    """A ready instance. It listens on a Unix socket, or on host and port."""

    instance: str
    socket: str | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    exports: tuple[Export, ...] = ()


@dataclass(frozen=True, slots=True)
class Credential:
    """A token that an instance was given, and the session id of its processes (its pid)."""

    token: str
    pid: int = 0


@dataclass(frozen=True, slots=True)
class ServiceRoute:
    """All that the router needs to know about one service.

    `rank` is its source's precedence, the lowest first. `exports` are declared even while nothing is ready.
    `allow` lists the APIs it may call; None is all of them. `owner` is a user's key.
    """

    id: str
    key: str
    rank: int = 0
    owner: str = SYSTEM
    exports: tuple[Export, ...] = ()
    backends: tuple[Backend, ...] = ()
    credentials: tuple[Credential, ...] = ()
    allow: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request. `user` and `service` are what the callee is told."""

    user: str
    service: str
    admin: bool = False
    allow: frozenset[str] | None = None

    def may_call(self, api: str) -> bool:
        return self.allow is None or api in self.allow


@dataclass(frozen=True, slots=True)
class Session:
    """A logged-in user: what the session cookie stands for."""

    user: str
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A backend that offers an API, and at which path."""

    backend: Backend
    path: str


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """The exporter of an API over one transport, and where it can be reached now."""

    service: ServiceRoute
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Everything at one moment. Make it with `make_table`, and the next one with `changed`."""

    services: Mapping[str, ServiceRoute] = field(default_factory=dict)
    admin_tokens: frozenset[str] = frozenset()
    sessions: Mapping[str, Session] = field(default_factory=dict)
    private: bool = False
    apis: Mapping[tuple[str, str], ApiRoute] = field(default_factory=dict)
    callers: Mapping[str, Caller] = field(default_factory=dict)

    def api(self, api: str, transport: str) -> ApiRoute | None:
        return self.apis.get((api, transport))

    def caller(self, token: str) -> Caller | None:
        return self.callers.get(token)


def make_table(
    services: Mapping[str, ServiceRoute],
    *,
    admin_tokens: Iterable[str] = (),
    sessions: Mapping[str, Session] = MappingProxyType({}),
    private: bool = False,
) -> RouteTable:
    """The table of these services. `private`: host names of services need a session or a token."""
    callers = {token: Caller(SYSTEM, SYSTEM, admin=True) for token in admin_tokens}
    for route in services.values():
        for credential in route.credentials:
            callers[credential.token] = caller_of(route)
    return RouteTable(
        services=services,
        admin_tokens=frozenset(admin_tokens),
        sessions=sessions,
        private=private,
        apis=_apis(services.values()),
        callers=callers,
    )


def changed(table: RouteTable, services: Mapping[str, ServiceRoute | None]) -> RouteTable:
    """The table after some services changed; None for one that is gone."""
    merged = {**table.services, **services}
    present = {service_id: route for service_id, route in merged.items() if route is not None}
    return make_table(
        present, admin_tokens=table.admin_tokens, sessions=table.sessions, private=table.private
    )


def caller_of(route: ServiceRoute) -> Caller:
    """A service as the caller of others."""
    return Caller(route.owner, route.key, allow=None if route.allow is None else frozenset(route.allow))


def conflicts(services: Iterable[ServiceRoute]) -> dict[str, dict[str, str]]:
    """For each service that lost an API: the API → the service that has it."""
    lost: dict[str, dict[str, str]] = {}
    holders: dict[tuple[str, str], str] = {}
    for route in _in_order(services):
        for export in route.exports:
            holder = holders.setdefault((export.api, export.transport), route.id)
            if holder != route.id:
                lost.setdefault(route.id, {})[export.api] = holder
    return lost


def _in_order(services: Iterable[ServiceRoute]) -> list[ServiceRoute]:
    return sorted(services, key=lambda route: (route.rank, route.id))


def _apis(services: Iterable[ServiceRoute]) -> dict[tuple[str, str], ApiRoute]:
    apis: dict[tuple[str, str], ApiRoute] = {}
    for route in _in_order(service for service in services if service.exports):
        for export in route.exports:
            key = (export.api, export.transport)
            if key not in apis:
                apis[key] = ApiRoute(route, _targets(route, export))
    return apis


def _targets(route: ServiceRoute, export: Export) -> tuple[Target, ...]:
    """Each backend at the path that its own revision gives the API."""
    return tuple(
        Target(backend, own.path)
        for backend in route.backends
        for own in backend.exports
        if (own.api, own.transport) == (export.api, export.transport)
    )


def route_to_json(route: ServiceRoute) -> dict[str, Any]:
    """A plain value that `route_from_json` reads back."""
    return {name: _plain(getattr(route, name)) for name in ServiceRoute.__slots__}


def route_from_json(value: Mapping[str, Any]) -> ServiceRoute:
    """The route that `route_to_json` wrote down."""
    return ServiceRoute(
        id=value["id"],
        key=value["key"],
        rank=value["rank"],
        owner=value["owner"],
        exports=_exports(value["exports"]),
        backends=tuple(
            Backend(**{**backend, "exports": _exports(backend["exports"])}) for backend in value["backends"]
        ),
        credentials=tuple(Credential(**credential) for credential in value["credentials"]),
        allow=None if value["allow"] is None else tuple(value["allow"]),
    )


def _exports(values: Iterable[Mapping[str, str]]) -> tuple[Export, ...]:
    return tuple(Export(**value) for value in values)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, (Export, Backend, Credential)):
        return {name: _plain(getattr(value, name)) for name in value.__slots__}
    return value
