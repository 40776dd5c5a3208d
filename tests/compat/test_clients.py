"""Existing apps, unmodified: the original's own libraries drive a node's system APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.compat.nodes import CompatNode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.compat.clients import Clients

SERVICES = "atek.cloud/services-api"
INSPECT = "atek.cloud/inspect-api"
UNDEFINED = {"undefined": True}

pytestmark = pytest.mark.xdist_group("compat")


@pytest.fixture
def node() -> Iterator[CompatNode]:
    node = CompatNode()
    try:
        node.up()
        yield node
    finally:
        node.close()


@pytest.fixture
def clients(node: CompatNode, tmp_path: Path) -> Clients:
    return node.clients(tmp_path)


def call(api: str, method: str, *params: Any, token: str | None = None) -> dict[str, Any]:
    with_token = {} if token is None else {"token": token}
    return {"api": api, "method": method, "params": params, **with_token}


def test_the_life_of_a_service(clients: Clients, node: CompatNode) -> None:
    url = node.package(title="Notes")
    assert clients.result(SERVICES, "list") == {"services": []}
    installed = clients.result(SERVICES, "install", {"sourceUrl": url, "config": {"theme": "dark"}})
    assert (installed["status"], installed["converged"]) == ("active", True)
    service = {key: installed[key] for key in ("status", "key", "settings")}
    assert service["settings"]["manifest"] == {"title": "Notes"}
    assert service["settings"]["config"] == {"THEME": "dark"}
    seen = node.environment("notes")
    assert (seen["THEME"], seen["ATEK_ASSIGNED_SERVICE_KEY"]) == ("dark", service["key"])
    outcomes = clients.outcomes(
        call(SERVICES, "get", "notes"),
        call(SERVICES, "list"),
        call(SERVICES, "stop", "notes"),
        call(SERVICES, "get", "notes"),
        call(SERVICES, "configure", "notes", {"id": "diary", "config": {"theme": "light"}}),
        call(SERVICES, "start", "diary"),
        call(SERVICES, "restart", "diary"),
        call(SERVICES, "checkForPackageUpdates", "diary"),
        call(SERVICES, "updatePackage", "diary"),
        call(SERVICES, "get", "diary"),
        call(SERVICES, "uninstall", "diary"),
        call(SERVICES, "list"),
    )
    results = [outcome["result"] for outcome in outcomes]
    got, listed, stopped, inactive, renamed, started, restarted, updates, updated, diary, gone, rest = results
    assert (got, listed) == (service, {"services": [service]})
    assert inactive == service | {"status": "inactive"}
    assert all(each["converged"] for each in (stopped, renamed, started, restarted, updated, gone))
    assert updates["hasUpdate"] is False and updates["installedVersion"] == updated["oldVersion"]
    assert (diary["key"], diary["status"]) == (service["key"], "active")
    assert diary["settings"] == service["settings"] | {"id": "diary", "config": {"THEME": "light"}}
    assert rest == {"services": []}


def test_the_node_about_itself(clients: Clients, node: CompatNode) -> None:
    assert clients.result(INSPECT, "isReady") is True
    config = clients.result(INSPECT, "getConfig")
    assert (config["domain"], config["port"]) == ("localhost", node.port)


def test_errors_arrive_with_code_and_message(clients: Clients, node: CompatNode) -> None:
    url = node.package()
    clients.result(SERVICES, "install", {"sourceUrl": url, "id": "notes"})
    errors = clients.outcomes(
        call(SERVICES, "install", {"sourceUrl": url, "id": "notes"}),
        call(SERVICES, "install", {}),
        call(SERVICES, "get", "nothing"),
        call(SERVICES, "fly"),
        call(SERVICES, "install", {"sourceUrl": "https://me:x@example.com/notes.git"}),
        call("example.com/nobody", "hello"),
    )
    told = [(each["error"]["name"], each["error"]["code"], each["error"]["message"]) for each in errors]
    assert told[:4] == [
        ("RpcError", -32003, "App already exists under the ID: notes"),
        ("RpcError", -32001, "Parameter 1: sourceUrl is missing"),
        ("RpcError", -32003, "No service found with id nothing"),
        ("RpcError", -32601, "Method not found: fly"),
    ]
    assert told[4][1] == -32003 and "no password and no token" in told[4][2]
    assert told[5] == ("RpcError", -32601, "No service available which matches example.com/nobody")
    assert errors[2]["error"]["data"] == {"hint": "`atek status` lists all services"}


def test_trailing_params_may_be_undefined(clients: Clients, node: CompatNode) -> None:
    """The library drops them; an undefined option is not sent either."""
    options = {"sourceUrl": node.package(), "desiredVersion": None}
    outcomes = clients.outcomes(
        call(SERVICES, "install", options, UNDEFINED, UNDEFINED),
        call(SERVICES, "get", "notes", UNDEFINED),
        call(SERVICES, "get", UNDEFINED),
        call(SERVICES, "configure", "notes", UNDEFINED),
    )
    assert outcomes[0]["result"]["converged"] and outcomes[1]["result"]["status"] == "active"
    messages = [outcome["error"]["message"] for outcome in outcomes[2:]]
    assert messages == ["Parameter 1 must be text", "Parameter 2 must be an object"]


def test_a_service_that_was_granted_the_nodes_apis_may_what_its_owner_may(
    clients: Clients, node: CompatNode
) -> None:
    url = node.package()
    for user in ("alice", "bob"):
        clients.result(SERVICES, "install", {"sourceUrl": url, "id": f"of-{user}", "user": user})
    tokens = [f"Bearer {node.token_of(f'of-{user}')}" for user in ("alice", "bob")]
    for refused in clients.outcomes(*(call(api, "list", token=tokens[0]) for api in (SERVICES, INSPECT))):
        assert "may not call" in refused["error"]["message"]
    for user in ("alice", "bob"):
        file = node.home / "manifests" / f"of-{user}.yaml"
        file.write_text(f"{file.read_text()}allow: [atek.cloud/*]\n")
    node.until(
        lambda: all("result" in each for each in clients.outcomes(
            *(call(INSPECT, "isReady", token=token) for token in tokens)
        )),
        "granted",
    )  # fmt: skip
    alice, bob = (f"Bearer {node.token_of(f'of-{user}')}" for user in ("alice", "bob"))
    outcomes = clients.outcomes(
        call(SERVICES, "install", {"sourceUrl": url, "id": "notes"}, token=alice),
        call(SERVICES, "list", token=bob),
        call(SERVICES, "stop", "notes", token=bob),
        call(INSPECT, "getConfig", token=bob),
        call(INSPECT, "isReady", token=bob),
        call(SERVICES, "stop", "notes", token=alice),
    )
    assert outcomes[0]["result"]["settings"]["owningUserKey"] == "alice"
    assert [each["settings"]["id"] for each in outcomes[1]["result"]["services"]] == ["of-bob"]
    for refused in outcomes[2:4]:
        assert (refused["error"]["code"], refused["error"]["message"]) == (-32003, "Not authorized")
    assert outcomes[4]["result"] is True
    assert outcomes[5]["result"]["converged"] is True


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic YTpi", "Bearer undefined"])
def test_a_refused_token_is_no_error_to_the_library(clients: Clients, token: str) -> None:
    """It takes the body of a 401 for an answer of neither kind, and so gives undefined."""
    assert clients.outcomes(call(SERVICES, "list", token=token)) == [UNDEFINED]
