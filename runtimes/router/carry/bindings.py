"""Tokens on their way from the node's own host to a service's: good once, for that service, for a while."""

from __future__ import annotations

import secrets
from typing import NamedTuple

#: Seconds in which a browser follows a redirect.
GOOD_FOR = 30.0
_MOST = 10_000


class Binding(NamedTuple):
    """A session, by its id, on its way to a service's host. `state`: by what that knows its browser again."""

    session: str
    service_id: str
    state: str


class Bindings:
    """The tokens that are on their way."""

    def __init__(self) -> None:
        self._tokens: dict[str, tuple[Binding, float]] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def make(self, binding: Binding, now: float) -> str:
        """A token that stands for it."""
        self._tokens = {key: value for key, value in self._tokens.items() if value[1] > now}
        while len(self._tokens) >= _MOST:
            del self._tokens[next(iter(self._tokens))]
        token = secrets.token_urlsafe(32)
        self._tokens[token] = (binding, now + GOOD_FOR)
        return token

    def take(self, token: str, service_id: str, now: float) -> Binding | None:
        """What it stood for; None for a token that was used, is too old, or is for another service."""
        found, until = self._tokens.pop(token, (None, 0.0))
        return found if found is not None and found.service_id == service_id and until > now else None
