"""The manifests of the core services are manifests."""

from __future__ import annotations

from typing import Any

import pytest

from hyper.core_services import ADB_API, adb_service, hyper_service
from manifests.model.manifest import Manifest

SERVICES = [
    hyper_service(store="/srv/hyper", socket="/run/hyper.sock"),
    hyper_service(
        store="/srv/hyper",
        socket="/run/hyper.sock",
        bootstrap=["10.0.0.7:49737"],
        listen="127.0.0.1:0",
        peers=[{"host": "10.0.0.7", "port": 1, "key": "ab"}],
        known_peers_only=False,
        restore="/srv/backup.json",
        meeting_point="10.0.0.7:49737",
        public=True,
    ),
    adb_service(socket="/run/hyper.sock"),
]


@pytest.mark.parametrize("service", SERVICES)
def test_they_are_what_a_person_may_write(service: dict[str, Any]) -> None:
    assert Manifest.model_validate(service).id == service["id"]


def test_the_daemon_is_never_there_twice() -> None:
    assert Manifest.model_validate(SERVICES[0]).strategy == "recreate"


def test_no_public_network_unless_somebody_lists_it() -> None:
    """Without the variable, the libraries' own default would be the public one."""
    assert SERVICES[0]["env"]["HYPER_BOOTSTRAP"] == "[]"
    assert "HYPER_PUBLIC" not in SERVICES[0]["env"]


def test_the_database_by_both_transports() -> None:
    exports = Manifest.model_validate(adb_service(socket="/s")).exports
    assert exports and {(each.api, each.transport) for each in exports} == {
        (ADB_API, "rpc"),
        (ADB_API, "proxy"),
    }
