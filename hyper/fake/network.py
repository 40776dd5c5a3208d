"""Who can talk to whom in memory, and how what one node has gets to all that follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from hyper.fake.log import Copy, exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hyper.fake.drives import Entry
    from hyper.port import Peer

_FIRST_PORT = 49737


class Endpoint:
    """A node as the others meet it: what it has of each log and drive, whom it knows and whom it lets in."""

    def __init__(self, noise_key: str, *, known_only: bool) -> None:
        self.noise_key = noise_key
        self.known_only = known_only
        self.address = ""
        self.is_away = False
        self.copies: dict[str, Copy] = {}
        self.drives: dict[str, dict[int, dict[str, Entry]]] = {}
        self.allowed: set[str] = set()
        self.peers: dict[str, Peer] = {}

    def reaches(self, other: Endpoint) -> bool:
        """By its own configuration: the right address, and the other lets it in."""
        peer = self.peers.get(other.noise_key)
        known = self.noise_key in other.allowed | other.peers.keys()
        return peer is not None and f"{peer.host}:{peer.port}" == other.address and (
            known or not other.known_only
        )  # fmt: skip


class FakeNetwork:
    """Who can talk to whom."""

    def __init__(self) -> None:
        self.members: list[Endpoint] = []
        self.changed = anyio.Event()
        self._connected: set[frozenset[str]] = set()
        self._cut: set[frozenset[str]] = set()

    def join(self, member: Endpoint) -> None:
        """A node begins to listen, and has an address from now on."""
        member.address = f"127.0.0.1:{_FIRST_PORT + len(self.members)}"
        self.members.append(member)

    def connect(self, one: Endpoint, other: Endpoint) -> None:
        """From now on, whatever they know of each other; heals a cut."""
        self._connected.add(_pair(one, other))
        self.heal(one, other)

    def cut(self, one: Endpoint, other: Endpoint) -> None:
        """Nothing gets through any more, whoever has configured whom."""
        self._cut.add(_pair(one, other))
        self.settle()

    def heal(self, one: Endpoint, other: Endpoint) -> None:
        self._cut.discard(_pair(one, other))
        self.settle()

    def neighbours(self, node: Endpoint) -> Iterator[Endpoint]:
        """Those that are connected to it now."""
        return (other for other in self.members if other is not node and self._are_connected(node, other))

    def settle(self) -> None:
        """Everybody learns all that those connected to it have."""
        for node in self.members:
            for copy in list(node.copies.values()):
                self.spread(node, copy)
        changed, self.changed = self.changed, anyio.Event()
        changed.set()

    def spread(self, node: Endpoint, copy: Copy) -> None:
        """What a node has of one log, on to all that follow it."""
        if not copy.open:
            return
        for other in self.neighbours(node):
            theirs = other.copies.get(copy.db_id)
            if theirs is None or not theirs.open:
                continue
            for further in exchange(copy, theirs):
                self.spread(node if further is copy else other, further)

    def _are_connected(self, one: Endpoint, other: Endpoint) -> bool:
        pair = _pair(one, other)
        if one.is_away or other.is_away or pair in self._cut:
            return False
        return pair in self._connected or one.reaches(other) or other.reaches(one)


def _pair(one: Endpoint, other: Endpoint) -> frozenset[str]:
    return frozenset((one.noise_key, other.noise_key))
