"""What the README says of the tree is so: its files are there, and all rooms stand in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (
    (ROOT / "README.md").read_text("utf-8").partition("## Architecture")[2].partition("## Development")[0]
)
PACKAGES = ("reconciler", "runtimes", "manifests", "hyper")
ROOMS = sorted(
    path.parent.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("__init__.py")
    if "node_modules" not in path.parts
)
#: Lines of a room's own words, the first among them.
_MOST = 10


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?:reconciler|runtimes|manifests|hyper)/[\w./]*)`", ARCHITECTURE)))
)
def test_every_place_is_there(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_every_room_says_what_it_is(room: Path) -> None:
    told = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text("utf-8")))
    assert told, f"{room}/__init__.py says nothing"
    assert len(told.splitlines()) <= _MOST


@pytest.mark.parametrize("room", [each for each in ROOMS if len(each.parts) == 2], ids=str)
def test_every_room_stands_in_the_readme(room: Path) -> None:
    assert f" {room.name}/ " in ARCHITECTURE
