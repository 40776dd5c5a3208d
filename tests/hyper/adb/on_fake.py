"""`python -m tests.hyper.adb.on_fake`: the Atek Database as a service, on a store in memory."""

from __future__ import annotations

import asyncio
import os

import uvloop

from hyper.adb.server import prepare_process, serve
from hyper.fake import FakeHyper


async def _main() -> None:
    own = os.environ.get("ATEK_ASSIGNED_SERVICE_KEY", "")
    await serve(FakeHyper(), os.environ["ATEK_ASSIGNED_SOCKET_FILE"], own=own)


if __name__ == "__main__":
    prepare_process()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main())
