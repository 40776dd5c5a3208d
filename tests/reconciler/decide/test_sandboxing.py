"""What the status says of a sandbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.decide.sandboxing import sandboxed
from runtimes.base import Endpoint, Running
from runtimes.sandbox.confinement import STARTED_BEFORE
from tests.runtimes.factories import service

NO_NAMESPACES = "user.max_user_namespaces = 0 forbids user namespaces"


def running(
    started_in: str = "none", service_id: str = "app", unconfined: str = "", **manifest: Any
) -> Running:
    of = service(service_id, command=["x"], **manifest)
    return Running("i", of, 0, 1, Endpoint(port=1), 0.0, sandbox=started_in, unconfined=unconfined)


@pytest.mark.parametrize(
    ("these", "status", "reason"),
    [
        ([running("private")], "True", "Private"),
        ([running("strict", sandbox="strict")], "True", "Strict"),
        (
            [running("private", sandbox="private"), running("none", sandbox="private")],
            "False",
            "StartedBefore",
        ),
        ([running("strict"), running("private")], "True", "Private"),
        ([running(unconfined=NO_NAMESPACES, sandbox="private")], "False", "SandboxUnavailable"),
        ([running(sandbox="private")], "False", "StartedBefore"),
        ([running(unconfined=STARTED_BEFORE)], "False", "StartedBefore"),
        ([running(sandbox="none")], "False", "NotAsked"),
    ],
)
def test_the_least_of_them_is_told(these: list[Running], status: str, reason: str) -> None:
    found = sandboxed(these)
    assert found is not None and (found.status, found.reason) == (status, reason)
    assert NO_NAMESPACES in found.message or reason != "SandboxUnavailable"


def test_of_nothing_of_containers_and_of_the_nodes_own_parts_nothing_is_told() -> None:
    container = replace(running(), service=replace(running().service, runtime="docker"))
    assert sandboxed([]) is None and sandboxed([container]) is None
    assert sandboxed([running(service_id="core.hyper")]) is None
