"""What people read about what a service may."""

from __future__ import annotations

from typing import Any

import pytest

from manifests.model.manifest import Manifest
from manifests.model.service import make_service
from reconciler.decide.may import what_it_may
from tests.reconciler.decide.worlds import service


def told(owner: str = "system", **manifest: Any) -> dict[str, str]:
    return {each.what: each.how for each in what_it_may(service(**manifest), owner)}


@pytest.mark.parametrize(
    ("allow", "how"),
    [
        (None, "whatever other services export; none of the node's own APIs"),
        ([], "no API"),
        (["example.com/*", "x"], "example.com/*, x"),
        (["atek.cloud/services-api"], "atek.cloud/services-api, as alice"),
    ],
)
def test_what_it_may_call(allow: list[str] | None, how: str) -> None:
    assert told("alice", allow=allow)["call"] == how


def test_what_is_not_granted_is_not_told() -> None:
    assert told(sandbox="strict") == {
        "call": "whatever other services export; none of the node's own APIs",
        "sandbox": "strict",
        "reach": "no other machine",
    }


def test_what_a_sandboxed_program_may() -> None:
    found = told(
        sandbox="strict",
        egress=["api.example.com:443"],
        binds=["/srv/photos", "/srv/inbox:rw"],
        exports=["example.com/a", {"api": "example.com/a", "path": "/feed", "transport": "proxy"}],
        secrets={"KEY": {"file": "s.yaml"}},
    )
    assert found["reach"] == "api.example.com:443"
    assert found["see"] == "/srv/photos, /srv/inbox (and writes there)"
    assert (found["export"], found["secrets"]) == ("example.com/a", "KEY")


@pytest.mark.parametrize(
    ("manifest", "reach"),
    [
        ({}, "no other machine"),
        ({"egress": True, "publish": ["80:80"]}, "any other machine"),
        ({"network": "host"}, "this machine's network"),
        ({"network": "none", "egress": False}, "no other machine"),
    ],
)
def test_what_a_container_may(manifest: dict[str, Any], reach: str) -> None:
    document = {
        "id": "app",
        "image": "x",
        "volumes": ["/srv/www:/www", "cache:/c"],
        "capabilities": ["CHOWN"],
    }
    declared = Manifest.model_validate({**document, **manifest})
    of = make_service(declared, runtime="docker", package=None, source="test")
    found = {each.what: each.how for each in what_it_may(of, "system")}
    assert (found["reach"], found["sandbox"]) == (reach, "a container")
    assert (found["see"], found["capabilities"]) == ("/srv/www:/www", "CHOWN")
    assert found.get("publish", "") == ", ".join(manifest.get("publish", ()))
