"""The core services of a node for a test, written into its config."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from hyper.core_services import DAEMON_FOLDER, NODE_FLAGS, adb_service, hyper_service
from runtimes.packages.node_versions import find_node

if TYPE_CHECKING:
    from pathlib import Path


def with_core_services(home: Path) -> None:
    """Before the node starts. The store and the daemon's socket are in the home, which has a short path.

    The daemon runs where it is installed: what the node makes of its package is another test's business.
    """
    socket = os.fspath(home / "hyper.sock")
    daemon = hyper_service(store=os.fspath(home / "hyper"), socket=socket)
    command = [os.fspath(find_node().node), *NODE_FLAGS, os.path.join(DAEMON_FOLDER, "index.js")]
    daemon |= {"runtime": "process", "command": command}
    del daemon["source"]
    services = [daemon, adb_service(socket=socket)]
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / "config.json").write_text(json.dumps({"coreServices": services}))
