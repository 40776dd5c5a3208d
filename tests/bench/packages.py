"""Gets programs: from PyPI and npm into folders outside of this tree, or from the system's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Daemons are where only root's path leads.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])


def from_pypi(package: str, folder: Path) -> None:
    """Into a virtual environment in this folder. Like the others, ends the program when it fails."""
    if not (folder / "bin" / "pip").exists():
        _run(sys.executable, "-m", "venv", str(folder))
    _run(str(folder / "bin" / "pip"), "install", "--quiet", package)


def from_npm(package: str, folder: Path) -> None:
    """Into this folder's node_modules."""
    if (folder / "node_modules" / package).exists():
        return
    npm = from_system("npm", "npm")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"name": "bench", "private": true}')
    _run(npm, "install", "--silent", package, cwd=folder)


def from_system(command: str, package: str) -> str:
    """Where the command is, which the package brings if need be."""
    if shutil.which(command, path=_PATH) is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise SystemExit(f"the benchmark needs {command}: install the package {package}")
        _run("apt-get", "install", "--yes", "--quiet", package)
    found = shutil.which(command, path=_PATH)
    if found is None:
        raise SystemExit(f"the package {package} did not bring {command}")
    return found


def _run(*words: str, cwd: Path | None = None) -> None:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
