"""The node's pages: what stands in them, where they lead, and what they let nobody do."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from reconciler.http.messages import Request, Response, json_response
from reconciler.people.devices import Client
from reconciler.people.household import INCORRECT
from reconciler.serve.pages.page import STYLE_PATH
from reconciler.serve.pages.pages import pages
from runtimes.router.decide.table import NODE, Backend, ServiceRoute, session_id
from tests.reconciler.people.households import PASSWORD, Home

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.people.household import Household

pytestmark = pytest.mark.anyio

HOSTILE = "\"><script>alert(1)</script>'&"


class Inputs(HTMLParser):
    """Reads a page as a browser does: its inputs with their values, and every tag."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        assert isinstance(response.body, bytes)
        self.text = response.body.decode()
        self.tags: list[str] = []
        self.values: dict[str, str] = {}
        self.inline: list[str] = []
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        known = {name: value or "" for name, value in attrs}
        self.inline += [name for name in known if name.startswith("on") or name == "style"]
        if tag == "input":
            self.values[known["name"]] = known.get("value", "")


class Pages:
    """The pages of one household."""

    def __init__(self, home: Home, household: Household) -> None:
        self.home, self.household = home, household
        self.routes: dict[str, ServiceRoute] = {}
        self._handler = pages(household, lambda: self.routes, otherwise=_otherwise)

    async def get(self, target: str, method: str = "GET") -> Response:
        path, _, query = target.partition("?")
        return await self._handler(Request(method, path, query, {}, b""))

    async def send(
        self, path: str, /, *, kind: str = "application/x-www-form-urlencoded", **filled: str
    ) -> Response:
        headers = {"content-type": kind, "x-forwarded-for": "10.0.0.7", "user-agent": "Firefox/1 (Linux)"}
        return await self._handler(Request("POST", path, "", headers, urlencode(filled).encode()))


async def _otherwise(request: Request) -> Response:
    return json_response(404, {"path": request.path})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def site(home: Home) -> Pages:
    return Pages(home, home.household())


def signed_in(site: Pages, response: Response) -> bool:
    cookie = response.headers.get("set-cookie", "")
    return site.home.signed_in(cookie.partition("=")[2].partition(";")[0]) is not None


async def test_the_link_leads_to_the_first_person_who_is_signed_in(site: Pages) -> None:
    code = site.household.offer()
    shown = Inputs(await site.get(f"/_atek/setup?code={code}"))
    assert shown.values == {"code": code, "username": "", "password": "", "again": ""}
    made = await site.send("/_atek/setup", code=code, username=" alice ", password=PASSWORD, again=PASSWORD)
    assert (made.status, made.headers["location"]) == (303, "/")
    assert signed_in(site, made)
    alice = site.household.named("alice")
    assert alice is not None
    assert alice.owner
    for again in (
        await site.get(f"/_atek/setup?code={code}"),
        await site.send("/_atek/setup", code=code, username="eve", password=PASSWORD, again=PASSWORD),
    ):
        assert again.status == 410
        assert "set-cookie" not in again.headers
    assert len(site.household.everybody.people) == 1


@pytest.mark.parametrize(
    ("filled", "problem"),
    [
        ({"username": "al", "password": PASSWORD, "again": PASSWORD}, "at least 3 characters"),
        ({"username": "alice", "password": "short", "again": "short"}, "6 to 1024"),
        ({"username": "alice", "password": PASSWORD, "again": "another"}, "not the same"),
        ({"username": HOSTILE, "password": "short", "again": "short"}, "6 to 1024"),
        ({}, "at least 3 characters"),
    ],
)
async def test_a_mistake_leaves_the_link_good(site: Pages, filled: dict[str, str], problem: str) -> None:
    code = site.household.offer()
    answer = await site.send("/_atek/setup", code=code, **filled)
    shown = Inputs(answer)
    assert answer.status == 422
    assert problem in shown.text
    assert (shown.values["code"], shown.values["username"]) == (code, filled.get("username", ""))
    assert shown.values["password"] == ""
    assert "script" not in shown.tags
    assert (
        await site.send("/_atek/setup", code=code, username="alice", password=PASSWORD, again=PASSWORD)
    ).status == 303


@pytest.mark.parametrize("code", ["", "guess", HOSTILE])
async def test_without_the_code_there_is_no_form(site: Pages, code: str) -> None:
    site.household.offer()
    answer = await site.get(f"/_atek/setup?{urlencode({'code': code})}")
    assert answer.status == 410
    assert "form" not in Inputs(answer).tags
    sent = await site.send("/_atek/setup", code=code, username="eve", password=PASSWORD, again=PASSWORD)
    assert sent.status == 410
    assert not site.household.private


async def test_who_signs_in_goes_on_to_where_they_came_from(site: Pages) -> None:
    await site.household.create("alice", PASSWORD, "admin")
    shown = Inputs(await site.get("/_atek/login?service=notes&path=%2Fa%3Fb%3D1"))
    assert shown.values == {"service": "notes", "path": "/a?b=1", "username": "", "password": ""}
    there = await site.send(
        "/_atek/login", username="alice", password=PASSWORD, service="notes", path="/a?b=1"
    )
    assert (there.status, there.headers["location"]) == (
        303,
        "/_atek/bind-session?service=notes&path=%2Fa%3Fb%3D1",
    )
    assert signed_in(site, there)
    assert (await site.send("/_atek/login", username="alice", password=PASSWORD)).headers["location"] == "/"


async def test_no_address_leads_away_from_here(site: Pages) -> None:
    await site.household.create("alice", PASSWORD, "admin")
    for service in (
        "//evil.example",
        "https://evil.example",
        "\r\nLocation: //evil.example",
        "..//evil.example",
    ):
        there = await site.send(
            "/_atek/login", username="alice", password=PASSWORD, service=service, path="//evil.example"
        )
        assert there.headers["location"].startswith("/_atek/bind-session?service=")
        assert "\n" not in there.headers["location"]


async def test_both_mistakes_look_the_same(site: Pages) -> None:
    await site.household.create("alice", PASSWORD, "admin")
    shown = [
        await site.send("/_atek/login", username=name, password=password)
        for name, password in (("alice", "wrong one"), ("malice", PASSWORD))
    ]
    texts = [Inputs(each).text.replace("malice", "alice") for each in shown]
    assert texts[0] == texts[1]
    assert INCORRECT in texts[0]
    assert [each.status for each in shown] == [403, 403]
    assert not any("set-cookie" in each.headers for each in shown)


async def test_what_is_no_form_signs_nobody_in(site: Pages) -> None:
    """What other pages can send without asking first is a form, and the router looks where it comes from."""
    await site.household.create("alice", PASSWORD, "admin")
    for kind in ("text/plain", "application/json", "multipart/form-data; boundary=x", ""):
        answer = await site.send("/_atek/login", kind=kind, username="alice", password=PASSWORD)
        assert answer.status == 403


@pytest.mark.parametrize(
    "target", ["/_atek/setup", "/_atek/login", f"/_atek/login?service={HOSTILE}&path={HOSTILE}"]
)
async def test_no_page_loads_or_runs_anything_of_others_or_is_framed(site: Pages, target: str) -> None:
    answer = await site.get(target)
    shown = Inputs(answer)
    assert "script" not in shown.tags and not shown.inline
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.content_type == "text/html; charset=utf-8"


async def test_the_rest(site: Pages) -> None:
    assert (await site.get(STYLE_PATH)).content_type.startswith("text/css")
    assert (await site.get("/_atek/login", method="PUT")).status == 405
    assert (await site.get("/elsewhere")).status == 404


async def test_a_full_disk_is_said(site: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    code = site.household.offer()
    monkeypatch.setattr("reconciler.people.store.write_atomically", full)
    answer = await site.send("/_atek/setup", code=code, username="alice", password=PASSWORD, again=PASSWORD)
    assert "No space left on device" in Inputs(answer).text
    assert "set-cookie" not in answer.headers


# -- the way back, and out


async def test_who_came_from_a_service_goes_back_with_what_its_host_knows_them_by(site: Pages) -> None:
    await site.household.create("alice", PASSWORD, "")
    onwards = {"service": "notes", "path": "/a?b=1", "state": "0" * 32}
    shown = Inputs(await site.get(f"/_atek/login?{urlencode(onwards)}"))
    assert shown.values == {**onwards, "username": "", "password": ""}
    done = await site.send("/_atek/login", **{**shown.values, "username": "alice", "password": PASSWORD})
    assert done.headers["location"] == f"/_atek/bind-session?{urlencode(onwards)}"


async def test_signing_out_ends_the_session_and_takes_its_cookie_back(site: Pages) -> None:
    person = await site.household.create("alice", PASSWORD, "")
    cookie = await site.household.begin(person.key, Client())
    headers = {"atek-auth-session": session_id(cookie)}
    asked = await site._handler(Request("GET", "/_atek/logout", "", headers, b""))
    assert asked.status == 200 and site.household.session(session_id(cookie)) is not None
    done = await site._handler(Request("POST", "/_atek/logout", "", headers, b""))
    assert (done.status, done.headers["location"]) == (303, "/_atek/login")
    assert done.headers["set-cookie"].startswith("session=;") and "Max-Age=0" in done.headers["set-cookie"]
    assert site.household.session(session_id(cookie)) is None
    nobody = await site._handler(Request("POST", "/_atek/logout", "", {}, b""))
    assert nobody.status == 303


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("admin", ["everybodys", "hers", "his", "my-own", "named"]),
        ("", ["everybodys", "my-own", "named"]),
        ("guest", ["named"]),
    ],
)
async def test_the_front_has_what_is_here_for_somebody(site: Pages, role: str, expected: list[str]) -> None:
    await site.household.create("owner", PASSWORD, "admin")
    person = await site.household.create("alice", PASSWORD, role)
    routes = (
        ServiceRoute(NODE, "system"),
        ServiceRoute("core.hyper", "k0"),
        ServiceRoute("everybodys", "k1", backends=(Backend("i1"),)),
        ServiceRoute("his", "k2", access="private"),
        ServiceRoute("hers", "k3", owner="f" * 32),
        ServiceRoute("my-own", "k4", owner=person.key),
        ServiceRoute("named", "k5", access=("alice",)),
    )
    site.routes = {each.id: each for each in routes}
    answer = await site._handler(Request("GET", "/", "", {"atek-auth-user": person.key}, b""))
    shown = Inputs(answer)
    assert re.findall(r"service=([a-z.-]+)&amp;path=%2F\"", shown.text) == expected
    assert "alice" in shown.text and "form" in shown.tags and "script" not in shown.tags
    assert ("(not ready)" in shown.text) and not shown.inline
    for user in ("", "system", "0" * 32):
        assert (await site._handler(Request("GET", "/", "", {"atek-auth-user": user}, b""))).status == 404
