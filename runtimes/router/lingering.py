"""What becomes of the rest that a client sends after its last answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtimes.router.handler import Handler


class _Lingering:
    """Loses what a refused client goes on sending, for a short while."""

    def whole(self, payload: bytes) -> None: ...

    def begin(self) -> None: ...

    def body(self, payload: bytes, *, done: bool) -> None: ...

    def client_ahead(self, data: bytes) -> None: ...

    def client_ended(self) -> None: ...

    def client_lost(self) -> None: ...

    def client_paused(self) -> None: ...

    def client_resumed(self) -> None: ...


LINGERING: Handler = _Lingering()
