"""`/` for who is signed in: what is here for them, with a link to each, until there is a home screen.

A link leads by `bind-session`, which knows under which name and port this node was asked.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from manifests.model.authority import EVERYTHING, OWN_IDS
from reconciler.serve.pages import logout
from reconciler.serve.pages.page import form, page
from runtimes.router.decide.table import NODE, Caller, Session
from runtimes.router.decide.visiting import may_visit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.http.messages import Response
    from reconciler.people.model import Person
    from runtimes.router.decide.table import ServiceRoute

PATH = "/"


def front(person: Person, routes: Mapping[str, ServiceRoute]) -> Response:
    """The page of one person. What has no address to go to is not there."""
    links = "\n".join(_links(person, routes))
    about = f"You are signed in as {person.username}."
    lines = [about] if links else [about, "Nothing that runs here is for you yet."]
    out = form(logout.PATH, (), "Sign out", {})
    return page("Home", lines, f"<ul>\n{links}\n</ul>\n{out}" if links else out)


def _links(person: Person, routes: Mapping[str, ServiceRoute]) -> Iterator[str]:
    session = Session(person.key, person.username, person.role)
    caller = Caller(person.key, "", session.admin, EVERYTHING, session)
    for service_id, route in sorted(routes.items()):
        if service_id == NODE or service_id.startswith(OWN_IDS) or not may_visit(caller, route):
            continue
        address = f"/_atek/bind-session?{urlencode({'service': service_id, 'path': '/'})}"
        waits = "" if route.backends else " (not ready)"
        yield f'<li><a href="{escape(address)}">{escape(service_id)}</a>{waits}</li>'
