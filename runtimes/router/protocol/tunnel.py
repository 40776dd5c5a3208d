"""What is known of a connection that goes through as it is, after `101 Switching Protocols`. Pure."""

from __future__ import annotations

from runtimes.router.protocol.frames import Frames


class Tunnel:
    """Which sides have ended, and where the service's WebSocket frames do; other protocols have none.

    `parting`: it ends with the frame that is on its way.
    """

    __slots__ = ("client_ended", "frames", "parting", "upstream_ended")

    def __init__(self, *, websocket: bool) -> None:
        self.frames = Frames() if websocket else None
        self.client_ended = self.upstream_ended = self.parting = False

    def take(self, data: bytes) -> bytes:
        """What of the service's bytes goes on to the client."""
        if self.frames is None:
            return data
        return data[: self.frames.feed(data, to_the_end=self.parting)]

    @property
    def ended(self) -> bool:
        return self.client_ended and self.upstream_ended
