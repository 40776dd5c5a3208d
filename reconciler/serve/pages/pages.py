"""All pages behind one handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.http.messages import json_response
from reconciler.serve.pages import login, logout, setup
from reconciler.serve.pages.page import STYLE_PATH, style

if TYPE_CHECKING:
    from reconciler.http.messages import Handler, Request, Response
    from reconciler.people.port import People

_METHODS = ("GET", "HEAD", "POST")


def pages(people: People, *, otherwise: Handler) -> Handler:
    """Answers at the paths of pages; what else is asked for goes to `otherwise`."""
    forms = {setup.PATH: setup.setup, login.PATH: login.login, logout.PATH: logout.logout}

    async def handle(request: Request) -> Response:
        if request.path == STYLE_PATH:
            return style()
        answer = forms.get(request.path)
        if answer is None:
            return await otherwise(request)
        if request.method not in _METHODS:
            told = {"error": True, "message": "this address takes GET and POST"}
            return json_response(405, told, headers={"allow": ", ".join(_METHODS)})
        return await answer(people, request)

    return handle
