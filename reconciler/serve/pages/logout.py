"""`/_atek/logout`: signs out on this device, at every host of the node at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import UserError
from reconciler.people.devices import client_of
from reconciler.serve.pages import login
from reconciler.serve.pages.page import form, leads_to, page, told
from runtimes.router.protocol.cookies import session_cookie

if TYPE_CHECKING:
    from reconciler.http.messages import Request, Response
    from reconciler.people.port import People

PATH = "/_atek/logout"


async def logout(people: People, request: Request) -> Response:
    """A link leads to a question: only a form of this page, or a program, signs out."""
    if request.method != "POST":
        return _question()
    try:
        if session := request.headers.get("atek-auth-session", ""):
            await people.end([session])
    except (UserError, OSError) as error:
        return _question(problem=told(error))
    cookie = session_cookie("", secure=client_of(request.headers).secure, seconds=0)
    return leads_to(login.PATH, cookie.decode())


def _question(*, problem: str = "") -> Response:
    made = form(PATH, (), "Sign out", {})
    return page("Sign out of this device?", [], made, status=503 if problem else 200, problem=problem)
