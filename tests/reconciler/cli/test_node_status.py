"""`atek status --node`: what another node told of itself, and how fresh that is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.reconciler.fake_nodes import NOW, Pair
from tests.reconciler.fakes import service

if TYPE_CHECKING:
    from tests.reconciler.cli.atek import Atek


def test_the_status_of_another_node(atek: Atek, followed: Pair) -> None:
    wiki = service("wiki", ready=False, message="npm ci\x1b[2J", observedRevision=None)
    followed.do(followed.pi.publish, service("notes"), wiki)
    result = atek("status", "--node", "pi")
    headline, empty, header, notes, last = result.out.splitlines()
    assert (result.status, empty) == (0, "")
    assert headline.startswith("pi: connected, last change ") and headline.endswith("d ago")
    assert header.split()[:3] == ["ID", "RUNTIME", "READY"]
    assert notes.split()[:6] == ["notes", "python", "yes", "0", "-", "aaaabbbb"]
    assert last.endswith("Starting: npm ci")


def test_json_is_what_that_node_told_and_how_fresh_it_is(atek: Atek, followed: Pair) -> None:
    followed.do(followed.pi.publish, service("notes"), service("wiki"))
    value = json.loads(atek("status", "--node", "pi", "--json").out)
    assert {"known": True, "connected": True, "behind": 0, "follow": "pi"}.items() <= value.items()
    assert value["publishedAt"] == NOW
    assert [each["id"] for each in value["services"]] == ["notes", "wiki"]
    one = json.loads(atek("status", "wiki", "--node", "pi", "--json").out)
    assert [each["id"] for each in one["services"]] == ["wiki"]


def test_a_node_that_is_away_is_shown_as_it_was(atek: Atek, followed: Pair) -> None:
    followed.do(followed.pi.publish, service("notes"), name="pi\x1b[2Jzero")
    atek("status", "--node", "pi")
    followed.part()
    result = atek("status", "--node", "pi")
    assert result.status == 0
    assert result.out.startswith("pi (it calls itself pizero): away, last change ")
    assert "notes" in result.out


@pytest.mark.parametrize(("part", "where"), [(False, "connected"), (True, "away")])
def test_a_node_that_never_told_anything(atek: Atek, followed: Pair, part: bool, where: str) -> None:
    if part:
        followed.part()
    result = atek("status", "notes", "--node", "pi")
    assert (result.status, result.out) == (0, f"pi: {where}, and nothing of its status has arrived yet\n")
    assert json.loads(atek("status", "--node", "pi", "--json").out)["known"] is False


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--node pj", "atek: this node does not follow pj\nhint: it follows pi\n"),
        ("notse --node pi", "atek: there is no service notse\nhint: did you mean notes?\n"),
        (
            "zzz --node pi",
            "atek: there is no service zzz\nhint: `atek status --node pi` lists all services\n",
        ),
    ],
)
def test_a_status_that_there_is_not(atek: Atek, followed: Pair, words: str, error: str) -> None:
    followed.do(followed.pi.publish, service("notes"))
    result = atek("status", *words.split())
    assert (result.status, result.out, result.err) == (1, "", error)


def test_watching_prints_each_change_until_there_is_nothing_to_watch(atek: Atek, followed: Pair) -> None:
    starting = service("notes", ready=False)
    followed.laptop.meanwhile = [
        lambda _: followed.pi.publish(starting),
        lambda _: followed.pi.publish(starting | {"restarts": 1}),
        lambda _: followed.laptop.unfollow("pi"),
    ]
    result = atek("status", "--node", "pi", "--watch", "--json")
    assert [json.loads(line)["services"][0]["restarts"] for line in result.out.splitlines()] == [0, 1]
    assert (result.status, result.err.splitlines()[0]) == (1, "atek: this node does not follow pi")


def test_watching_prints_nothing_twice(atek: Atek, followed: Pair) -> None:
    followed.laptop.meanwhile = [
        lambda _: followed.pi.publish(service("notes")),
        lambda _: followed.pi.publish(service("notes")),
        lambda _: followed.laptop.unfollow("pi"),
    ]
    assert atek("status", "--node", "pi", "--watch").out.count("notes") == 1
