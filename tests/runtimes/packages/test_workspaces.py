"""Which folders are one of a workspace above them, and what is told then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtimes.packages.workspaces import of_node, of_uv, workspace_notice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UV = '[tool.uv.workspace]\nmembers = ["libs/one", "apps/*"]\n'


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("package.json", '{"workspaces": ["./apps/*/", 1]}', of_node),
        ("package.json", '{"workspaces": {"packages": ["apps/**"]}}', of_node),
        ("pnpm-workspace.yaml", "packages: ['apps/*']", of_node),
        ("pyproject.toml", UV, of_uv),
    ],
)
def test_a_member_is_told(tmp_path: Path, name: str, text: str, kind: Callable[[Path, str], bool]) -> None:
    (tmp_path / name).write_text(text)
    told = workspace_notice(tmp_path / "apps/web", kind)
    assert told is not None and told.reason == "InstalledAlone"
    assert f"(source: {tmp_path} and" in told


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("package.json", '{"workspaces": ["packages/*"]}', of_node),
        ("package.json", '{"name": "none"}', of_node),
        ("package.json", '["apps/web"]', of_node),
        ("package.json", '{"workspaces": {"packages": 3}}', of_node),
        ("package.json", "broken", of_node),
        ("pyproject.toml", '[project]\nname = "x"', of_uv),
        ("pyproject.toml", UV.replace("apps", "other"), of_uv),
        ("pyproject.toml", "broken", of_uv),
    ],
)
def test_who_is_none_is_not(tmp_path: Path, name: str, text: str, kind: Callable[[Path, str], bool]) -> None:
    (tmp_path / name).write_text(text)
    assert workspace_notice(tmp_path / "apps/web", kind) is None
