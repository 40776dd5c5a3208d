"""What a request asks for: a service's host, the gateway, a page of the node, or nothing that there is.

a service's host name → all of its methods and paths
the node's own names  → /_atek/gateway?api=ID, by POST for calls and with an upgrade for a WebSocket;
                        calls about sessions go to the node as they are, since its answers set cookies;
                        the node's pages and forms; /_atek/bind-session; all else is the main service's of
                        who is signed in and has one
… at a service's port → that service, as at its host name
any other host        → nothing that could be reached under a name that is not ours

From the network the node's own names are what it is called there, and any address: DNS rebinding needs a
name, since a browser takes a page of an address for that address's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, ClassVar

from runtimes.router.decide.binding import BIND_PATH, give_session
from runtimes.router.decide.decision import Answer, refusal
from runtimes.router.decide.sessions import session_of
from runtimes.router.decide.table import NODE, Caller
from runtimes.router.decide.visiting import may_visit
from runtimes.router.protocol.fields import WEBSOCKET
from runtimes.router.protocol.pages import PREFLIGHT
from runtimes.router.protocol.query import values_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtimes.router.decide.binding import GiveSession
    from runtimes.router.decide.table import RouteTable, ServiceRoute, Target
    from runtimes.router.protocol.request_head import RequestHead

GATEWAY_PATH = b"/_atek/gateway"
#: What the node itself answers to everybody.
MONITORING = frozenset({b"/livez", b"/readyz", b"/metrics"})
NODE_PAGES = MONITORING | {b"/"}
#: What tells the node that a repository has something new; signed, so everybody may send it.
HOOKS, LARGEST_HOOK = b"/_atek/hooks/", 2**20
#: What the node serves to people who are not known yet; nothing that they fill in is large.
FORMS = frozenset({b"/_atek/setup", b"/_atek/login", b"/_atek/logout", b"/_atek/style.css"})
LARGEST_FORM = 2**14
#: Who is signed in, and how one gets to be.
USER_SESSIONS_API = "atek.cloud/user-sessions-api"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Names:
    """Host names of a node: its own (`domain` among them), and how those of its services end.

    `numeric`: any address is its own, too. `service`: what the port that was asked is for; empty where it is
    the node's, which is at the port `home` there. `after_people`: nobody is answered there before there are
    people.
    """

    domain: str
    own: frozenset[str]
    suffixes: tuple[str, ...]
    numeric: bool = False
    service: str = ""
    after_people: bool = False
    home: int = 0


def names_of(domain: str) -> Names:
    """The names of a node with that domain."""
    return Names(domain, LOOPBACK_NAMES | {domain, ""}, tuple({f".{domain}", ".localhost"}))


def has_names_below(domain: str, name: str) -> bool:
    """Whether services have names below that of the node's: not below what only its network calls it."""
    return name in LOOPBACK_NAMES | {domain, ""}


def names_from_network(
    domain: str, hosts: Iterable[str], service: str = "", *, after_people: bool = True, home: int = 0
) -> Names:
    """As `names_of`, for those who come from the network, where the node is called `hosts`."""
    at_home = names_of(domain)
    own = at_home.own | set(hosts)
    return Names(
        domain,
        own,
        at_home.suffixes,
        numeric=True,
        service=service,
        after_people=after_people,
        home=home,
    )


@dataclass(frozen=True, slots=True)
class Host:
    """A service, under a name of its own, or (`at_port`) by a name of the node's: at a port of its own, or as
    somebody's main service.

    `home` is the node's port by that name; 0 where nobody said it.
    """

    kind: ClassVar = "host"
    service: ServiceRoute
    at_port: bool = False
    home: int = 0


@dataclass(frozen=True, slots=True)
class NodePage:
    """What the node says to everybody about itself; `service` stands for the node."""

    kind: ClassVar = "node"
    service: ServiceRoute


@dataclass(frozen=True, slots=True)
class Calls:
    """JSON-RPC for whoever exports the API, if anybody does."""

    kind: ClassVar = "gateway"
    api: str
    service: ServiceRoute | None


@dataclass(frozen=True, slots=True)
class Socket:
    """A WebSocket to whoever exports the API over the proxy transport: to one of `targets`."""

    kind: ClassVar = "gateway"
    api: str
    service: ServiceRoute | None
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class SessionCalls:
    """JSON-RPC for the node about sessions: it is asked as a browser asks it, and answers that browser."""

    kind: ClassVar = "gateway"
    api: str
    service: ServiceRoute
    targets: tuple[Target, ...]


Place = Host | NodePage | Calls | Socket | SessionCalls


def place_of(table: RouteTable, names: Names, head: RequestHead) -> Place | Answer | GiveSession:
    """Where a request wants to go; the decision itself, where nothing more has to be asked."""
    if names.after_people and not table.private:
        # The node opens nothing of that kind before, and should it: here it ends.
        return refusal(head, 403, "Not authorized: this node has no people yet who could sign in")
    name = head.host
    if name in names.own or (names.numeric and _is_address(name)):
        if names.service:
            found = _host(table, head, names.service)
            return replace(found, at_port=True, home=names.home) if isinstance(found, Host) else found
        return _own(table, names, head)
    for suffix in names.suffixes:
        if name.endswith(suffix) and names.service in ("", name[: -len(suffix)]):
            return _host(table, head, name[: -len(suffix)])
    # Somebody made that name lead here (DNS rebinding), or made a mistake.
    return refusal(head, 421, "this node has no such host name", kind="host")


def _is_address(name: str) -> bool:
    """As a browser writes it: IPv6 in brackets."""
    try:
        found = ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return isinstance(found, IPv6Address) == name.startswith("[")


def _host(table: RouteTable, head: RequestHead, service_id: str) -> Host | Answer:
    route = table.services.get(service_id) if service_id else None
    if route is not None:
        return Host(route)
    body = b"Not found: no service is currently hosted at %b" % head.authority
    return Answer(head, 404, body, series=("host", ""))


def _own(table: RouteTable, names: Names, head: RequestHead) -> Place | Answer | GiveSession:
    if head.path == GATEWAY_PATH:
        return _gateway(table, head)
    if (main := _main(table, head)) is not None:
        return Host(main, at_port=True)
    node = table.services.get(NODE)
    if head.path in NODE_PAGES and node is not None:
        # Half of a body would keep the node waiting for the rest.
        return refusal(head, 413, "this page takes no body") if head.length else NodePage(node)
    if head.path.startswith(HOOKS) and node is not None:
        return _hook(node, head)
    if head.path in FORMS and node is not None:
        return _form(head) or NodePage(node)
    if head.path == BIND_PATH:
        return give_session(table, names.domain, head)
    return refusal(head, 404, "Not found")


def _main(table: RouteTable, head: RequestHead) -> ServiceRoute | None:
    """Whose pages stand in the place of the node's front, for who is signed in; monitoring stays the node's.

    While it is away there is the front.
    """
    if head.path.startswith(b"/_atek/") or head.path in MONITORING or head.elsewhere or not head.cookie:
        return None
    session = table.sessions.get(session_of(table, head.cookie))
    if session is None or head.token or (main := table.services.get(session.main)) is None:
        return None
    if not (main.backends or main.held):
        return None
    caller = Caller(session.user, main.key, session.admin, person=session)
    return main if main.id != NODE and may_visit(caller, main) else None


def _hook(node: ServiceRoute, head: RequestHead) -> Place | Answer:
    """Nobody who sends them sends more, or without saying how much."""
    if head.length < 0:
        return refusal(head, 411, "a hook says how long it is")
    return NodePage(node) if head.length <= LARGEST_HOOK else refusal(head, 413, "too large for a hook")


def _form(head: RequestHead) -> Answer | None:
    """The answer to what nobody fills in, or to what does not say how much it is."""
    if head.length < 0:
        return refusal(head, 411, "a form says how long it is")
    return None if head.length <= LARGEST_FORM else refusal(head, 413, "too large for a form")


def _gateway(table: RouteTable, head: RequestHead) -> Place | Answer:
    if head.method == b"OPTIONS":
        return Answer(head, 204, fields=PREFLIGHT, series=("gateway", ""))
    api = api_of(head.query)
    if head.upgrade == WEBSOCKET and head.method == b"GET" and not head.length:
        route = table.api(api, "proxy")
        return Socket(api, route.service, route.targets) if route else Socket(api, None, ())
    route = table.api(api, "rpc")
    if api == USER_SESSIONS_API and route is not None and route.service.id == NODE and head.method == b"POST":
        return _form(head) or SessionCalls(api, route.service, route.targets)
    return Calls(api, route.service if route else None)


def api_of(query: bytes) -> str:
    """The API that a query names; empty when it names none, or several."""
    found = values_of(query, "api")
    return found[0] if len(found) == 1 else ""
