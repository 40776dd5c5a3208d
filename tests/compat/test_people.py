"""The original's libraries for people, unmodified: sign in, install, start, stop, rename, sign out."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.compat.nodes import CompatNode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICES, USERS = "atek.cloud/services-api", "atek.cloud/users-api"
SESSIONS = "atek.cloud/user-sessions-api"
PASSWORD = "hunter2"

pytestmark = pytest.mark.xdist_group("compat")


@pytest.fixture
def node() -> Iterator[CompatNode]:
    node = CompatNode()
    try:
        node.up()
        yield node
    finally:
        node.close()


def call(by: str, api: str, method: str, *params: Any) -> dict[str, Any]:
    return {"by": by, "api": api, "method": method, "params": params}


def login(by: str, password: str = PASSWORD) -> dict[str, Any]:
    return call(by, SESSIONS, "login", {"username": by, "password": password})


def test_people_from_signing_in_to_signing_out(node: CompatNode, tmp_path: Path) -> None:
    assert node.atek("user", "add", "alice", "--password-stdin", input=f"{PASSWORD}\n").returncode == 0
    url = node.package(title="Notes")
    clients = node.clients(tmp_path)
    told = json.loads(
        clients.run(
            "people.mjs",
            json.dumps(
                [
                    call("alice", SESSIONS, "whoami"),
                    login("alice", "wrong one"),
                    login("alice"),
                    call("alice", SESSIONS, "whoami"),
                    call("alice", USERS, "create", {"username": "bob", "password": PASSWORD}),
                    call("alice", USERS, "list"),
                    login("bob"),
                    call("bob", USERS, "list"),
                    call("bob", SERVICES, "install", {"sourceUrl": url}),
                    call("bob", SERVICES, "configure", "notes", {"id": "diary", "config": {"theme": "dark"}}),
                    call("bob", SERVICES, "stop", "diary"),
                    call("bob", SERVICES, "start", "diary"),
                    call("bob", SERVICES, "list"),
                    call("alice", SERVICES, "list"),
                    call("eve", SERVICES, "list"),
                    call("bob", SESSIONS, "logout"),
                    call("bob", SESSIONS, "whoami"),
                    call("bob", SERVICES, "list"),
                    call("alice", SESSIONS, "whoami"),
                ]
            ),
        )
    )
    (
        nobody, wrong, signed_in, alice, bob, everybody, his, refused, installed, renamed, stopped, started,
        bobs, all_of_them, eves, out, gone, shut_out, still,
    ) = told  # fmt: skip
    assert nobody == {"result": {"isActive": False}}
    assert wrong["error"]["message"] == "Username or password was incorrect"
    assert signed_in == alice == still == {"result": {"isActive": True, "username": "alice"}}
    assert his == {"result": {"isActive": True, "username": "bob"}}
    assert bob["result"]["role"] == "" and bob["result"] in everybody["result"]["users"]
    assert (refused["error"]["code"], refused["error"]["message"]) == (-32003, "Not authorized")
    assert installed["result"]["status"] == "active"
    assert installed["result"]["settings"]["owningUserKey"] == bob["result"]["key"]
    assert all(each["result"]["converged"] for each in (renamed, stopped, started))
    assert [each["settings"]["id"] for each in bobs["result"]["services"]] == ["diary"]
    assert bobs["result"]["services"][0] in all_of_them["result"]["services"]
    assert out == {"result": None}
    assert gone == {"result": {"isActive": False}}
    # The library takes a 401 for an answer without a result.
    assert "result" not in eves and "result" not in shut_out


def test_a_session_outlives_the_node_and_ends_with_its_person(node: CompatNode, tmp_path: Path) -> None:
    for name in ("alice", "bob"):
        node.atek("user", "add", name, "--password-stdin", input=f"{PASSWORD}\n")

    def ask(method: str, cookie: str, *params: Any) -> tuple[Any, str]:
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=40)
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        connection.request("POST", f"/_atek/gateway?api={SESSIONS}", body, {"Cookie": cookie})
        with closing(connection), connection.getresponse() as answer:
            return json.loads(answer.read()).get("result"), answer.getheader("Set-Cookie") or ""

    _, cookie = ask("login", "", {"username": "bob", "password": PASSWORD})
    cookie = cookie.partition(";")[0]
    assert ask("whoami", cookie)[0] == {"isActive": True, "username": "bob"}
    node.kill()
    node.up()
    assert ask("whoami", cookie)[0] == {"isActive": True, "username": "bob"}
    assert node.atek("user", "remove", "bob", "--yes").returncode == 0
    assert ask("whoami", cookie)[0] == {"isActive": False}
    assert "code=" not in node.log() and PASSWORD not in node.log()
