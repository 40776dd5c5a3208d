"""Programs of the system's packages.

With ATEK_TEST_PROGRAMS=required in the environment, as in CI, they have to be there; elsewhere a test without
its program is skipped and says which package brings it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

REQUIRED = "ATEK_TEST_PROGRAMS"
#: Daemons are where only root's path leads, PostgreSQL's where none does.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def program(command: str, package: str) -> str:
    """Where it is."""
    found = shutil.which(command, path=PATH)
    if found is None:
        postgres = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{command}"))
        found = str(postgres[-1]) if postgres else None
    if found is None:
        missing(f"{command} is not here: apt-get install {package}")
    return found


def missing(sentence: str) -> NoReturn:
    """Fails where everything has to be there."""
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(sentence)
    pytest.skip(sentence)


def version(package: str) -> str:
    """Of a Debian package; upstream's part."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False
    )
    return done.stdout.rpartition(":")[2].partition("-")[0] or "?"
