"""`atek grant` and `atek revoke`, and what status says of rights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import UserError
from tests.reconciler.cli.atek import Atek, running_node
from tests.reconciler.fakes import FakeNode, service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WAY, FOLDER = "egress:api.example.com:443", "bind:/srv/photos:ro"


def row(right: str, what: str, *, granted: bool = False) -> dict[str, Any]:
    return {
        "service": "notes", "source": "laptop", "id": right, "what": what, "why": "it matters",
        "granted": granted,
    }  # fmt: skip


class Asking(FakeNode):
    """A node with one service that asks for two rights."""

    def __init__(self) -> None:
        super().__init__()
        self.of = {WAY: row(WAY, "connect to api"), FOLDER: row(FOLDER, "read /srv/photos")}
        self.add(service("notes") | {"rights": list(self.of.values())})

    @property
    def granting(self) -> Any:
        return self

    def rows(self) -> list[dict[str, Any]]:
        return list(self.of.values())

    async def grant(self, service_id: str, rights: Sequence[str]) -> list[str]:
        if service_id != "notes":
            raise UserError(f"{service_id} asks for nothing")
        for each in rights:
            self.of[each]["granted"] = True
        return list(rights)

    async def revoke(self, service_id: str, rights: Sequence[str]) -> list[str]:
        taken = [each for each in rights or self.of if self.of[each]["granted"]]
        for each in taken:
            self.of[each]["granted"] = False
        return taken


@pytest.fixture
def node(atek: Atek) -> Iterator[Asking]:
    node = Asking()
    with running_node(atek.home, node):
        yield node


def test_the_list(atek: Atek, node: Asking) -> None:
    node.of[WAY]["granted"] = True
    assert atek("grant").out.splitlines() == [
        "notes, from laptop",
        f"  granted: {WAY}: connect to api: it matters",
        f"  asked for: {FOLDER}: read /srv/photos: it matters",
    ]
    assert json.loads(atek("grant", "--json").out) == node.rows()
    node.of.clear()
    assert atek("grant").out == "no service asks for anything; those of your own files need not ask\n"


def test_nobody_there_to_say_yes_grants_nothing(atek: Atek, node: Asking) -> None:
    result = atek("grant", "notes")
    assert (result.status, result.out) == (1, "")
    assert (
        result.err
        == "atek: nobody is there to say yes, so nothing was done\nhint: --yes says so for a script\n"
    )
    assert not any(each["granted"] for each in node.rows())


def test_it_is_shown_in_words_and_asked(atek: Atek, node: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert atek("grant", "notes").status == 1
    assert not any(each["granted"] for each in node.rows())
    monkeypatch.setattr("builtins.input", lambda question: "yes")
    assert atek("grant", "notes").out.splitlines() == [
        "notes, which comes from laptop, asks to",
        f"  - connect to api: it matters ({WAY})",
        f"  - read /srv/photos: it matters ({FOLDER})",
        f"granted to notes: {WAY}, {FOLDER}",
    ]


def test_one_of_them_and_back(atek: Atek, node: Asking) -> None:
    assert atek("grant", "notes", FOLDER, "--yes").out == f"granted to notes: {FOLDER}\n"
    assert atek("grant", "notes", FOLDER, "--yes").out == "notes has that already\n"
    assert [each["granted"] for each in node.rows()] == [False, True]
    assert atek("revoke", "notes").out == f"taken from notes: {FOLDER}\n"
    assert atek("grant", "wiki", "--yes").err == "atek: wiki asks for nothing\n"


def test_status_of_one_shows_them(atek: Atek, node: Asking) -> None:
    assert f"asks for {WAY}: connect to api: it matters" in atek("status", "notes").out
