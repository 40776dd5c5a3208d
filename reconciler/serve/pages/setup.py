"""`/_atek/setup`: whoever holds the code that `atek up` showed makes the first person, and is signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.apis.user_sessions import signed_in
from reconciler.errors import UserError
from reconciler.people.decide import SHORTEST_NAME, SHORTEST_PASSWORD
from reconciler.people.devices import client_of
from reconciler.serve.pages.page import Field, asked, form, leads_to, page, sent, told

if TYPE_CHECKING:
    from reconciler.http.messages import Request, Response
    from reconciler.people.port import People

PATH = "/_atek/setup"
_ABOUT = (
    "You will own this home. From now on what runs here is for those who are signed in.",
    f"A name has at least {SHORTEST_NAME} characters, a password {SHORTEST_PASSWORD}; a few words that "
    "nobody would guess together are a good one.",
)


async def setup(people: People, request: Request) -> Response:
    """The form, and what becomes of it."""
    if request.method != "POST":
        return _form(people, asked(request).get("code", ""))
    filled = sent(request)
    code, username, password = (filled.get(name, "") for name in ("code", "username", "password"))
    try:
        if password != filled.get("again", ""):
            raise UserError("The two passwords are not the same")
        person = await people.first(code, username.strip(), password)
        client = client_of(request.headers)
        token = await people.begin(person.key, client)
    except (UserError, OSError) as error:
        return _form(people, code, username=username, problem=told(error))
    return leads_to("/", signed_in(token, client).decode())


def _form(people: People, code: str, *, username: str = "", problem: str = "") -> Response:
    if not people.is_offered(code):
        return page(
            "This link does not work any more",
            [
                "It is good once, for an hour, and until the node ends or somebody has an account.",
                "On the node's machine `atek user link` makes another one, while there is nobody yet.",
            ],
            status=410,
        )
    fields = (
        Field("username", "Your name", value=username, fill="username"),
        Field("password", "A password", "password", fill="new-password"),
        Field("again", "The password again", "password", fill="new-password"),
    )
    made = form(PATH, fields, "Create the account", {"code": code})
    return page("Welcome home", _ABOUT, made, status=422 if problem else 200, problem=problem)
