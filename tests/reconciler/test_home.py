"""What a node's state directory derives for its services."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.api import UserError
from reconciler.home import Home

if TYPE_CHECKING:
    from pathlib import Path


def identities(path: Path, *service_ids: str) -> list[dict[str, str]]:
    """Those of one life of a node; asked twice, they are the same."""
    home = Home(path)
    home.open({})
    try:
        found = [home.identity(service_id) for service_id in service_ids]
        assert found == [home.identity(service_id) for service_id in service_ids]
        return found
    finally:
        home.close()


def test_the_key_stays_and_the_token_changes_with_each_life(tmp_path: Path) -> None:
    first, second = (identities(tmp_path, "a")[0] for _ in range(2))
    assert first["key"] == second["key"]
    assert first["token"] != second["token"]


def test_no_two_services_share_anything(tmp_path: Path) -> None:
    a, b = identities(tmp_path, "a", "b")
    assert len({a["key"], a["token"], b["key"], b["token"]}) == 4
    assert all(len(value) == 64 for value in (*a.values(), *b.values()))


def test_the_token_is_nowhere_on_the_disk(tmp_path: Path) -> None:
    (identity,) = identities(tmp_path, "a")
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert identity["token"].encode() not in written
    assert bytes.fromhex(identity["token"]) not in written


def test_a_manifest_file_that_others_can_write_is_no_place_to_start_from(tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text("id: app\ncommand: [sleep, '9']\n")
    Home(tmp_path / "home").check([file, tmp_path / "nothing"])
    file.chmod(0o666)
    with pytest.raises(UserError, match="everybody can write") as caught:
        Home(tmp_path / "home").check([file])
    assert caught.value.hint == f"chmod go-w {file}"
