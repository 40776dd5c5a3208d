"""`autoUpdate` in a manifest: where it may stand, when it comes, and that no revision depends on it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from manifests.model.auto_update import AutoUpdate, next_time, pause
from manifests.model.judgement import judge
from manifests.model.manifest import Manifest
from manifests.model.policy import Policy
from manifests.model.service import make_service
from tests.schema import CheckedManifest

URL = "https://example.com/notes.git"


def manifest(rule: Any, source: str = URL, **rest: Any) -> Manifest:
    return CheckedManifest.model_validate({"id": "notes", "source": source, "autoUpdate": rule, **rest})


@pytest.mark.parametrize(
    "schedule", ["6h", "90", 90, "1m30s", "daily", "hourly", "30 4 * * SUN", "*/5 * * * *"]
)
def test_when_it_comes(schedule: Any) -> None:
    rule = manifest({"schedule": schedule}).auto_update
    assert rule == AutoUpdate(schedule=str(schedule), approve="auto")


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("", "no schedule"),
        ("often", "no schedule"),
        ("0.5s", "at least 1s"),
        ("* * * *", "no schedule"),
        ("0 * * * * *", "no schedule"),
        ("61 * * * *", "no line of cron: bad minute"),
        ("0 0 30 2 *", "no line of cron"),
        ("0 0 31 2,4 *", "cron"),
        (None, "no schedule"),
    ],
)
def test_what_is_no_schedule(schedule: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(why)):
        Manifest.model_validate({"id": "notes", "source": URL, "autoUpdate": {"schedule": schedule}})


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ({"source": "./notes"}, "for packages from Git"),
        ({"source": f"{URL}#main"}, "#main names a version"),
        ({"source": None, "command": ["run"]}, "for packages from Git"),
        ({"source": None, "image": "nginx"}, "has to say image"),
        ({"autoUpdate": {"image": "^1"}}, "autoUpdate.image is for containers"),
        ({"source": None, "image": "nginx:1", "autoUpdate": {"image": "latests"}}, "latests"),
        (
            {"source": None, "image": f"nginx@sha256:{'0' * 64}", "autoUpdate": {"image": "digest"}},
            "names one image",
        ),
        (
            {"source": None, "image": "nginx", "pull": "always", "autoUpdate": {"image": "digest"}},
            "pull: always exclude each other",
        ),
        (
            {"source": None, "image": "nginx", "placement": "swarm", "autoUpdate": {"image": "digest"}},
            "not for placement: swarm",
        ),
    ],
)
def test_where_it_may_stand(rest: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Manifest.model_validate({"id": "notes", "source": URL, "autoUpdate": {}, **rest})
    assert manifest({}, version="^1").auto_update == AutoUpdate(schedule="daily")
    assert manifest({}, source=f"{URL}#:folder").auto_update is not None


def test_no_revision_depends_on_it() -> None:
    with_it, without = manifest({"schedule": "6h"}), manifest(None)
    revisions = {
        make_service(each, runtime=runtime, package=None, source="x").revision
        for each in (with_it, without)
        for runtime in ("node", "node")
    }
    assert len(revisions) == 1


def test_another_nodes_service_may_not_say_it() -> None:
    told = judge(Policy(), manifest({}, runtime="node"))
    assert told == "a service of another node may not say autoUpdate"
    assert judge(Policy(), manifest(None, runtime="node")) is None


@pytest.mark.parametrize(
    ("schedule", "after", "comes"),
    [
        ("daily", "2027-01-15T00:00:00", "2027-01-16T00:00:00"),
        ("daily", "2027-01-15T23:59:59", "2027-01-16T00:00:00"),
        ("hourly", "2027-01-15T08:00:01", "2027-01-15T09:00:00"),
        ("30 4 * * SUN", "2027-01-15T08:00:00", "2027-01-17T04:30:00"),
        ("0 0 29 2 *", "2027-01-15T08:00:00", "2028-02-29T00:00:00"),
    ],
)
def test_the_calendars_next_time(schedule: str, after: str, comes: str) -> None:
    assert pause(schedule) is None
    assert next_time(schedule, datetime.fromisoformat(after)) == datetime.fromisoformat(comes)


def test_a_pause_is_in_seconds() -> None:
    assert (pause("6h"), pause("90"), pause("1m30s")) == (21600.0, 90.0, 90.0)
