"""The users API and the user sessions API: the original's answers, and what becomes of what people had."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.apis.handler import USER_SESSIONS_PATH, USERS_PATH
from reconciler.apis.leaving import Leaving
from reconciler.errors import UserError
from reconciler.http.messages import Request
from reconciler.people.household import INCORRECT
from runtimes.router.decide.table import session_id
from tests.reconciler.apis.api_nodes import Apis, Failure, World
from tests.reconciler.people.households import PASSWORD, Home

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from reconciler.http.messages import Response
    from reconciler.people.household import Household
    from reconciler.people.model import Person

pytestmark = pytest.mark.anyio


class Lived:
    """A node with people, called as its router calls it."""

    def __init__(self, world: World, apis: Apis, home: Home, household: Household) -> None:
        self.world, self.apis, self.home, self.household = world, apis, home, household

    async def users(self, method: str, *params: Any, user: str = "system", service: str = "system") -> Any:
        headers = {"atek-auth-user": user, "atek-auth-service": service}
        return await self.apis.call(USERS_PATH, method, params, headers)

    async def services(self, method: str, *params: Any, by: Person | None = None) -> Any:
        from reconciler.apis.handler import SERVICES_PATH

        headers = {"atek-auth-user": by.key if by else "system", "atek-auth-service": "system"}
        return await self.apis.call(SERVICES_PATH, method, params, headers)

    async def sessions(self, method: str, *params: Any, **headers: str) -> tuple[Any, str]:
        """The result, and the Set-Cookie. Raises Failure."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        response = await self.ask(method, params, told)
        assert isinstance(response.body, bytes)
        answer = json.loads(response.body)
        if "error" in answer:
            raise Failure(answer["error"])
        return answer["result"], response.headers.get("set-cookie", "")

    async def ask(self, method: str, params: Any, headers: Mapping[str, str]) -> Response:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        return await self.apis.handler(Request("POST", USER_SESSIONS_PATH, "", headers, body))

    async def make(self, username: str, role: str = "") -> Person:
        told = await self.users("create", {"username": username, "password": PASSWORD, "role": role})
        return self.household.everybody.people[told["key"]]

    async def sign_in(self, username: str) -> str:
        """The id of a new session."""
        _, cookie = await self.sessions("login", {"username": username, "password": PASSWORD})
        return session_id(value_of(cookie))


def value_of(cookie: str) -> str:
    return cookie.partition("=")[2].partition(";")[0]


@pytest.fixture
async def lived(world: World, tmp_path: Path) -> AsyncIterator[Lived]:
    place = tmp_path / "people"
    place.mkdir()
    home = Home(place)
    household = home.household()
    world.people = household
    async with world.node() as apis:
        yield Lived(world, apis, home, household)


# users-api


async def test_create_list_get_update_delete(lived: Lived) -> None:
    """As the original's own suite, with an owner beside."""
    assert await lived.users("list") == {"users": []}
    await lived.make("alice", "admin")
    bob = await lived.users("create", {"username": "bob", "password": "hunter2"})
    assert bob == {"key": bob["key"], "username": "bob", "role": ""}
    assert await lived.users("get", bob["key"]) == bob
    updated = await lived.users("update", bob["key"], {"username": "bobo", "role": "admin"})
    assert updated == {"key": bob["key"], "username": "bobo", "role": "admin"}
    assert updated in (await lived.users("list"))["users"]
    assert await lived.users("delete", bob["key"]) is None
    assert [each["username"] for each in (await lived.users("list"))["users"]] == ["alice"]


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("create", [{"username": "ab", "password": PASSWORD}], -32001, "Parameter 1"),
        ("create", [{"username": "bob"}], -32001, "Parameter 1"),
        ("create", [{"username": "bob", "password": 7}], -32001, "Parameter 1"),
        ("create", ["bob"], -32001, "Parameter 1"),
        (
            "create",
            [{"username": "alice", "password": PASSWORD}],
            -32003,
            "This username has already been taken",
        ),
        ("create", [{"username": "system", "password": PASSWORD}], -32003, "The username system is reserved"),
        ("create", [{"username": "bob", "password": "short"}], -32003, "A password has"),
        ("create", [{"username": "bob", "password": PASSWORD, "role": "root"}], -32003, "There is no role"),
        ("get", ["nobody"], -32003, "User not found under key nobody"),
        ("getSettings", ["nobody"], -32003, "User not found under key nobody"),
        ("update", ["nobody", {"role": ""}], -32003, "User not found under key nobody"),
        ("updateSettings", ["nobody", {}], -32003, "User not found under key nobody"),
        ("delete", ["nobody"], -32003, "User not found under key nobody"),
        ("get", [], -32001, "Parameter 1"),
        ("promote", [], -32601, "Method not found"),
    ],
)
async def test_mistakes(lived: Lived, method: str, params: list[Any], code: int, message: str) -> None:
    await lived.make("alice", "admin")
    with pytest.raises(Failure, match=message) as caught:
        await lived.users(method, *params)
    assert caught.value.code == code
    assert len(lived.household.everybody.people) == 1


async def test_the_last_owner_stays(lived: Lived) -> None:
    alice = await lived.make("alice", "admin")
    for method, params in (("delete", ()), ("update", ({"role": ""},)), ("update", ({"role": "guest"},))):
        with pytest.raises(Failure, match="alice is the last owner"):
            await lived.users(method, alice.key, *params)


async def test_everybody_may_read_and_choose_for_themselves(lived: Lived) -> None:
    await lived.make("alice", "admin")
    bob, guest = await lived.make("bob"), await lived.make("gus", "guest")
    for person in (bob, guest):
        assert (await lived.users("get", person.key, user=person.key))["username"] == person.username
        chosen = await lived.users("updateSettings", person.key, {"mainServiceId": "ui"}, user=person.key)
        assert chosen == {"mainServiceId": "ui"}
        assert await lived.users("getSettings", person.key, user=person.key) == {"mainServiceId": "ui"}


async def test_who_is_no_owner_may_nothing_else(lived: Lived) -> None:
    alice, bob = await lived.make("alice", "admin"), await lived.make("bob")
    attempts: list[tuple[str, list[Any]]] = [
        ("list", []), ("get", [alice.key]), ("getSettings", [alice.key]),
        ("updateSettings", [alice.key, {"mainServiceId": "mine"}]),
        ("create", [{"username": "eve", "password": PASSWORD, "role": "admin"}]),
        ("update", [bob.key, {"role": "admin"}]), ("update", [alice.key, {"password": PASSWORD}]),
        ("delete", [alice.key]), ("delete", [bob.key]), ("get", ["nobody"]),
    ]  # fmt: skip
    for method, params in attempts:
        with pytest.raises(Failure, match="-32003 Not authorized"):
            await lived.users(method, *params, user=bob.key)
    assert await lived.users("list", user=alice.key)


async def test_a_service_of_an_owners_is_no_owner(lived: Lived) -> None:
    """What somebody installed acts as them, not with their rights over others."""
    alice, bob = await lived.make("alice", "admin"), await lived.make("bob")
    with pytest.raises(Failure, match="Not authorized"):
        await lived.users("delete", bob.key, user=alice.key, service="a key of some service")
    assert await lived.users("get", alice.key, user=alice.key, service="a key of some service")


async def test_a_main_service_is_installed_for_whoever_is_made(world: World, tmp_path: Path) -> None:
    made = []

    async def install(person: Person) -> str:
        made.append(person.username)
        if person.username == "bob":
            raise UserError("no such package")
        return f"{person.username}-ui"

    (tmp_path / "people").mkdir()
    home = Home(tmp_path / "people")
    world.people, world.main = home.household(), install
    async with world.node() as apis:
        lived = Lived(world, apis, home, home.household())
        lived.household = world.people
        alice, bob = await lived.make("alice", "admin"), await lived.make("bob")
        assert await lived.users("getSettings", alice.key) == {"mainServiceId": "alice-ui"}
        assert await lived.users("getSettings", bob.key) == {}
    assert made == ["alice", "bob"]


# services-api, as people see it


async def test_people_install_for_themselves_and_owners_for_others_by_name(lived: Lived) -> None:
    alice, bob = await lived.make("alice", "admin"), await lived.make("bob")
    url = lived.world.package()
    mine = await lived.services("install", {"sourceUrl": url, "id": "mine"}, by=bob)
    assert mine["settings"]["owningUserKey"] == bob.key
    his = await lived.services("install", {"sourceUrl": url, "id": "his", "user": "bob"}, by=alice)
    assert his["settings"]["owningUserKey"] == bob.key
    hers = await lived.services("install", {"sourceUrl": url, "id": "hers"}, by=alice)
    assert hers["settings"]["owningUserKey"] == alice.key
    with pytest.raises(Failure, match="-32003 No user found with the username of carol"):
        await lived.services("install", {"sourceUrl": url, "user": "carol"}, by=alice)
    for name in ("alice", "carol", "system"):
        with pytest.raises(Failure, match="Not authorized"):
            await lived.services("install", {"sourceUrl": url, "user": name}, by=bob)
    seen = await lived.services("list", by=bob)
    assert [each["settings"]["id"] for each in seen["services"]] == ["his", "mine"]
    assert len((await lived.services("list", by=alice))["services"]) == 3


async def test_a_guest_brings_nothing(lived: Lived) -> None:
    await lived.make("alice", "admin")
    gus = await lived.make("gus", "guest")
    with pytest.raises(Failure, match="Not authorized"):
        await lived.services("install", {"sourceUrl": lived.world.package()}, by=gus)
    assert await lived.services("list", by=gus) == {"services": []}


async def test_who_is_renamed_keeps_what_is_theirs(lived: Lived) -> None:
    await lived.make("alice", "admin")
    bob = await lived.make("bob")
    await lived.services("install", {"sourceUrl": lived.world.package(), "id": "mine"}, by=bob)
    await lived.users("update", bob.key, {"username": "robert"})
    assert (await lived.services("get", "mine", by=bob))["settings"]["owningUserKey"] == bob.key


async def test_what_a_removed_person_had_is_stopped_kept_and_the_owners_to_start(lived: Lived) -> None:
    alice, bob = await lived.make("alice", "admin"), await lived.make("bob")
    url = lived.world.package()
    await lived.services("install", {"sourceUrl": url, "id": "mine"}, by=bob)
    await lived.services("install", {"sourceUrl": url, "id": "hers"}, by=alice)
    await lived.users("delete", bob.key, user=alice.key)
    await lived.apis.until(lambda: not lived.world.running("mine"))
    assert lived.world.running("hers")
    assert (await lived.services("get", "mine", by=alice))["status"] == "inactive"
    again = await lived.make("bob")
    with pytest.raises(Failure, match="Not authorized"):
        await lived.services("start", "mine", by=again)
    assert await lived.services("list", by=again) == {"services": []}
    assert (await lived.services("start", "mine", by=alice))["converged"]
    assert lived.household.everybody.removed[bob.key].settled


async def test_what_one_life_did_not_stop_the_next_one_does(lived: Lived) -> None:
    alice, bob = await lived.make("alice", "admin"), await lived.make("bob")
    await lived.services("install", {"sourceUrl": lived.world.package(), "id": "mine"}, by=bob)
    lived.household.leaving = None
    await lived.household.remove(bob.key)
    assert lived.world.running("mine"), "as if the node had been killed here"
    leaving = Leaving(lived.apis.node, lived.household, lived.apis.installed)
    await leaving.settle_all()
    await lived.apis.until(lambda: not lived.world.running("mine"))
    assert (await lived.services("start", "mine", by=alice))["converged"]
    await leaving.settle_all()
    assert lived.world.running("mine"), "what an owner started again is not stopped a second time"


# user-sessions-api


async def test_login_whoami_logout(lived: Lived) -> None:
    """As the original's own suite."""
    await lived.make("bob", "admin")
    assert await lived.sessions("whoami") == ({"isActive": False}, "")
    told, cookie = await lived.sessions(
        "login", {"username": "bob", "password": PASSWORD}, user_agent="Mozilla/5.0 (X11; Linux) Firefox/1"
    )
    assert told == {"isActive": True, "username": "bob"}
    assert cookie.startswith("session=")
    assert "; Path=/; HttpOnly; SameSite=Lax; Max-Age=" in cookie
    assert "Secure" not in cookie and "Domain" not in cookie
    assert lived.home.signed_in(value_of(cookie))
    session = session_id(value_of(cookie))
    assert (await lived.sessions("whoami", atek_auth_session=session))[0] == {
        "isActive": True,
        "username": "bob",
    }
    (signed_in,) = lived.household.sessions(lived.household.named("bob").key).values()  # type: ignore[union-attr]
    assert signed_in.device == "Firefox on Linux"
    gone, cleared = await lived.sessions("logout", atek_auth_session=session)
    assert gone is None
    assert cleared.startswith("session=; ") and "Max-Age=0" in cleared
    assert lived.home.signed_in(value_of(cookie)) is None
    assert (await lived.sessions("whoami", atek_auth_session=session))[0] == {"isActive": False}
    with pytest.raises(Failure, match="-32003 Not authorized"):
        await lived.sessions("logout")


async def test_by_tls_no_other_host_can_set_the_cookie(lived: Lived) -> None:
    await lived.make("bob", "admin")
    wanted = {"username": "bob", "password": PASSWORD}
    _, cookie = await lived.sessions("login", wanted, x_forwarded_proto="https")
    assert cookie.startswith("__Host-session=")
    assert "; Secure" in cookie


async def test_both_mistakes_say_the_same(lived: Lived) -> None:
    await lived.make("bob", "admin")
    for username, password in (("bob", "wrong one"), ("carol", PASSWORD), ("bob", "")):
        with pytest.raises(Failure, match=f"-32003 {INCORRECT}") as caught:
            await lived.sessions("login", {"username": username, "password": password})
        assert caught.value.hint == ""
    with pytest.raises(Failure, match="-32001 Parameter 1"):
        await lived.sessions("login", {"username": "bob"})
    with pytest.raises(Failure, match="-32601 Method not found"):
        await lived.sessions("become", {"username": "bob"})


async def test_signing_in_again_ends_the_session_before(lived: Lived) -> None:
    """So nothing that anybody had before somebody signed in stands for them afterwards (session fixation)."""
    await lived.make("bob", "admin")
    before = await lived.sign_in("bob")
    wanted = {"username": "bob", "password": PASSWORD}
    _, cookie = await lived.sessions("login", wanted, atek_auth_session=before)
    assert list(lived.home.router.sessions) == [session_id(value_of(cookie))]
    assert session_id(value_of(cookie)) != before


async def test_guessing_is_slowed_down_by_who_asks_whatever_they_say_of_themselves(lived: Lived) -> None:
    await lived.make("bob", "admin")
    said = set()
    for number in range(40):
        with pytest.raises(Failure) as caught:
            await lived.sessions(
                "login", {"username": "bob", "password": f"guess {number}"}, x_forwarded_for="10.0.0.9"
            )
        said.add(caught.value.message)
    assert said == {INCORRECT, "Too many attempts"}
    wanted = {"username": "bob", "password": PASSWORD}
    with pytest.raises(Failure, match="Too many attempts"):
        await lived.sessions("login", wanted, x_forwarded_for="10.0.0.9")
    assert (await lived.sessions("login", wanted, x_forwarded_for="unix"))[0]["isActive"]
