"""`atek plan` over files: what is told of each service, whatever is wrong with another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from manifests.resolve import resolve
from reconciler.cli import preview as module
from reconciler.cli.preview import preview

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_surprise_in_one_service_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for name in ("good", "odd"):
        (folder / f"{name}.yaml").write_text(f"id: {name}\ncommand: [sleep, '9']\n")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text("coreServices = []\n")

    def odd(declared: Any, *rest: Any) -> Any:
        if declared.manifest.id == "odd":
            raise ValueError("embedded null byte")
        return resolve(declared, *rest)

    monkeypatch.setattr(module, "resolve", odd)
    found = {each.id: (each.kind, each.message) for each in preview(tmp_path / "home", [folder])}
    assert found["good"][0] == "create"
    assert found["odd"] == ("blocked", "InternalError: ValueError: embedded null byte")
