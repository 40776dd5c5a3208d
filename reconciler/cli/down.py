"""`atek down`: asks the node to end, and waits until its home is free again."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.cli.client import Client, NodeGone
from reconciler.cli.output import short_path
from reconciler.state.home import holder

if TYPE_CHECKING:
    import argparse

_LOOK_EVERY = 0.02
_TELL_AFTER = 2.0


def run(arguments: argparse.Namespace) -> int:
    """Waits as long as the services take to stop; Ctrl-C only ends the waiting."""
    # A node without services may be gone before its answer is out.
    with suppress(NodeGone):
        Client(arguments.home).call("down")
    begin, told = time.monotonic(), False
    while holder(arguments.home) is not None:
        time.sleep(_LOOK_EVERY)
        if not told and time.monotonic() - begin > _TELL_AFTER:
            told = True
            print("the node stops its services…", flush=True)
    print(f"the node on {short_path(arguments.home)} has ended")
    return 0
