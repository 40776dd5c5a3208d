"""Who may connect to this node's daemon, and whom it connects to: what the follows say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hyper.port import Peer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyper.port import Hyper
    from reconciler.peers.port import Follow


class Wanted(NamedTuple):
    """The noise keys that are let in, and the peers that are dialled."""

    keys: tuple[str, ...] = ()
    peers: tuple[Peer, ...] = ()


class Network:
    """What the daemon was told last. The client tells it again to a daemon that starts anew."""

    def __init__(self, hyper: Hyper) -> None:
        self._hyper = hyper
        self._applied: Wanted | None = None

    async def apply(self, follows: Sequence[Follow]) -> None:
        """Tells what is not told yet. Raises HyperError; then it has to be told again."""
        wanted, before = wanted_by(follows), self._applied or Wanted()
        if wanted == self._applied:
            return
        await self._hyper.allow(wanted.keys)
        kept = {peer.key for peer in wanted.peers}
        for peer in before.peers:
            if peer.key not in kept:
                await self._hyper.remove_peer(peer.key)
        for peer in wanted.peers:
            if peer not in before.peers:
                await self._hyper.add_peer(peer)
        self._applied = wanted


def wanted_by(follows: Sequence[Follow]) -> Wanted:
    """Follows without a noise key connect only where anybody may; those without an address are found."""
    known = [follow for follow in follows if follow.noise]
    return Wanted(tuple(follow.noise for follow in known), tuple(_peer(each) for each in known if each.at))


def _peer(follow: Follow) -> Peer:
    host, _, port = follow.at.rpartition(":")
    return Peer(host.strip("[]"), int(port), follow.noise)
