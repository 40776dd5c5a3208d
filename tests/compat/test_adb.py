"""Existing apps, unmodified: the original's libraries keep their records in this Atek Database.

The apps are services of a real node, the calls go through its gateway, and the store is the real daemon's.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from tests.compat.clients import HERE, install_clients
from tests.compat.nodes import CompatNode
from tests.hyper.adb.core import with_core_services

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICES = "atek.cloud/services-api"
APPS = {"of-alice": "alice", "of-bob": "bob"}

pytestmark = pytest.mark.xdist_group("compat-adb")


class AdbNode(CompatNode):
    """With the two core services, and an app for each of two users."""

    def start(self) -> None:
        with_core_services(self.home)
        self.up()
        self.until(lambda: self.ready("core.adb"), "the Atek Database is ready")

    def install_apps(self, folder: Path) -> None:
        clients = self.clients(folder)
        package = self.root / "cats"
        package.mkdir()
        shutil.copy(HERE / "adb-app.mjs", package / "index.mjs")
        (package / "package.json").write_text('{"main": "index.mjs"}')
        libraries = str(install_clients() / "node_modules")
        for service_id, user in APPS.items():
            app = {"id": service_id, "user": user, "config": {"libraries": libraries}}
            options = {"sourceUrl": package.as_uri(), **app}
            assert clients.result(SERVICES, "install", options)["converged"]

    def play(self, app: str, scenario: str, **arguments: Any) -> Any:
        """What a scenario of adb-app.mjs came to."""
        return json.loads(self.get(app, f"/{scenario}?{urlencode(arguments)}"))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbNode]:
    node = AdbNode()
    try:
        node.start()
        node.install_apps(tmp_path_factory.mktemp("clients"))
        yield node
    finally:
        node.close()


def test_the_life_of_records(node: AdbNode) -> None:
    told = node.play("of-alice", "crud")
    path = "/example.com/cats/cat3"
    created = told["got"]["value"].pop("createdAt")
    assert created and told["got"] == {
        "key": "cat3", "path": path, "url": f"hyper://{told['dbId']}{path}", "seq": told["got"]["seq"],
        "value": {"id": "cat3", "lives": 3}, "valid": True,
    }  # fmt: skip
    assert told["keys"] == [f"cat{number}" for number in range(10)]
    assert told["seqs"] == ["number"] * 10
    assert told["some"] == ["cat9", "cat8", "cat7"]
    assert (told["lives"], told["left"]) == (9, 9)
    gone = {"name": "RpcError", "code": -32003, "message": "Not found: example.com,cats,cat3"}
    assert told["gone"] == gone
    assert told["invalid"]["name"] == "ValidationError"


def test_keys_of_the_librarys_making(node: AdbNode) -> None:
    told = node.play("of-alice", "keys")
    assert told["sorted"] and told["undefineds"] == 20
    assert (told["odd"]["key"], told["odd"]["path"]) == ("é", "/a/b/c d/é")
    assert told["read"] == told["odd"]


def test_databases_of_an_app(node: AdbNode) -> None:
    told = node.play("of-alice", "databases")
    assert told["same"]
    info = told["described"]
    assert info["writable"] is True and info["isServerDb"] is False and info["owner"]["userKey"] == "alice"
    assert told["before"] == {"access": "private", "alias": "mine"}
    assert told["after"] == {"access": "public", "alias": "ours"}
    assert info["dbId"] in told["list"]
    assert told["refused"] == {"name": "RpcError", "code": -32003, "message": "Not authorized"}
    assert told["none"]["message"] == "Invalid database ID: nothing"
    assert told["wrong"] == {
        "name": "RpcError",
        "code": -32001,
        "message": "Parameter 1/alias must be string",
    }
    bobs = node.play("of-bob", "databases")
    assert bobs["described"]["dbId"] != info["dbId"] and info["dbId"] not in bobs["list"]


def test_what_is_anothers(node: AdbNode) -> None:
    private = node.play("of-alice", "databases")["described"]["dbId"]
    refused = {"name": "RpcError", "code": -32003}
    denied = refused | {"message": f"Not authorized to access {private}"}
    told = node.play("of-bob", "others", dbId=private)
    assert told["read"] == told["described"] == denied
    assert told["write"] == refused | {"message": f"Not authorized to write {private}"}
    public = node.play("of-alice", "crud")["dbId"]
    told = node.play("of-bob", "others", dbId=public)
    assert "read" not in told and "described" not in told
    assert told["write"]["message"] == f"Not authorized to write {public}"
    assert told["configure"]["message"] == "Can't configure a database owned by a different user"


def test_what_changed_since(node: AdbNode) -> None:
    """The original declared it and never wrote it."""
    db_id = node.play("of-alice", "crud")["dbId"]
    told = node.play("of-alice", "diff", dbId=db_id, left=11)
    assert [(each["left"]["key"], "right" in each) for each in told] == [("example.com/cats/cat3", False)]


def test_the_feed(node: AdbNode) -> None:
    answer, listing, changes = node.play("of-alice", "feed")
    assert answer["result"] == {"subscription": 1}
    assert (listing["method"], listing["params"][0]["records"]) == ("records", [])
    assert changes["method"] == "changes"
    assert [each["key"] for each in changes["params"][0]["changes"]] == ["cats/kit"]


def test_the_core_tables(node: AdbNode, tmp_path: Path) -> None:
    told = json.loads(node.clients(tmp_path).run("tables.mjs"))
    assert told["described"]["isServerDb"] is True
    assert told["entry"]["valid"] is True and told["entry"]["value"]["owner"] == {
        "userKey": "carol", "serviceKey": "app"
    }  # fmt: skip
    assert told["edited"] == "public" and told["gone"].startswith("Not found: atek.cloud,database,")
    assert told["user"]["value"]["username"] == "carol" and told["user"]["valid"] is True
    assert told["session"]["username"] == "carol" and told["service"] is True
    assert "must have required property 'hashedPassword'" in told["invalid"]
    assert told["valid"] and all(told["valid"])
    assert (told["carols"], told["system"]) == (0, 1)
