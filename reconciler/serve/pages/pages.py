"""All pages behind one handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.http.messages import json_response
from reconciler.serve.pages import front, login, logout, setup
from reconciler.serve.pages.page import STYLE_PATH, style

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.http.messages import Handler, Request, Response
    from reconciler.people.port import People
    from runtimes.router.decide.table import ServiceRoute

_METHODS = ("GET", "HEAD", "POST")


def pages(people: People, routes: Callable[[], Mapping[str, ServiceRoute]], *, otherwise: Handler) -> Handler:
    """Answers at the paths of pages; what else is asked for goes to `otherwise`. `routes`: of services."""
    forms = {setup.PATH: setup.setup, login.PATH: login.login, logout.PATH: logout.logout}

    async def handle(request: Request) -> Response:
        if request.path == STYLE_PATH:
            return style()
        person = people.everybody.people.get(request.headers.get("atek-auth-user", ""))
        if request.path == front.PATH and person is not None:
            return front.front(person, routes())
        answer = forms.get(request.path)
        if answer is None:
            return await otherwise(request)
        if request.method not in _METHODS:
            told = {"error": True, "message": "this address takes GET and POST"}
            return json_response(405, told, headers={"allow": ", ".join(_METHODS)})
        return await answer(people, request)

    return handle
