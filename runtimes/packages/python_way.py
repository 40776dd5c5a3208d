"""How the environment of a Python package is filled: by what lies in the package, as its author's tool would.

    uv.lock + pyproject.toml          uv sync --frozen
    pylock.toml                       uv's own reading of it
    poetry.lock, pdm.lock + pyproject.toml, Pipfile.lock      exactly what is locked, see `python_locks`
    pyproject.toml, setup.py          what the project depends on
    requirements.txt                  what it lists
    none of them                      nothing is installed

A project that is a package is then installed itself, over what it depends on; `python` says what happens to
one that cannot be built. Files of tools that are not understood here, and that nothing else stands beside,
are refused by name: running without what they pin would be another program.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from manifests.documents.toml_text import load_toml
from runtimes.base import PermanentFailure
from runtimes.packages.python_locks import BadLock, Locked, check_uv, from_pdm, from_pipenv, from_poetry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Where the lines of a lock are written to while they are installed.
REQUIREMENTS, CONSTRAINTS = ".atek-requirements.txt", ".atek-constraints.txt"
#: Packages of a lock or of requirements that come out of the package folder itself.
_IN_PACKAGE = re.compile(r"\b(editable|directory|path)\s*=|file:")
#: The project itself, in a uv.lock.
_ITSELF = re.compile(r"""source = \{ (editable|directory) = "\." \}""")
#: Options in requirements that name no file of the package.
_NOT_LOCAL = ("#", "--hash", "--index-url", "--extra-index-url", "-i ", "--pre", "--no-", "--only-")
#: What other tools pin or list, and what uv installs from can be made of.
_UNKNOWN = {
    "Pipfile": "write Pipfile.lock (`pipenv lock`)",
    "pixi.lock": "add a requirements.txt, or a pyproject.toml with dependencies",
    "conda-lock.yml": "add a requirements.txt, or a pyproject.toml with dependencies",
}


#: For what only the built project says, and for the project alone.
_WHOLE = ("pip", "install", ".")
_ALONE = ("pip", "install", "--no-deps", ".")


@dataclass(frozen=True, slots=True)
class Way:
    """`words` are uv's; none when nothing has to be installed.

    `files` are written into the package before. `depends_on` is all that the result depends on besides
    Python; empty: the whole package. `project`: uv's words for the project itself, over its dependencies.
    """

    words: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    project: tuple[str, ...] = ()


def choose_way(copy: Path, project: Mapping[str, Any]) -> Way:
    """Raises PermanentFailure for files that are broken or not understood."""
    about = read_text(copy / "pyproject.toml")
    if project and (locked := read_text(copy / "uv.lock")):
        return _uv_lock(locked, about)
    if locked := read_text(copy / "pylock.toml"):
        words = ("pip", "install", "-r", "pylock.toml")
        return _way(words, locked, about, project=_alone(project))
    if (found := _other_lock(copy, project)) is not None:
        return found
    return _unlocked(copy, project, about)


def require_current(copy: Path, project: Mapping[str, Any], way: Way) -> None:
    """Raises PermanentFailure for a uv.lock that is older than its project: uv would leave out what is new.

    Reading a long one takes a while, so only who installs from it asks.
    """
    if way.words[:1] == ("sync",):
        try:
            check_uv(_toml(read_text(copy / "uv.lock"), "uv.lock"), project)
        except BadLock as bad:
            raise PermanentFailure("PrepareFailed", bad.message, hint=bad.hint) from bad


def without_project(copy: Path, way: Way) -> Way | None:
    """What a project needs that turned out to be none that can be built; None when nobody can say."""
    wanted = read_text(copy / "requirements.txt")
    return _requirements(wanted) if way.words == _WHOLE and wanted else None


def _uv_lock(locked: str, about: str) -> Way:
    words = ("sync", "--frozen", "--no-dev", "--no-editable")
    others = _ITSELF.sub("", locked)
    local = _IN_PACKAGE.search(others) is not None
    itself = words if others != locked else ()
    return Way((*words, "--no-install-project"), () if local else (locked, about), project=itself)


def _unlocked(copy: Path, project: Mapping[str, Any], about: str) -> Way:
    wanted = read_text(copy / "requirements.txt")
    described = project.get("project")
    if isinstance(described, dict) and "dependencies" not in described.get("dynamic", ()):
        if wanted and "dependencies" not in described:
            return replace(_requirements(wanted), project=_alone(project))
        return _way(("pip", "install", "-r", "pyproject.toml"), about, project=_alone(project))
    if is_package(project):
        return Way(_WHOLE)
    if wanted:
        return _requirements(wanted)
    if "project" in project or (copy / "setup.py").exists():
        return Way(_WHOLE)
    for name, hint in _UNKNOWN.items():
        if (copy / name).exists():
            raise PermanentFailure("PrepareFailed", f"{name} of the package is not understood", hint=hint)
    return Way()


def _requirements(wanted: str) -> Way:
    local = any(_is_local(line.strip()) for line in wanted.splitlines())
    return Way(("pip", "install", "-r", "requirements.txt"), () if local else (wanted,))


def _way(words: tuple[str, ...], *texts: str, project: tuple[str, ...]) -> Way:
    local = any(_IN_PACKAGE.search(text) for text in texts)
    return Way(words, () if local else texts, project=project)


def _other_lock(copy: Path, project: Mapping[str, Any]) -> Way | None:
    try:
        if project and (text := read_text(copy / "poetry.lock")):
            return _locked(from_poetry(_toml(text, "poetry.lock"), project), project, text)
        if project and (text := read_text(copy / "pdm.lock")):
            return _locked(from_pdm(_toml(text, "pdm.lock"), project), project, text)
        if text := read_text(copy / "Pipfile.lock"):
            return _locked(from_pipenv(_json(text)), {}, text)
    except BadLock as bad:
        raise PermanentFailure("PrepareFailed", bad.message, hint=bad.hint) from bad
    return None


def _locked(locked: Locked, project: Mapping[str, Any], text: str) -> Way:
    """A whole list is installed without a look at what it depends on; of pins only what is wanted."""
    lines, pins = "\n".join(locked.lines) + "\n", "\n".join(locked.pins) + "\n"
    words = ["pip", "install", "-r", REQUIREMENTS, "--index-strategy", "unsafe-best-match"]
    words += ["-c", CONSTRAINTS] if locked.pins else ["--no-deps"]
    files = [(REQUIREMENTS, lines), *([(CONSTRAINTS, pins)] if locked.pins else [])]
    depends_on = () if locked.local else (lines, pins, text)
    return Way(tuple(words), depends_on, tuple(files), _alone(project))


def _alone(project: Mapping[str, Any]) -> tuple[str, ...]:
    return _ALONE if is_package(project) else ()


def is_package(project: Mapping[str, Any]) -> bool:
    """Whether the project says that it is one to be built, and not only a place for dependencies."""
    tool = table(project, "tool")
    if table(tool, "poetry").get("package-mode") is False or table(tool, "uv").get("package") is False:
        return False
    if table(tool, "pdm").get("distribution") is False:
        return False
    return "build-system" in project or bool(table(table(project, "project"), "scripts"))


def _is_local(line: str) -> bool:
    """Whether a line of requirements can name files of the package; then all of it counts."""
    if line.startswith(_NOT_LOCAL):
        return False
    return line.startswith(("-", ".", "/")) or "file:" in line or ("/" in line and "://" not in line)


# What the files say


def read_project(copy: Path) -> dict[str, Any]:
    """pyproject.toml, empty when there is none. Raises PermanentFailure for one that is broken."""
    try:
        return _toml((copy / "pyproject.toml").read_text("utf-8"), "pyproject.toml")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise PermanentFailure("InvalidPackage", f"pyproject.toml is not TOML: {error}") from error


def table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A table of a TOML document. Raises PermanentFailure when something else stands there."""
    value = document.get(key, {})
    if not isinstance(value, dict):
        raise PermanentFailure("InvalidPackage", f"{key} in pyproject.toml is not a table")
    return value


def read_text(file: Path) -> str:
    """Empty when there is none; whatever its encoding, another content is another text."""
    try:
        return file.read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""


def _toml(text: str, name: str) -> dict[str, Any]:
    try:
        return load_toml(text)
    except (ValueError, RecursionError) as error:
        raise PermanentFailure("InvalidPackage", f"{name} is not TOML: {error}") from error


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PermanentFailure("InvalidPackage", f"Pipfile.lock is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise PermanentFailure("InvalidPackage", "Pipfile.lock is not an object")
    return value
