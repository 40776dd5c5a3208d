"""The release that this version is measured against, from this repository's own history."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

#: 0.3.0.
COMMIT = "677bb89"
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Version:
    """`atek` is its command: it is driven through that alone."""

    name: str
    atek: str


def now() -> Version:
    """This tree's."""
    return Version("now", str(Path(sys.executable).with_name("atek")))


def earlier(cache: Path) -> Version:
    """Takes its files out of the history and installs them into an environment of their own, once."""
    place = cache / f"atek-{COMMIT}"
    atek = place / "venv" / "bin" / "atek"
    if not (place / "complete").exists():
        source = place / "source"
        source.mkdir(parents=True, exist_ok=True)
        archive = _run("git", "-C", str(ROOT), "archive", COMMIT)
        subprocess.run(["tar", "x", "-C", str(source)], input=archive, check=True)
        _run(sys.executable, "-m", "venv", str(place / "venv"))
        _run(str(place / "venv" / "bin" / "pip"), "install", "--quiet", str(source))
        (place / "complete").touch()
    return Version("0.3.0", str(atek))


def _run(*words: str) -> bytes:
    done = subprocess.run(words, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout
