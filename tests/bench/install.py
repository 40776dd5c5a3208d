"""Gets a contestant ready: from PyPI, npm or the system's packages, into a cache outside of this tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.contestants import S6, Atek, Circus, Pm2, SpawnLoop, Supervisord
from tests.bench.packages import from_npm, from_pypi, from_system

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.beacons import Beacons
    from tests.bench.contestants import Contestant


def install(name: str, beacons: Beacons, cache: Path) -> Contestant:
    """Ends the program with a sentence when it cannot be had."""
    match name:
        case "spawn":
            return SpawnLoop(beacons)
        case "atek":
            return Atek(beacons)
        case "s6":
            from_system("s6-svscan", "s6")
            return S6(beacons)
        case "circus":
            from_pypi("circus", cache / "circus")
            return Circus(beacons, cache)
        case "supervisord":
            from_pypi("supervisor", cache / "supervisor")
            return Supervisord(beacons, cache)
    from_npm("pm2", cache / "pm2")
    return Pm2(beacons, cache)
