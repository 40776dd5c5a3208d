"""`atek history` and `atek rollback`: what was written, and writing it again."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.peers.port import Change, Follow
from tests.reconciler.fake_nodes import NOW, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.reconciler.cli.atek import Atek


@pytest.fixture
def atek(atek: Atek, monkeypatch: pytest.MonkeyPatch) -> Iterator[Atek]:
    """In a place where clocks go an hour ahead of UTC."""
    monkeypatch.setenv("TZ", "UTC-1")
    time.tzset()
    yield atek
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def past(pair: Pair) -> Pair:
    """Versions 4: notes, 6: wiki, 8: notes, changed, 10: wiki is deleted."""
    declare(pair, "notes", env={"LOG": "info", "API_TOKEN": "sesame"})
    declare(pair, "wiki")
    declare(pair, "notes", env={"LOG": "debug", "API_TOKEN": "mellon"})
    pair.do(pair.laptop.services.remove, "wiki", Change("laptop", "delete"))
    return pair


def declare(pair: Pair, service_id: str, **more: Any) -> None:
    pair.do(pair.laptop.declare, service_id, **more)


def records(pair: Pair) -> dict[str, object]:
    """What the laptop's records say of each service's environment."""
    found = pair.do(pair.laptop.services.read)
    return {name: record.value["spec"].get("env") for name, record in found.items()}


# History


def test_the_newest_change_first(atek: Atek, past: Pair) -> None:
    result = atek("history")
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines() == [
        "version 10  2025-01-02 04:04:05  delete by laptop",
        "  - wiki deleted",
        "version 8  2025-01-02 04:04:05  push by laptop",
        "  ~ notes changed",
        "      env.API_TOKEN: (hidden) → (hidden)",
        "      env.LOG: info → debug",
        "version 6  2025-01-02 04:04:05  push by laptop",
        "  + wiki created",
        "version 4  2025-01-02 04:04:05  push by laptop",
        "  + notes created",
    ]


@pytest.mark.parametrize(
    ("words", "versions", "rest"),
    [
        ("wiki", ["10", "6"], ""),
        ("notes", ["8", "4"], ""),
        ("-n 1", ["10"], "3 earlier ones: -n shows more\n"),
        ("notes -n 1", ["8"], "1 earlier ones: -n shows more\n"),
        ("--lines 4", ["10", "8", "6", "4"], ""),
    ],
)
def test_only_some_of_it(atek: Atek, past: Pair, words: str, versions: list[str], rest: str) -> None:
    result = atek("history", *words.split())
    assert [line.split()[1] for line in result.out.splitlines() if line.startswith("version")] == versions
    assert (result.status, result.err) == (0, rest)


def test_one_services_part_of_a_change(atek: Atek, past: Pair) -> None:
    atek("rollback", "--to", "6")
    assert atek("history", "wiki", "-n", "1").out.splitlines() == [
        "version 13  2025-01-02 04:04:05  rollback to 6 by laptop",
        "  + wiki created",
    ]


def test_json_has_all_of_it(atek: Atek, past: Pair) -> None:
    result = atek("history", "--json", "-n", "1")
    value = json.loads(result.out)
    assert [entry["version"] for entry in value] == [4, 6, 8, 10]
    assert value[0] == {
        "version": 4,
        "at": NOW,
        "by": "laptop",
        "what": "push",
        "services": [{"id": "notes", "what": "created", "details": []}],
    }
    assert "sesame" not in result.out and "mellon" not in result.out


def test_nothing_was_written_yet(atek: Atek, pair: Pair) -> None:
    result = atek("history")
    assert (result.status, result.out) == (0, "nothing was written yet: `atek push` does\n")
    assert atek("history", "--json").out == "[]\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("wikki", "atek: the records never had a service wikki\nhint: did you mean wiki?\n"),
        ("zzz", "atek: the records never had a service zzz\nhint: `atek history` shows all changes\n"),
        ("--node pi", "atek: this node does not follow pi\nhint: it follows nobody\n"),
    ],
)
def test_a_history_that_there_is_not(atek: Atek, past: Pair, words: str, error: str) -> None:
    result = atek("history", *words.split())
    assert (result.status, result.out, result.err) == (1, "", error)


def test_of_a_node_that_is_followed(atek: Atek, past: Pair) -> None:
    past.follow_pi()
    past.do(past.pi.declare, "radio")
    shown = "version 4  2025-01-02 04:04:05  push by pi\n  + radio created\n"
    assert atek("history", "--node", "pi").out == shown
    past.part()
    assert atek("history", "radio", "--node", "pi").out == shown


def test_of_a_node_that_was_never_seen(atek: Atek, pair: Pair) -> None:
    pair.do(pair.laptop.follow, Follow("attic", "a" * 64, "b" * 64))
    result = atek("history", "--node", "attic")
    assert (result.status, result.out) == (1, "")
    assert "has arrived yet\nhint: nothing of that node has arrived yet; is it connected?" in result.err


def test_control_characters_do_not_reach_the_terminal(atek: Atek, pair: Pair) -> None:
    value = {"sourceUrl": "/a", "updatedBy": "me\x1b[2J\x07"}
    db_id = pair.do(pair.laptop.keys).records
    pair.do(pair.laptop.hyper.put, db_id, ("atek.cloud", "service", "no\x1b[2Jtes"), value)
    assert atek("history").out == "version 3  (no time)  written by me\n  + notes created\n"


# Rollback


@pytest.mark.parametrize(
    ("words", "said", "notes", "services"),
    [
        ("notes --to 4", "notes as at version 4 again (this is version 12)", "info", ["notes"]),
        ("notes --to 6", "notes as at version 6 again (this is version 12)", "info", ["notes"]),
        ("wiki --to 6", "wiki as at version 6 again (this is version 12)", "debug", ["notes", "wiki"]),
        ("--to 6", "notes, wiki as at version 6 again (this is version 13)", "info", ["notes", "wiki"]),
        ("--to 2", "notes as at version 2 again (this is version 12)", None, []),
    ],
)
def test_going_back(
    atek: Atek, past: Pair, words: str, said: str, notes: str | None, services: list[str]
) -> None:
    result = atek("rollback", *words.split())
    assert (result.status, result.out, result.err) == (0, f"{said}\n", "")
    now = records(past)
    assert sorted(now) == services
    assert now.get("notes") == ({"LOG": notes, "API_TOKEN": TOKENS[notes]} if notes else None)


TOKENS = {"info": "sesame", "debug": "mellon"}


@pytest.mark.parametrize(("words", "what"), [("notes --to 9", "notes"), ("--to 10", "everything")])
def test_where_it_is_already(atek: Atek, past: Pair, words: str, what: str) -> None:
    result = atek("rollback", *words.split())
    assert result.status == 0
    assert result.out == f"{what} is as it was at version {words.split()[-1]} already\n"
    assert past.laptop.version == 10


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("notes --to 99", "there is no version 99: the newest is 10", "`atek history` shows them"),
        ("wiki --to 4", "there was no service wiki at version 4", "it was first written at version 6"),
        (
            "wiki --to 10",
            "there was no service wiki at version 10",
            "it was deleted then; `atek history wiki`",
        ),
        ("wikki --to 8", "the records never had a service wikki", "did you mean wiki?"),
    ],
)
def test_there_is_no_way_back(atek: Atek, past: Pair, words: str, message: str, hint: str) -> None:
    before = records(past)
    result = atek("rollback", *words.split())
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"atek: {message}\nhint: {hint}")
    assert records(past) == before


@pytest.mark.parametrize("trouble", ["NO_SPACE", "HELD"])
def test_a_daemon_that_does_not_write(atek: Atek, past: Pair, trouble: Any) -> None:
    past.laptop.hyper.fails = trouble
    result = atek("rollback", "notes", "--to", "4")
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"atek: not written: {trouble}\nhint: ")


@pytest.mark.parametrize("words", ["history", "rollback --to 4"])
def test_a_daemon_that_is_away(atek: Atek, past: Pair, words: str) -> None:
    past.do(past.laptop.hyper.go_away)
    result = atek(*words.split())
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("atek: the Hypercore daemon is away\nhint: `atek status core.hyper`")


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("rollback notes", "--to"),
        ("rollback notes --to 0", "0 is not a number from 1 on"),
        ("rollback notes --to first", "first is not a number"),
        ("history -n 0", "0 is not a number from 1 on"),
        ("history -n all", "all is not a number"),
    ],
)
def test_wrong_usage(atek: Atek, words: str, wrong: str) -> None:
    result = atek(*words.split())
    assert (result.status, result.out) == (2, "")
    assert wrong in result.err
