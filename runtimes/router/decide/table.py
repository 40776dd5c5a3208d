"""Which request goes where, and who may ask: the route table. Pure and immutable; it is swapped whole.

A service has one `ServiceRoute`. From all of them `RouteTable` derives what a request needs: the service of a
host name, the exporter of an API, the caller of a token. When two services export one API, the one from the
source with precedence has it, then the one whose id sorts first; a stopped service exports nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from manifests.model.authority import EVERYTHING, allows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Who acts for the node itself, in Atek-Auth-User and Atek-Auth-Service.
SYSTEM = "system"
#: What instances' tokens begin with, of this node and of all others; 64 hex digits follow.
INSTANCE_PREFIX = "atek_"
#: An API's id and its transport.
ApiKey = tuple[str, str]
#: So many of a session's id stand for it where it is not told itself.
HANDLE = 32
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
    """A ready instance. It listens on a Unix socket, or on host and port.

    `token` is a secret between the router and the instance, by which that knows who asks; empty without one.
    """

    instance: str
    socket: str | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    exports: tuple[Export, ...] = ()
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """A token that an instance was given, and the session id of its processes (its pid).

    `name` stands in the name of the cgroup that it is kept in, where it has one of its own.
    """

    token: str = field(repr=False)
    pid: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class ServiceRoute:
    """All that the router needs to know about one service.

    `rank` is its source's precedence, the lowest first. `exports` are declared even while nothing is ready.
    `allow` lists the APIs it may call, see `manifests.model.authority`. `owner` is a user's
    key. `awaits` names the revision that is about to serve where none does just now; `after_crash`: in place
    of one that crashed. `cross_site`: pages of other sites may have it do something. `access` says which
    people may: `private`, `members`, `public`, or the names of those who may; empty where nothing was said.
    `sign_in` are fields by which it is told who they are: what of a person, and the field's name.
    """

    id: str
    key: str
    rank: int = 0
    owner: str = SYSTEM
    exports: tuple[Export, ...] = ()
    backends: tuple[Backend, ...] = ()
    credentials: tuple[Credential, ...] = ()
    allow: tuple[str, ...] | None = None
    awaits: str = ""
    after_crash: bool = False
    cross_site: bool = False
    access: str | tuple[str, ...] = ""
    sign_in: tuple[tuple[str, str], ...] = ()

    @property
    def held(self) -> bool:
        """Whether requests wait: nobody is there to take them, but somebody will be."""
        return bool(self.awaits) and not self.backends


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request. `user` and `service` are what the callee is told.

    `allow` are patterns of the APIs that are granted; None: nothing was said about that. `person` is whose
    session it is; None for services and tokens. `within` is what it may besides at most: whoever acts for two
    may what both may.
    """

    user: str
    service: str
    admin: bool = False
    allow: frozenset[str] | None = None
    person: Session | None = None
    within: frozenset[str] | None = EVERYTHING


@dataclass(frozen=True, slots=True)
class Session:
    """A person who is signed in: what a session's cookie stands for.

    `user` is the person's key, which nobody else ever has, `username` what they are called. `role` is
    `admin` (an owner of the node), empty (a member) or `guest`. `main` is the id of the service that the
    person has in the place of the node's front page; empty for none.
    """

    user: str
    username: str = ""
    role: str = ""
    main: str = ""

    @property
    def admin(self) -> bool:
        return self.role == "admin"


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
    """Everything at one moment. Make it with `make_table`, and the next one with `changed`.

    `devices` are those that come by a tunnel, by their keys, with the session of whose they are, if
    anybody's. `apis` and `callers` follow from the services; `claims` are the services that export an API,
    whether or
    not they have it, `own` the APIs that the node itself serves, `grants` what services may call, each once.
    `sessions` are by their ids, see `session_id`, and `handles` find these. `private`: there are people, so
    what is there is for those who are signed in. `cookie_key`: under which cookies at services' hosts are
    made; it is another one once the administrators' tokens are, and there are none without. `readers` are
    tokens by which somebody may read how the node does.
    """

    services: Mapping[str, ServiceRoute] = field(default_factory=dict)
    admin_tokens: frozenset[str] = field(default=frozenset(), repr=False)
    readers: frozenset[str] = field(default=frozenset(), repr=False)
    sessions: Mapping[str, Session] = field(default_factory=dict, repr=False)
    handles: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookie_key: bytes = field(default=b"", repr=False)
    private: bool = False
    devices: Mapping[str, Session | None] = field(default_factory=dict, repr=False)
    apis: Mapping[ApiKey, ApiRoute] = field(default_factory=dict)
    callers: Mapping[str, Caller] = field(default_factory=dict, repr=False)
    claims: Mapping[ApiKey, frozenset[str]] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    grants: frozenset[frozenset[str] | None] = frozenset()

    def api(self, api: str, transport: str) -> ApiRoute | None:
        return self.apis.get((api, transport))

    def caller(self, token: str) -> Caller | None:
        return self.callers.get(token)

    def may_call(self, caller: Caller, api: str) -> bool:
        own = api in self.own
        return allows(caller.allow, api, nodes_own=own) and (
            caller.within is EVERYTHING or allows(caller.within, api, nodes_own=own)
        )


def session_id(cookie: str) -> str:
    """What a session's cookie is known by, on disk and here: the SHA-256 of its value, in hex."""
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()


def make_table(
    services: Mapping[str, ServiceRoute],
    *,
    admin_tokens: Iterable[str] = (),
    readers: Iterable[str] = (),
    sessions: Mapping[str, Session] = MappingProxyType({}),
    private: bool = False,
) -> RouteTable:
    """The table of these services. `sessions` and `private`: see `RouteTable`."""
    tokens = frozenset(admin_tokens)
    callers = {token: Caller(SYSTEM, SYSTEM, admin=True, allow=EVERYTHING) for token in tokens}
    empty = RouteTable(
        admin_tokens=tokens,
        readers=frozenset(readers),
        private=private,
        callers=callers,
        cookie_key=_cookie_key(tokens),
    )
    return changed(with_sessions(empty, sessions), services)


def _cookie_key(tokens: frozenset[str]) -> bytes:
    return hashlib.sha256("\n".join(["cookies", *sorted(tokens)]).encode()).digest() if tokens else b""


def with_sessions(table: RouteTable, changes: Mapping[str, Session | None]) -> RouteTable:
    """The table after some sessions began, changed or (None) ended."""
    merged = {**table.sessions, **changes}
    sessions = {key: each for key, each in merged.items() if each is not None}
    return replace(table, sessions=sessions, handles={key[:HANDLE]: key for key in sessions})


def changed(table: RouteTable, services: Mapping[str, ServiceRoute | None]) -> RouteTable:
    """The table after some services changed; None for one that is gone.

    Costs no more among a thousand services than copying a few dicts: only what these services had, or have
    now, is looked at.
    """
    before = [route for service_id in services if (route := table.services.get(service_id)) is not None]
    after = [route for route in services.values() if route is not None]
    present = {**table.services, **{route.id: route for route in after}}
    for service_id, route in services.items():
        if route is None:
            present.pop(service_id, None)
    claims = _claims(table.claims, before, after)
    touched = {key for route in (*before, *after) for key in _keys(route)}
    callers = _callers(table.callers, before, after)
    return replace(
        table,
        services=present,
        apis=_apis(table.apis, touched, claims, present),
        callers=callers,
        claims=claims,
        own=_own(present),
        grants=frozenset(caller.allow for caller in callers.values() if not caller.admin),
    )


def _own(services: Mapping[str, ServiceRoute]) -> frozenset[str]:
    node = services.get(NODE)
    return frozenset(export.api for export in node.exports) if node else frozenset()


def _callers(
    callers: Mapping[str, Caller], before: Iterable[ServiceRoute], after: Iterable[ServiceRoute]
) -> dict[str, Caller]:
    gone = {credential.token for route in before for credential in route.credentials}
    rest = {token: caller for token, caller in callers.items() if token not in gone} if gone else {**callers}
    for route in after:
        caller = caller_of(route)
        rest.update({credential.token: caller for credential in route.credentials})
    return rest


def _claims(
    claims: Mapping[ApiKey, frozenset[str]], before: Iterable[ServiceRoute], after: Iterable[ServiceRoute]
) -> dict[ApiKey, frozenset[str]]:
    found = {**claims}
    for route in before:
        for key in _keys(route):
            found[key] = found[key] - {route.id}
    for route in after:
        for key in _keys(route):
            found[key] = found.get(key, frozenset()) | {route.id}
    return {key: ids for key, ids in found.items() if ids}


def _apis(
    apis: Mapping[ApiKey, ApiRoute],
    touched: Iterable[ApiKey],
    claims: Mapping[ApiKey, frozenset[str]],
    services: Mapping[str, ServiceRoute],
) -> dict[ApiKey, ApiRoute]:
    found = {**apis}
    for key in touched:
        found.pop(key, None)
        if key in claims:
            holder = _in_order(services[service_id] for service_id in claims[key])[0]
            found[key] = ApiRoute(holder, _targets(holder, key))
    return found


def _keys(route: ServiceRoute) -> set[ApiKey]:
    return {(export.api, export.transport) for export in route.exports}


def caller_of(route: ServiceRoute) -> Caller:
    """A service as the caller of others."""
    return Caller(route.owner, route.key, allow=None if route.allow is None else frozenset(route.allow))


def on_page_of(person: Caller, service: ServiceRoute) -> Caller:
    """Somebody who is signed in, on a page of a service's host: what both of them may, and no more.

    The page is the service's program: it never has all that the person has, and the service never what the
    person has not. So it administers the node only for an administrator, and only where its `allow` names
    that API.
    """
    page = caller_of(service)
    return replace(person, service=page.service, within=page.allow)


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


def _targets(route: ServiceRoute, key: ApiKey) -> tuple[Target, ...]:
    """Each backend at the path that its own revision gives the API."""
    return tuple(
        Target(backend, own.path)
        for backend in route.backends
        for own in backend.exports
        if (own.api, own.transport) == key
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
        awaits=value["awaits"],
        after_crash=value["after_crash"],
        cross_site=value["cross_site"],
        access=access if isinstance(access := value.get("access", ""), str) else tuple(access),
        sign_in=tuple((what, name) for what, name in value.get("sign_in", ())),
    )


def _exports(values: Iterable[Mapping[str, str]]) -> tuple[Export, ...]:
    return tuple(Export(**value) for value in values)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, (Export, Backend, Credential)):
        return {name: _plain(getattr(value, name)) for name in value.__slots__}
    return value
