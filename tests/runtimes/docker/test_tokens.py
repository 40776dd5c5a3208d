"""Where an instance in a container has its tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from runtimes.docker.tokens import as_files, as_made, tokens_of
from runtimes.memory_files import MemoryFiles
from tests.runtimes.factories import launch, service

if TYPE_CHECKING:
    from pathlib import Path

    from runtimes.base import Launch

MADE_BEFORE = ["PATH=/bin", "ATEK_HOST_BEARER_TOKEN=first", "ATEK_ROUTER_TOKEN=firsts"]


def start(**manifest: Any) -> Launch:
    return launch(service(runtime="docker", image="i", **manifest))


def test_files_are_for_what_may_be_started_again() -> None:
    found = as_files(start(readOnly=False))
    assert found.identity == {"key": "the-key"}
    assert {each.name: each.data for each in found.secrets.files} == {
        "ATEK_HOST_BEARER_TOKEN": b"the-token",
        "ATEK_ROUTER_TOKEN": b"the-routers",
    }


@pytest.mark.parametrize(
    "manifest",
    [{}, {"readOnly": True}, {"readOnly": False, "env": {"AUTHORIZATION": "Bearer $ATEK_HOST_BEARER_TOKEN"}}],
)
def test_variables_are_for_all_others(manifest: dict[str, Any]) -> None:
    given = start(**manifest)
    assert as_files(given) is given


def test_a_name_that_means_nothing_is_no_variable() -> None:
    env = {"TEXT": "$ATEK_ROUTER_TOKEN"}
    assert as_files(start(readOnly=False, env=env, literalEnv=True)).secrets.files


def test_one_that_was_made_with_variables_keeps_what_it_has() -> None:
    given = start(readOnly=False)
    assert as_made(given, MADE_BEFORE).identity == {
        "key": "the-key",
        "token": "first",
        "routerToken": "firsts",
    }
    assert as_made(given, ["PATH=/bin"]) == as_files(given)
    # Of a version that gave no token of the router's.
    assert as_made(given, MADE_BEFORE[:2]).identity["routerToken"] == ""


def test_the_next_life_reads_what_was_given(tmp_path: Path) -> None:
    memory = MemoryFiles(tmp_path, "test")
    try:
        given = as_files(replace(start(readOnly=False), instance="i1"))
        memory.write("i1", given.secrets.files, 0o444)
        assert tokens_of("i1", ["PATH=/bin"], memory) == {"token": "the-token", "routerToken": "the-routers"}
        assert tokens_of("i1", MADE_BEFORE, memory) == {"token": "first", "routerToken": "firsts"}
        assert tokens_of("another", ["PATH=/bin"], memory) == {"token": "", "routerToken": ""}
    finally:
        memory.remove("i1")
