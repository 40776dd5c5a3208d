"""Tokens on their way from the node's own host to a service's: good once, for that service, for a while."""

from __future__ import annotations

import secrets

#: Seconds in which a browser follows a redirect.
GOOD_FOR = 30.0
_MOST = 10_000


class Bindings:
    """The tokens that are on their way."""

    def __init__(self) -> None:
        self._tokens: dict[str, tuple[str, str, float]] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def make(self, session: str, service_id: str, now: float) -> str:
        """A token that stands for a session at one service's host."""
        self._tokens = {key: value for key, value in self._tokens.items() if value[2] > now}
        while len(self._tokens) >= _MOST:
            del self._tokens[next(iter(self._tokens))]
        token = secrets.token_urlsafe(32)
        self._tokens[token] = (session, service_id, now + GOOD_FOR)
        return token

    def take(self, token: str, service_id: str, now: float) -> str:
        """The session; empty for a token that was used, is too old, or is for another service."""
        session, wanted, until = self._tokens.pop(token, ("", "", 0.0))
        return session if wanted == service_id and until > now else ""
