"""The device's end: pairs with a home by a code, and carries what comes to a port here to a home."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
import orjson

from hyper.port import HyperError
from hyper.stream import connect
from hyper.tunnels import DaemonTunnels
from reconciler.errors import UserError
from reconciler.remote.homes import Home
from reconciler.remote.pairing import GOOD_FOR, request_of, seed_of, understand_welcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hyper.client import HyperClient
    from hyper.port import Tunnel
    from reconciler.remote.codes import Code

#: Seconds that it may take to find a home before somebody is told.
FINDING = 3.0
#: Seconds between two looks at whether the home answers; and bytes of what it says when it pairs.
LOOK_EVERY, LONGEST = 0.5, 4096


async def pair(client: HyperClient, code: Code, name: str, sockets: Path) -> Home:
    """Proves the code to the home that showed it. Raises UserError."""
    tunnels, door = DaemonTunnels(client), os.fspath(sockets / "meet.sock")
    own = (await client.status()).noise_key
    tunnel = await tunnels.connect(seed=seed_of(code.secret), socket=door)
    try:
        with anyio.fail_after(GOOD_FOR):
            while not await tunnels.is_up(tunnel):  # noqa: ASYNC110
                await anyio.sleep(LOOK_EVERY / 5)
            said = await _ask(door, request_of(code.secret, own, name))
    except TimeoutError:
        raise UserError("nobody answers to that code", hint=_AGAIN) from None
    finally:
        await tunnels.close(tunnel)
    found = understand_welcome(code.secret, own, said)
    if found is None:
        raise UserError("the home did not take the code", hint=_AGAIN)
    return Home(found[1], found[0], code.bootstrap)


_AGAIN = "codes are good for two minutes and one device: `atek pair` on the home shows another one"


async def _ask(door: str, request: object) -> object:
    """What the home says to that; None where it says nothing."""
    async with await connect(door) as stream:
        await stream.send(orjson.dumps(request) + b"\n")
        said = b""
        try:
            while b"\n" not in said and len(said) < LONGEST:
                said += await stream.receive(LONGEST)
            return orjson.loads(said)
        except (anyio.EndOfStream, anyio.BrokenResourceError, orjson.JSONDecodeError):
            return None


async def serve(client: HyperClient, home: Home, port: int, tell: Callable[[int, bool], None]) -> None:
    """Until cancelled; `tell` hears the port, and whether the home answers, whenever that changes.

    Raises UserError where the port cannot be had.
    """
    tunnels, told, begin = DaemonTunnels(client), None, anyio.current_time()
    while True:
        tunnel = await _open(tunnels, home, port)
        # From now on it is this one, also after the daemon was gone.
        port = tunnel.port
        try:
            while True:
                is_up = await tunnels.is_up(tunnel)
                # At first it takes a moment to find it.
                if is_up != told and (is_up or told or anyio.current_time() > begin + FINDING):
                    tell(port, is_up)
                    told = is_up
                await anyio.sleep(LOOK_EVERY)
        except HyperError as error:
            if error.code not in ("AWAY", "NOT_FOUND"):
                raise UserError(error.message, hint=error.hint) from error
        await client.ready()


async def _open(tunnels: DaemonTunnels, home: Home, port: int) -> Tunnel:
    try:
        return await tunnels.connect(key=home.key, port=port)
    except HyperError as error:
        raise UserError(error.message, hint=error.hint or "--port names another one") from error
