"""Who is let in and dialled, as follows come and go."""

from __future__ import annotations

import pytest

from hyper.fake import FakeHyper, FakeNetwork
from hyper.port import HyperError, Peer
from reconciler.peers.network import Network, wanted_by
from reconciler.peers.port import Follow

pytestmark = pytest.mark.anyio

ONE = Follow("one", "11" * 32, "aa" * 32, "10.0.0.1:1")
TWO = Follow("two", "22" * 32, "bb" * 32)
ANYBODY = Follow("three", "33" * 32)


def test_who_says_who_they_are_is_let_in_and_who_says_where_is_dialled() -> None:
    wanted = wanted_by([ONE, TWO, ANYBODY])
    assert wanted.keys == ("aa" * 32, "bb" * 32)
    assert wanted.peers == (Peer("10.0.0.1", 1, "aa" * 32),)
    six = Follow("six", "66" * 32, "cc" * 32, "[::1]:7")
    assert wanted_by([six]).peers == (Peer("::1", 7, "cc" * 32),)


async def test_what_could_not_be_told_is_told_again() -> None:
    hyper = FakeHyper(FakeNetwork())
    network = Network(hyper)
    hyper.go_away()
    with pytest.raises(HyperError):
        await network.apply([ONE, TWO])
    hyper.come_back()
    await network.apply([ONE, TWO])
    assert hyper.allowed == {"aa" * 32, "bb" * 32} and hyper.peers.keys() == {"aa" * 32}


async def test_who_is_followed_no_more_is_neither_let_in_nor_dialled() -> None:
    hyper = FakeHyper(FakeNetwork())
    network = Network(hyper)
    await network.apply([ONE, TWO])
    await network.apply([TWO])
    assert hyper.allowed == {"bb" * 32} and not hyper.peers
    elsewhere = Follow("two", TWO.key, TWO.noise, "10.0.0.2:2")
    await network.apply([elsewhere])
    assert hyper.peers["bb" * 32] == Peer("10.0.0.2", 2, "bb" * 32)
