"""Lock files of Poetry, PDM and Pipenv as what uv installs: exactly these versions, with their hashes. Pure.

uv reads its own lock by itself; whether that is older than its project is found out here, as for the others.

Taken are the packages that a plain installation gets (Poetry's group main, PDM's default, Pipenv's default),
without the project's own extras; what an extra of another package needs is a package of the lock. Locks that
say for each package when it is needed (Poetry 2, PDM, Pipenv) become a whole list, of which nothing is looked
up. Older ones of Poetry do not: there the project's own requirements are resolved, and the lock pins what may
come of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9.!+*_-]+")
_RANGE = re.compile(r"~=|!=|<=|>=|<|>|===?")
_HASH = re.compile(r"[a-z0-9]+:[0-9a-f]+")
#: What no line of requirements may hold.
_UNPRINTED = re.compile(r"[^\x20-\x7e]")
_PYPI = "https://pypi.org/simple"


class BadLock(Exception):
    """What is wrong with a lock, and what can be done."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Locked:
    """`lines` are requirements, `pins` constraints for what these need. `local`: some are in the package."""

    lines: tuple[str, ...]
    pins: tuple[str, ...] = ()
    local: bool = False


def from_pipenv(lock: Mapping[str, Any]) -> Locked:
    """Of Pipfile.lock. Raises BadLock."""
    packages = _table(lock, "default", "Pipfile.lock")
    sources = _table(lock, "_meta", "Pipfile.lock").get("sources", [])
    indexes = [each.get("url", "") for each in sources if isinstance(each, dict)]
    lines, local = [], False
    for name, about in packages.items():
        if not isinstance(about, dict):
            raise _broken("Pipfile.lock", name)
        place = about.get("path") or about.get("file")
        local |= bool(about.get("path"))
        if isinstance(place, str):
            line = f"{_name(name)} @ {_url(place)}"
        elif "git" in about:
            line = _git(name, about, about["git"], about.get("ref"))
        else:
            line = _name(name) + _pinned(about.get("version"))
        lines.append(_line(line, about.get("markers"), about.get("hashes", ())))
    return Locked((*_indexes(indexes), *lines), local=local)


def check_uv(lock: Mapping[str, Any], project: Mapping[str, Any]) -> None:
    """Of uv.lock, which uv installs without a look at what it was written for. Raises BadLock."""
    packages = lock.get("package", [])
    packages = [each for each in packages if isinstance(each, dict)] if isinstance(packages, list) else []
    named = [each.get("name") for each in packages]
    for each in packages:
        # What no interpreter of the project needs is no package of the lock; it stands there all the same.
        wanted = _table(each, "metadata", "uv.lock").get("requires-dist", [])
        named += [one.get("name") for one in wanted if isinstance(one, dict)]
    names = {name for name in named if isinstance(name, str)}
    _require(_declared(project), names, "uv.lock", "uv lock")


def from_pdm(lock: Mapping[str, Any], project: Mapping[str, Any]) -> Locked:
    """Of pdm.lock. Raises BadLock."""
    about = _table(lock, "metadata", "pdm.lock")
    if "inherit_metadata" not in about.get("strategy", ()):
        raise BadLock(
            "pdm.lock does not say which of its packages the program needs",
            "write it again with `pdm lock -S inherit_metadata`, or add a requirements.txt",
        )
    packages = _packages(lock, "pdm.lock")
    _require(_declared(project), {each["name"] for each in packages}, "pdm.lock", "pdm lock")
    wanted = [each for each in packages if "default" in each.get("groups", ())]
    # What an extra adds to a package stands there too, beside the plain package.
    plain = {each["name"] for each in wanted if not each.get("extras")}
    wanted = [each for each in wanted if not each.get("extras") or each["name"] not in plain]
    lines = [_line(_of_pdm(each), each.get("marker"), _hashes(each)) for each in wanted]
    local = any("path" in each for each in wanted)
    indexes = [
        each.get("url", "") for each in _tool(project, "pdm").get("source", ()) if isinstance(each, dict)
    ]
    return Locked((*_indexes(indexes), *lines), local=local)


def from_poetry(lock: Mapping[str, Any], project: Mapping[str, Any]) -> Locked:
    """Of poetry.lock. Raises BadLock."""
    packages = _packages(lock, "poetry.lock")
    roots = [name for name, about in _dependencies(project).items() if _is_always(about)]
    _require([*_declared(project), *roots], {each["name"] for each in packages}, "poetry.lock", "poetry lock")
    indexes = [_source(each).get("url", "") for each in packages if _source(each).get("type") == "legacy"]
    local = any(_source(each).get("type") in ("directory", "file") for each in packages)
    if all("groups" in each for each in packages):
        main = [each for each in packages if "main" in each["groups"]]
        lines = [_line(_of_poetry(each), _marker(each), _hashes(each)) for each in main]
        return Locked((*_indexes(indexes), *lines), local=local)
    names = [each["name"] for each in packages]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadLock(
            f"poetry.lock has several versions of {twice[0]} and does not say which one is for whom",
            "write it again with Poetry 2 (`poetry lock`), or add a requirements.txt",
        )
    pins = [_line(_of_poetry(each), None, _hashes(each)) for each in packages]
    wanted = [each for name, about in _dependencies(project).items() for each in _root(name, about)]
    return Locked((*_indexes(indexes), *_project_lines(project), *wanted), tuple(pins), local)


# One package


def _of_pdm(package: Mapping[str, Any]) -> str:
    name = package["name"]
    if "git" in package:
        return _git(name, package, package["git"], package.get("revision") or package.get("ref"))
    if "path" in package or "url" in package:
        return f"{_name(name)} @ {_url(package.get('path') or package['url'])}"
    return f"{_name(name)}=={_version(package.get('version'))}"


def _of_poetry(package: Mapping[str, Any]) -> str:
    name, source = package["name"], _source(package)
    match source.get("type"):
        case "git":
            return _git(name, source, source.get("url"), source.get("resolved_reference"))
        case "url" | "file" | "directory":
            return f"{_name(name)} @ {_url(source.get('url'))}"
    return f"{_name(name)}=={_version(package.get('version'))}"


def _marker(package: Mapping[str, Any]) -> object:
    """One for all groups, or one for each."""
    found = package.get("markers")
    return found.get("main") if isinstance(found, dict) else found


def _root(name: str, about: object) -> Iterator[str]:
    """A requirement of [tool.poetry.dependencies]; its version is in the pins."""
    for each in about if isinstance(about, list) else [about]:
        told = each if isinstance(each, dict) else {}
        if told.get("optional"):
            continue
        yield _line(_name(name, told.get("extras") or ()), _conditions(told), ())


def _is_always(about: object) -> bool:
    """Whether every interpreter and machine needs it; what nobody of the project's needs is in no lock."""
    return isinstance(about, str) or (
        isinstance(about, dict) and about.keys().isdisjoint(("python", "markers", "platform"))
    )


def _conditions(told: Mapping[str, Any]) -> str | None:
    parts = [f"({told['markers']})"] if isinstance(told.get("markers"), str) else []
    if isinstance(platform := told.get("platform"), str):
        parts.append(f"sys_platform == '{platform}'")
    if isinstance(python := told.get("python"), str) and python != "*":
        parts += _python_markers(python)
    return " and ".join(parts) or None


def _python_markers(wanted: str) -> list[str]:
    """What Poetry writes as a range of interpreters. Raises BadLock for what markers cannot say."""
    found = []
    for part in wanted.split(","):
        match = re.fullmatch(r"\s*(>=|<=|<|>|==|!=|\^|~)?\s*(\d+(?:\.\d+)*)(?:\.\*)?\s*", part)
        if match is None:
            raise BadLock(f"pyproject.toml asks for Python {wanted}, which is not understood", _AGAIN)
        how, version = match[1] or "==", match[2]
        numbers = [int(each) for each in version.split(".")]
        if how == "^":
            found += [f"python_full_version >= '{version}'", f"python_full_version < '{numbers[0] + 1}'"]
        elif how == "~":
            above = f"{numbers[0]}.{numbers[1] + 1}" if len(numbers) > 1 else f"{numbers[0] + 1}"
            found += [f"python_full_version >= '{version}'", f"python_full_version < '{above}'"]
        else:
            found.append(f"python_full_version {how} '{version}{'.*' if how in ('==', '!=') else ''}'")
    return found


_AGAIN = "write the lock again with Poetry 2 (`poetry lock`), or add a requirements.txt"


# What a project says itself


def _dependencies(project: Mapping[str, Any]) -> dict[str, Any]:
    found = _tool(project, "poetry").get("dependencies", {})
    return (
        {name: about for name, about in found.items() if name != "python"} if isinstance(found, dict) else {}
    )


def _project_lines(project: Mapping[str, Any]) -> list[str]:
    table = project.get("project", {})
    found = table.get("dependencies", []) if isinstance(table, dict) else []
    return [each for each in found if isinstance(each, str) and not _UNPRINTED.search(each)]


def _declared(project: Mapping[str, Any]) -> list[str]:
    """The names of what [project] depends on everywhere."""
    found = (_NAME.match(each.strip()) for each in _project_lines(project) if ";" not in each)
    return [match[0] for match in found if match]


def _require(wanted: Iterable[str], locked: set[str], file: str, command: str) -> None:
    names = {_normal(name) for name in locked}
    for name in wanted:
        if _normal(name) not in names:
            raise BadLock(f"{file} has no {name}, which pyproject.toml asks for", f"run `{command}`")


# Lines of requirements


def _line(requirement: str, marker: object, hashes: Iterable[object]) -> str:
    parts = [requirement]
    if marker:
        if not isinstance(marker, str) or _UNPRINTED.search(marker):
            raise _broken("the lock", requirement)
        parts.append(f" ; {marker}")
    for each in hashes:
        if not isinstance(each, str) or not _HASH.fullmatch(each):
            raise _broken("the lock", requirement)
        parts.append(f" --hash={each}")
    return "".join(parts)


def _name(name: str, extras: Collection[object] = ()) -> str:
    if not _NAME.fullmatch(name) or not all(_NAME.fullmatch(str(each)) for each in extras):
        raise _broken("the lock", name)
    return f"{name}[{','.join(map(str, extras))}]" if extras else name


def _version(version: object) -> str:
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise _broken("the lock", str(version))
    return version


def _pinned(version: object) -> str:
    """Pipenv (2026.10) pins nothing of what its own machine did not need: `*`, or a range after `==`."""
    text = str(version)
    if text == "*":
        return ""
    bare = text.removeprefix("==")
    if clauses := [each.strip() for each in bare.split(",")] if _RANGE.match(bare) else []:
        return ",".join(_range(each) for each in clauses)
    return f"=={_version(bare)}"


def _range(clause: str) -> str:
    if (found := _RANGE.match(clause)) is None:
        raise _broken("the lock", clause)
    return found[0] + _version(clause[found.end() :].strip())


def _git(name: str, about: Mapping[str, Any], url: object, ref: object) -> str:
    if not isinstance(url, str) or not isinstance(ref, str):
        raise _broken("the lock", name)
    where = f"#subdirectory={folder}" if isinstance(folder := about.get("subdirectory"), str) else ""
    return f"{_name(name)} @ git+{_url(url.removeprefix('git+'))}@{_url(ref)}{where}"


def _url(place: object) -> str:
    """As it stands in a requirement: a path leads from the package's folder."""
    if not isinstance(place, str) or not place or _UNPRINTED.search(place) or " " in place:
        raise _broken("the lock", str(place))
    return place


def _indexes(urls: Iterable[object]) -> list[str]:
    """Where else packages are; the usual index is where this machine says."""
    found = dict.fromkeys(str(url).rstrip("/") for url in urls if url)
    return [f"--extra-index-url {_url(url)}" for url in found if url != _PYPI]


def _hashes(package: Mapping[str, Any]) -> list[object]:
    files = package.get("files", ())
    return sorted({each.get("hash", "") for each in files if isinstance(each, dict)} - {""})


# The documents


def _packages(lock: Mapping[str, Any], file: str) -> list[dict[str, Any]]:
    found = lock.get("package", [])
    if not isinstance(found, list) or not all(
        isinstance(each, dict) and _is_text(each, "name") for each in found
    ):
        raise _broken(file, "package")
    return found


def _is_text(table: Mapping[str, Any], key: str) -> bool:
    return isinstance(table.get(key), str)


def _source(package: Mapping[str, Any]) -> Mapping[str, Any]:
    found = package.get("source", {})
    return found if isinstance(found, dict) else {}


def _tool(project: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = project.get("tool", {})
    found = found.get(name, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def _table(document: Mapping[str, Any], key: str, file: str) -> Mapping[str, Any]:
    found = document.get(key, {})
    if not isinstance(found, dict):
        raise _broken(file, key)
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _broken(file: str, what: str) -> BadLock:
    shown = _UNPRINTED.sub("?", what)[:80]
    return BadLock(f"{file} is not understood: {shown}", "write it again with the tool that it belongs to")
