"""The manifests of Atek's own two core services, as plain values: the Hypercore daemon and the Atek Database.

A node runs them unless its config file says otherwise. They are values and no models because those who know
what a manifest may say stand above this package.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HYPER_ID = "core.hyper"
ADB_ID = "core.adb"

#: The Atek Database by JSON-RPC, and by a WebSocket its change feed; one API, two transports.
ADB_API = "atek.cloud/adb-api"
ADB_RPC_PATH = "/_api/adb"
ADB_FEED_PATH = "/_api/adb/feed"

#: The folder with the daemon's program.
DAEMON_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "daemon")
#: What keeps V8 from taking memory merely because it is there.
NODE_FLAGS = ("--max-old-space-size=96", "--max-semi-space-size=2")

# Others wait for them: a crash is no reason to stay away for a minute.
_RESTART = {"maxDelay": "2s", "resetAfter": "10s"}


def hyper_service(
    *,
    store: str,
    socket: str,
    bootstrap: Sequence[str] = (),
    listen: str = "",
    dht: str = "",
    peers: Sequence[Mapping[str, Any]] = (),
    known_peers_only: bool = True,
    restore: str = "",
    meeting_point: str = "",
    public: bool = False,
) -> dict[str, Any]:
    """The daemon. Its environment is told in its README.

    `store` is its folder, `socket` the Unix socket where it answers. Two of it cannot open one store, so it
    is never rolled.
    """
    environment = {
        "HYPER_STORE": store,
        "HYPER_SOCKET": socket,
        "HYPER_BOOTSTRAP": json.dumps(list(bootstrap)),
        "HYPER_LISTEN": listen,
        "HYPER_DHT": dht,
        "HYPER_PEERS": json.dumps([dict(peer) for peer in peers]),
        "HYPER_KNOWN_ONLY": "1" if known_peers_only else "0",
        "HYPER_RESTORE": restore,
        "HYPER_MEETING_POINT": meeting_point,
        "HYPER_PUBLIC": "1" if public else "",
    }
    return {
        "id": HYPER_ID,
        "runtime": "node",
        "source": DAEMON_FOLDER,
        "command": ["node", *NODE_FLAGS, "index.js"],
        "env": {name: value for name, value in environment.items() if value},
        "exports": [],
        "allow": [],
        "probes": {"readiness": {"httpGet": "/health", "periodSeconds": 5, "timeoutSeconds": 2}},
        "update": {"strategy": "recreate"},
        "restart": dict(_RESTART),
    }


def adb_service(*, socket: str, python: str = sys.executable) -> dict[str, Any]:
    """The Atek Database, by the daemon that answers at `socket`."""
    return {
        "id": ADB_ID,
        "runtime": "process",
        # -P: nothing is imported from the folder that it is started in.
        "command": [python, "-P", "-m", "hyper.adb"],
        "env": {"HYPER_SOCKET": socket},
        "exports": [
            {"api": ADB_API, "path": ADB_RPC_PATH, "transport": "rpc"},
            {"api": ADB_API, "path": ADB_FEED_PATH, "transport": "proxy"},
        ],
        "allow": [],
        "dependsOn": [{"id": HYPER_ID, "condition": "started"}],
        "probes": {"readiness": {"httpGet": "/health", "periodSeconds": 5, "timeoutSeconds": 2}},
        "restart": dict(_RESTART),
    }
