"""The core services of a node for a test, written into its config."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from hyper.core_services import adb_service

if TYPE_CHECKING:
    from pathlib import Path


def with_core_services(home: Path) -> None:
    """Before the node starts."""
    adb = adb_service(socket="/nowhere")
    adb["command"] = [sys.executable, "-m", "tests.hyper.adb.on_fake"]
    adb["env"] = {"PYTHONPATH": __file__.removesuffix("/tests/hyper/adb/core.py")}
    adb.pop("dependsOn")
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.json").write_text(json.dumps({"coreServices": [adb]}))
