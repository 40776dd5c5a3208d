"""`python -m hyper.adb`: the service, as the node starts it.

ATEK_ASSIGNED_SOCKET_FILE     where it listens
ATEK_ASSIGNED_SERVICE_KEY     its own key
HYPER_SOCKET                  where the Hypercore daemon listens
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import uvloop

from hyper.adb.link import LinkedClient
from hyper.adb.server import prepare_process, serve


def main() -> int:
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s: %(message)s")
    try:
        socket, daemon = os.environ["ATEK_ASSIGNED_SOCKET_FILE"], os.environ["HYPER_SOCKET"]
    except KeyError as error:
        print(f"{error.args[0]} is not set; see python -m pydoc hyper.adb.__main__", file=sys.stderr)
        return 2
    prepare_process()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(socket, daemon, os.environ.get("ATEK_ASSIGNED_SERVICE_KEY", "")))
    return 0


async def _serve(socket: str, daemon: str, own: str) -> None:
    hyper = LinkedClient(daemon)
    connection = asyncio.get_running_loop().create_task(hyper.run())
    try:
        await serve(hyper, socket, own=own)
    finally:
        connection.cancel()


if __name__ == "__main__":
    sys.exit(main())
