"""Limits and revisions: a key that is not said changes no revision, one that holds at once never does."""

from __future__ import annotations

from typing import Any

import pytest

from manifests.documents.parse import parse_manifest
from manifests.model.service import make_service
from manifests.model.spec import Resources


def revision(runtime: str = "process", **keys: Any) -> str:
    manifest, problems = parse_manifest({"id": "a", "command": ["run"], **keys})
    assert manifest is not None, problems
    return make_service(manifest, runtime=runtime, package=None, source="test").revision


def test_what_older_versions_made_of_limits_is_the_same() -> None:
    assert revision() == "d0489084a480"
    assert revision(resources={"memory": "256Mi", "cpu": 0.5, "pids": 128}) == "727517ebec33"


@pytest.mark.parametrize("runtime", ["process", "swarm"])
def test_disk_log_and_rate_of_restarts_hold_at_once(runtime: str) -> None:
    more = {"resources": {"disk": "1G", "logRate": "1M"}, "restart": {"perMinute": 3}}
    assert revision(runtime, **more) == revision(runtime)


def test_open_files_are_an_instances_own() -> None:
    assert revision(resources={"openFiles": 100}) != revision()


def test_defaults_fill_in_what_is_not_said() -> None:
    defaults = Resources.model_validate({"memory": "1G", "pids": 4096})
    mine = Resources.model_validate({"memory": "2G", "disk": "1G"})
    assert mine.within(defaults).model_dump(exclude_none=True) == {
        "memory": 2 * 10**9, "disk": 10**9, "pids": 4096,
    }  # fmt: skip
    assert mine.within(Resources()) is mine
