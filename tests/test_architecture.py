"""What the README and the docstrings say of the tree is so.

Which room may import which is told to import-linter, in pyproject.toml. Here is what it cannot know: that the
README's places are there, that who says to be pure is held to it, and who opens a socket.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (
    (ROOT / "README.md").read_text("utf-8").partition("## Architecture")[2].partition("## Development")[0]
)
PACKAGES = ("reconciler", "runtimes", "manifests", "hyper")
ROOMS = sorted(
    path.parent.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("__init__.py")
    if "node_modules" not in path.parts
)
MODULES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8"))
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if not {"node_modules", "examples"}.intersection(path.parts)
}
#: What a module may have of the standard library and be pure: it makes values of values, and nothing else.
#: (Who may read a moment with datetime is told to import-linter.)
_OF_VALUES = {
    "__future__", "base64", "binascii", "bisect", "codecs", "collections", "collections.abc", "contextlib",
    "dataclasses", "datetime", "decimal", "difflib", "enum", "errno", "fnmatch", "functools", "hashlib",
    "hmac", "http", "ipaddress", "itertools", "json", "math", "operator", "posixpath", "re", "reprlib",
    "shlex", "signal", "string", "struct", "tomllib", "types", "typing", "unicodedata", "urllib.parse",
}  # fmt: skip
#: Builtins that reach beyond a value.
_REACH_OUT = {"__import__", "breakpoint", "eval", "exec", "input", "open", "print"}
#: Whoever calls one of these has a socket afterwards, or its library has.
_OPEN_SOCKETS = {
    "socket.socket", "socket.socketpair", "socket.create_connection", "socket.create_server", "urlopen",
    "urlretrieve", "HTTPConnection", "HTTPSConnection", "ConnectionPool", "AsyncConnectionPool", "Apprise",
    "connect_tcp", "connect_unix", "create_tcp_listener", "create_unix_listener", "create_udp_socket",
    "create_connection", "create_unix_connection", "create_server", "create_unix_server",
    "create_datagram_endpoint", "open_connection", "open_unix_connection", "start_server",
    "start_unix_server",
}  # fmt: skip
#: Lines of a room's own words, the first among them.
_MOST = 10


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?:reconciler|runtimes|manifests|hyper)/[\w./]*)`", ARCHITECTURE)))
)
def test_every_place_is_there(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_every_room_says_what_it_is(room: Path) -> None:
    told = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text("utf-8")))
    assert told, f"{room}/__init__.py says nothing"
    assert len(told.splitlines()) <= _MOST


@pytest.mark.parametrize("room", [each for each in ROOMS if len(each.parts) == 2], ids=str)
def test_every_room_stands_in_the_readme(room: Path) -> None:
    assert f" {room.name}/ " in ARCHITECTURE


@pytest.mark.parametrize("name", [each for each in MODULES if each.count("/") == 1 and "__" not in each])
def test_every_module_beside_the_rooms_stands_in_the_readme(name: str) -> None:
    tree = ARCHITECTURE.partition("Folders are rooms.")[2].partition("Imports go one way")[0]
    assert re.search(rf"\b{Path(name).stem}\b", tree)


def _pure() -> list[str]:
    """The modules and rooms that import-linter holds to be pure."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (contract,) = (each for each in settings["contracts"] if each["name"].startswith("Pure modules"))
    return [name.replace(".", "/") for name in contract["source_modules"]]


PURE = sorted(
    name for name in MODULES if any(name == f"{of}.py" or name.startswith(f"{of}/") for of in _pure())
)


@pytest.mark.parametrize("name", [name for name in MODULES if name not in PURE])
def test_who_says_to_be_pure_is_held_to_it(name: str) -> None:
    said = " ".join((ast.get_docstring(MODULES[name]) or "").split())
    assert not re.search(r"\bPure\b(?!,? but)", said)


@pytest.mark.parametrize("name", PURE)
def test_in_a_pure_room_nobody_is_an_exception(name: str) -> None:
    assert not re.search(r"\bPure,? but\b", ast.get_docstring(MODULES[name]) or "")


@pytest.mark.parametrize("name", PURE)
def test_who_is_pure_has_nothing_to_reach_out_with(name: str) -> None:
    imported: set[str] = set()
    called: set[str] = set()
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Import):
            imported.update(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
        elif isinstance(node, ast.Call):
            called.add(ast.unparse(node.func))
    standard = {each for each in imported if each.partition(".")[0] in sys.stdlib_module_names}
    assert standard <= _OF_VALUES
    assert not called & _REACH_OUT


def test_the_readme_names_everybody_who_opens_a_socket() -> None:
    row = re.search(r"^\| Who may open a socket\? \|(.*)$", ARCHITECTURE, re.MULTILINE)
    assert row
    assert {name for name, tree in MODULES.items() if _opens_a_socket(tree)} == set(
        re.findall(r"`([\w/]+\.py)`", row[1])
    )


def _opens_a_socket(tree: ast.Module) -> bool:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    # What is made of a descriptor was open before.
    called = (
        ast.unparse(each.func) for each in calls if "fileno" not in {word.arg for word in each.keywords}
    )
    return any({name, name.rpartition(".")[2]} & _OPEN_SOCKETS for name in called)
