"""What `allow` grants: nothing of the node's own unless it is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.model.authority import EVERYTHING, OWN_APIS, allows

SERVICES, ADB, NOTES = "atek.cloud/services-api", "atek.cloud/adb-api", "example.com/notes"


@pytest.mark.parametrize(
    ("allow", "services", "adb", "notes"),
    [
        (None, False, True, True),
        ((), False, False, False),
        (("*",), False, True, True),
        (("**",), False, True, True),
        (("a*",), False, True, False),
        (("atek.cloud*",), False, True, False),
        (("*/services-api",), False, False, False),
        ((SERVICES,), True, False, False),
        (("atek.cloud/*",), True, True, False),
        (("*", SERVICES), True, True, True),
        ((NOTES,), False, False, True),
        (("example.com/*",), False, False, True),
        (("ATEK.CLOUD/*",), False, False, False),
        (EVERYTHING, True, True, True),
    ],
)
def test_who_may_call_what(allow: tuple[str, ...] | None, services: bool, adb: bool, notes: bool) -> None:
    """`atek.cloud/adb-api` is served by a service, so it is like any other's."""
    assert allows(allow, SERVICES, nodes_own=True) is services
    assert allows(allow, ADB, nodes_own=False) is adb
    assert allows(allow, NOTES, nodes_own=False) is notes


apis = st.text("a*/.c", max_size=6).map(lambda rest: OWN_APIS + rest.replace("*", "x"))


@given(st.lists(st.text("atek.cloud/*", max_size=14), max_size=4), apis)
def test_the_nodes_own_are_for_who_is_granted_them_by_name(allow: list[str], api: str) -> None:
    named = [each for each in allow if each.startswith(OWN_APIS)]
    assert allows(allow, api, nodes_own=True) is allows(named, api, nodes_own=False)
    assert allows(allow, api, nodes_own=True) <= allows(allow, api, nodes_own=False)
    assert allows([*allow, api], api, nodes_own=True)
