"""Which tool installs a package, and with which words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtimes.base import PermanentFailure
from runtimes.packages.node_tools import Manager, choose_manager

if TYPE_CHECKING:
    from pathlib import Path

CLASSIC = '# yarn lockfile v1\n\nms@^2.0.0:\n  version "2.0.0"\n'


def modern(number: int) -> str:
    return f"__metadata:\n  version: {number}\n  cacheKey: 10\n"


@pytest.mark.parametrize(
    ("files", "manager", "expected"),
    [
        ({}, None, Manager("npm")),
        ({"package-lock.json": ""}, None, Manager("npm", "", "package-lock.json")),
        (
            {"npm-shrinkwrap.json": "", "package-lock.json": ""},
            None,
            Manager("npm", "", "npm-shrinkwrap.json"),
        ),
        ({"yarn.lock": CLASSIC}, None, Manager("yarn", "^1.22", "yarn.lock")),
        ({"yarn.lock": modern(6)}, None, Manager("yarn", "^3", "yarn.lock")),
        ({"yarn.lock": modern(8)}, None, Manager("yarn", "^4", "yarn.lock")),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, None, Manager("pnpm", "^10", "pnpm-lock.yaml")),
        ({"pnpm-lock.yaml": "lockfileVersion: 5.4\n"}, None, Manager("pnpm", "^7", "pnpm-lock.yaml")),
        ({"package-lock.json": "", "yarn.lock": ""}, None, Manager("npm", "", "package-lock.json")),
        ({"package-lock.json": "", "bun.lock": ""}, None, Manager("npm", "", "package-lock.json")),
        ({"yarn.lock": modern(8)}, "yarn@4.9.1+sha512.abc", Manager("yarn", "4.9.1", "yarn.lock")),
        ({"package-lock.json": "", "yarn.lock": ""}, "yarn@1.22.19", Manager("yarn", "1.22.19", "yarn.lock")),
        ({"package-lock.json": ""}, "pnpm@9.1.0", Manager("pnpm", "9.1.0")),
        ({"yarn.lock": ""}, "npm@11.0.0", Manager("npm")),
        ({"yarn.lock": CLASSIC}, "bun@1.2.0", Manager("yarn", "^1.22", "yarn.lock")),
    ],
)
def test_the_author_chooses(
    tmp_path: Path, files: dict[str, str], manager: str | None, expected: Manager
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert choose_manager(tmp_path, {"packageManager": manager} if manager else {}) == expected


@pytest.mark.parametrize(("lock", "manager"), [("bun.lockb", None), ("deno.lock", None), ("", "bun@1.2.0")])
def test_what_only_others_can_install_is_refused(tmp_path: Path, lock: str, manager: str | None) -> None:
    if lock:
        (tmp_path / lock).touch()
    with pytest.raises(PermanentFailure, match=r"bun|deno") as caught:
        choose_manager(tmp_path, {"packageManager": manager} if manager else {})
    assert caught.value.reason == "PrepareFailed"


@pytest.mark.parametrize(
    ("manager", "package"),
    [
        (Manager("yarn", "^1.22"), "yarn"),
        (Manager("yarn", "1.22.19"), "yarn"),
        (Manager("yarn", "4.9.1"), "@yarnpkg/cli-dist"),
        (Manager("yarn", "10.0.0"), "@yarnpkg/cli-dist"),
        (Manager("pnpm", "9"), "pnpm"),
    ],
)
def test_where_a_tool_comes_from(manager: Manager, package: str) -> None:
    assert manager.package == package


@pytest.mark.parametrize(
    ("manager", "frozen"),
    [
        (Manager("npm", "", "package-lock.json"), "ci"),
        (Manager("pnpm", "9", "pnpm-lock.yaml"), "--frozen-lockfile"),
        (Manager("yarn", "1.22.0", "yarn.lock"), "--frozen-lockfile"),
        (Manager("yarn", "4.0.0", "yarn.lock"), "--immutable"),
    ],
)
def test_a_lock_is_taken_as_it_is(manager: Manager, frozen: str) -> None:
    assert frozen in manager.install(with_dev=True)
    assert frozen not in Manager(manager.name, manager.version).install(with_dev=True)
