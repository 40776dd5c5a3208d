"""What came of a request while it is not known what becomes of it; no more of its body is read than fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.carry.handler import MOST_WAITING

if TYPE_CHECKING:
    from runtimes.router.carry.client import Client
    from runtimes.router.decide.decision import Decision


class KeptRequest:
    """`whole`: it came in one piece."""

    __slots__ = ("_body", "_client", "_done", "whole")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._body: list[bytes] = []
        self._done = self.whole = False

    def add(self, payload: bytes, *, done: bool) -> None:
        self._body.append(payload)
        self._done = done
        if not done and sum(map(len, self._body)) >= MOST_WAITING:
            self._client.pause_body()

    def hand_over(self, decision: Decision) -> None:
        """To what carries out the decision."""
        client = self._client
        handler = client.start(decision)
        client.hand_to(handler)
        body, self._body = b"".join(self._body), []
        if self.whole:
            handler.whole(body)
            return
        handler.begin()
        if client.is_with(handler):
            client.resume_body()
            if body or self._done:
                handler.body(body, done=self._done)
