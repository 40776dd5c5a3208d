"""`/_atek/login`: signs somebody in, and leads on to the service that they came from.

    /_atek/login?service=ID&path=PATH&state=… ──POST, 303──► /_atek/bind-session?service=ID&path=PATH&state=…

Only `bind-session` says where a service is and which paths there are, so an address here leads nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from reconciler.apis.user_sessions import signed_in
from reconciler.errors import UserError
from reconciler.people.devices import client_of
from reconciler.serve.pages.page import Field, asked, form, leads_to, page, sent, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.http.messages import Request, Response
    from reconciler.people.port import People

PATH = "/_atek/login"
_BIND = "/_atek/bind-session"
_ONWARDS = ("service", "path", "state", "at")


async def login(people: People, request: Request) -> Response:
    """The form, and what becomes of it."""
    if request.method != "POST":
        return _form(asked(request))
    filled, client = sent(request), client_of(request.headers)
    try:
        _, token = await people.login(filled.get("username", ""), filled.get("password", ""), client)
    except (UserError, OSError) as error:
        return _form(filled, problem=told(error))
    return leads_to(_onwards(filled), signed_in(token, client).decode())


def _form(said: Mapping[str, str], *, problem: str = "") -> Response:
    fields = (
        Field("username", "Name", value=said.get("username", ""), fill="username"),
        Field("password", "Password", "password", fill="current-password"),
    )
    onwards = {name: said[name] for name in _ONWARDS if name in said}
    made = form(PATH, fields, "Sign in", onwards)
    return page("Sign in", [], made, status=403 if problem else 200, problem=problem)


def _onwards(said: Mapping[str, str]) -> str:
    if not said.get("service"):
        return "/"
    return f"{_BIND}?{urlencode({name: said[name] for name in _ONWARDS if name in said})}"
