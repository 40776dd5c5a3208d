"""`atek plan`: the diff and its exit status."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.reconciler.cli.atek import Atek


@dataclass
class Change:
    id: str
    kind: str
    details: list[str] = field(default_factory=list)
    message: str = ""


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> list[Change]:
    """What the preview says; the preview itself has its own tests."""
    found: list[Change] = []
    module = ModuleType("reconciler.cli.preview")
    module.preview = lambda home, paths, past: found  # type: ignore[attr-defined]
    module.Merge = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "reconciler.cli.preview", module)
    return found


def test_nothing_to_change(atek: Atek, changes: list[Change]) -> None:
    changes.append(Change("notes", "none"))
    result = atek("plan")
    assert (result.status, result.out) == (0, "nothing would change\n")


def test_changes_are_a_diff(atek: Atek, changes: list[Change]) -> None:
    changes += [
        Change("new", "create", ["runtime: python"]),
        Change("notes", "update", ["env.LOG_LEVEL: info → debug\x1b[2J"], "replaced without a pause"),
        Change("old", "delete"),
        Change("same", "none"),
    ]
    result = atek("plan")
    assert result.status == 2
    assert result.out.splitlines() == [
        "+ new",
        "    runtime: python",
        "~ notes: replaced without a pause",
        "    env.LOG_LEVEL: info → debug",
        "- old",
        "1 to create, 1 to update, 1 to delete",
    ]


def test_what_does_not_change_although_it_looks_so_is_told(atek: Atek, changes: list[Change]) -> None:
    changes.append(Change("notes", "none", ["its program writes into its own package"]))
    result = atek("plan")
    assert result.status == 0
    assert result.out == "= notes\n    its program writes into its own package\nnothing would change\n"


def test_what_is_blocked_is_an_error(atek: Atek, changes: list[Change]) -> None:
    changes += [Change("a", "create"), Change("b", "blocked", message="depends on itself through c")]
    result = atek("plan")
    assert result.status == 1
    assert "! b: depends on itself through c" in result.out
    assert result.out.endswith("1 to create, 1 blocked\n")


def test_a_node_without_a_version_is_told(atek: Atek, changes: list[Change]) -> None:
    done = atek("plan", "--node", "laptop")
    assert done.status == 1
    assert "--at VERSION" in done.err


def test_for_programs(atek: Atek, changes: list[Change]) -> None:
    changes += [Change("notes", "update", ["env.A: 1 → 2"], "rolls"), Change("same", "none")]
    result = atek("plan", "--json")
    assert result.status == 2
    told = {"id": "notes", "kind": "update", "message": "rolls", "details": ["env.A: 1 → 2"]}
    assert json.loads(result.out) == {"changes": [told]}
