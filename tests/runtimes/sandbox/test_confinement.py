"""What a manifest asks for."""

from __future__ import annotations

import pytest

from manifests.model.confined import Bind
from runtimes.sandbox.confinement import DEFAULT, Confinement, confinement_of
from tests.runtimes.factories import service


@pytest.mark.parametrize("level", ["none", "private", "strict"])
def test_what_is_said_is_meant(level: str) -> None:
    found = confinement_of(service(command=["x"], sandbox=level))
    assert (found.level, found.said, found.demanded) == (level, True, level == "strict")


def test_silence_is_the_owners_default_and_demands_nothing() -> None:
    assert confinement_of(service(command=["x"])) == Confinement(DEFAULT)
    assert not Confinement("private").demanded


def test_the_nodes_own_parts_are_not_kept_from_its_home() -> None:
    assert confinement_of(service("core.hyper", command=["x"])).level == "none"


def test_what_a_strict_one_may_reach() -> None:
    found = confinement_of(
        service(command=["x"], sandbox="strict", binds=["/srv/a", "/srv/b:rw"], egress=["example.com:443"])
    )
    assert found.binds == (Bind("/srv/a"), Bind("/srv/b", read_only=False))
    assert found.destinations == ("example.com:443",)
