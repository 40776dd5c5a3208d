"""Gets a contestant ready: from PyPI, npm or the system's packages, into a cache outside of this tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.bench.contestants import S6, Atek, Circus, Pm2, SpawnLoop, Supervisord

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
            _from_system("s6-svscan", "s6")
            return S6(beacons)
        case "circus":
            _from_pypi("circus", cache / "circus")
            return Circus(beacons, cache)
        case "supervisord":
            _from_pypi("supervisor", cache / "supervisor")
            return Supervisord(beacons, cache)
    _from_npm("pm2", cache / "pm2")
    return Pm2(beacons, cache)


def _from_pypi(package: str, folder: Path) -> None:
    if not (folder / "bin" / "pip").exists():
        _run(sys.executable, "-m", "venv", str(folder))
    _run(str(folder / "bin" / "pip"), "install", "--quiet", package)


def _from_npm(package: str, folder: Path) -> None:
    if (folder / "node_modules" / ".bin" / package).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"name": "bench", "private": true}')
    _run("npm", "install", "--silent", package, cwd=folder)


def _from_system(command: str, package: str) -> None:
    if shutil.which(command) is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise SystemExit(f"the benchmark needs {command}: install the package {package}")
        _run("apt-get", "install", "--yes", "--quiet", package)


def _run(*words: str, cwd: Path | None = None) -> None:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
