"""The command line's end of the control socket."""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reconciler.cli.output import nearest, short_path
from reconciler.decide.event import EventRecord
from reconciler.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpcore

_ANSWER_SECONDS = 30.0
_CONNECT_SECONDS = 5.0
_CONTROL = "http://node/_atek/control"
_EVENTS = "http://node/_atek/events"


class NodeGone(UserError):
    """The node stopped answering in the middle."""


class NodeSocket:
    """One of the sockets in a home's run directory."""

    def __init__(self, home: Path, name: str) -> None:
        self._home = home
        # The run directory may be a link to where paths are short enough for a socket.
        self._path = os.path.join(os.path.realpath(home / "run"), name)

    @contextmanager
    def connected(
        self, seconds: float | None
    ) -> Iterator[tuple[httpcore.ConnectionPool, dict[str, float | None]]]:
        """A pool of connections to it, and the timeouts for its requests: `seconds` for an answer.

        Raises UserError when there is no node, or when it goes away meanwhile.
        """
        if not _listens(self._path):
            raise self._nobody()
        # Imported here: it takes a tenth of a second, and without a node it is not needed.
        import httpcore

        timeout = {"connect": _CONNECT_SECONDS, "write": 5.0, "read": seconds}
        try:
            with httpcore.ConnectionPool(uds=self._path) as pool:
                yield pool, timeout
        except httpcore.ConnectError as error:
            raise self._nobody() from error
        except httpcore.TimeoutException as error:
            raise UserError("the node does not answer", hint="see what it prints where it runs") from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise NodeGone("the node ended", hint="`atek up` starts it again") from error

    def _nobody(self) -> UserError:
        from reconciler.state.home import holder

        home = short_path(self._home)
        if holder(self._home) is not None:
            return UserError(f"the node on {home} does not answer", hint="if it is just starting, try again")
        return UserError(f"no node runs on {home}", hint="`atek up` starts one; --home names another")


class Client:
    """Asks the node that holds a home. Every method raises UserError when there is none."""

    def __init__(self, home: Path) -> None:
        self._socket = NodeSocket(home, "control.sock")

    def call(self, method: str, *, within: float = _ANSWER_SECONDS, **params: object) -> Any:
        """The result, `within` so many seconds. Raises UserError with what the node says is wrong."""
        request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        with self._socket.connected(within) as (pool, timeout):
            response = pool.request("POST", _CONTROL, content=request, extensions={"timeout": timeout})
        if response.status != 200:
            raise NodeGone(f"the node answered with status {response.status}", hint="try again in a moment")
        answer = json.loads(response.content)
        if error := answer.get("error"):
            raise UserError(error["message"], hint=(error.get("data") or {}).get("hint", ""))
        return answer["result"]

    def status(self, service_id: str | None = None) -> dict[str, Any]:
        """The value of `atek status --json`; that service is looked at more closely."""
        status: dict[str, Any] = self.call("status", id=service_id) if service_id else self.call("status")
        return status

    def recent(self, limit: int) -> list[EventRecord]:
        """The last events, the oldest first."""
        return [EventRecord(**event) for event in self.call("events", limit=limit)]

    def events(self, *, recent: int = 0) -> Iterator[EventRecord | None]:
        """The last `recent` events and then all that follow, until the node ends.

        The first value is None: from then on nothing is missed.
        """
        with self._socket.connected(None) as (pool, timeout):
            query = f"{_EVENTS}?recent={recent}"
            with pool.stream("GET", query, extensions={"timeout": timeout}) as response:
                for line in _lines(response.iter_stream()):
                    yield EventRecord(**json.loads(line)) if line else None


def find_service(status: dict[str, Any], service_id: str, elsewhere: str = "") -> dict[str, Any]:
    """The entry of one service. Raises UserError with the nearest id."""
    services: list[dict[str, Any]] = status["services"]
    for service in services:
        if service["id"] == service_id:
            return service
    hint = nearest(service_id, [service["id"] for service in services], elsewhere)
    raise UserError(f"there is no service {service_id}", hint=hint)


def _listens(path: str) -> bool:
    """Whether anyone accepts connections there. Raises UserError when this user may not know."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        try:
            probe.connect(path)
        except PermissionError as error:
            hint = "use the account that started it, or root"
            raise UserError("the node belongs to another user", hint=hint) from error
        except OSError:
            return False
    return True


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines, without their ends."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
