"""Who may stay when more connections come than a server has places for.

A place belongs to a request that is being answered. Who has yet to say what it wants, or does not take what
it was told, is there as long as nobody else wants in: then whoever has waited longest has to go. So half a
request occupies nothing, however many there are. Streams, which have no end, have half of the places at most.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketAttribute

if TYPE_CHECKING:
    from anyio.abc import SocketStream


class Place:
    """One connection's. Made by `Places.enter`, and left once."""

    def __init__(self, places: Places, stream: SocketStream) -> None:
        self._places = places
        self._stream = stream

    def waits(self) -> None:
        """From now on it is the client that has something to do."""
        self._places.idle[self] = anyio.current_time()

    def works(self) -> None:
        """The client has said what it wants, and is answered."""
        self._places.idle.pop(self, None)

    def streams(self) -> bool:
        """Whether it may have an answer without an end."""
        if len(self._places.streaming) >= self._places.most // 2:
            return False
        self._places.streaming.add(self)
        return True

    def leave(self) -> None:
        self._places.leave(self)

    def make_go(self) -> None:
        """It sees the end of its connection, as if the client had left."""
        with suppress(OSError):
            self._stream.extra(SocketAttribute.raw_socket).shutdown(socket.SHUT_RDWR)


class Places:
    """All of a server's. `grace`: seconds that everybody has who comes."""

    def __init__(self, most: int, grace: float) -> None:
        self.most = most
        #: Since when it is somebody's turn, the longest wait first.
        self.idle: dict[Place, float] = {}
        self.streaming: set[Place] = set()
        self._grace = grace
        self._taken: set[Place] = set()

    def enter(self, stream: SocketStream) -> Place | None:
        """None when all are at work, or have just come."""
        if len(self._taken) >= self.most and not self._make_room():
            return None
        place = Place(self, stream)
        self._taken.add(place)
        place.waits()
        return place

    def leave(self, place: Place) -> None:
        self._taken.discard(place)
        self.streaming.discard(place)
        self.idle.pop(place, None)

    def _make_room(self) -> bool:
        longest, since = next(iter(self.idle.items()), (None, 0.0))
        if longest is None or anyio.current_time() - since < self._grace:
            return False
        self.leave(longest)
        longest.make_go()
        return True
