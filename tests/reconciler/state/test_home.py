"""What a node's state directory derives for its services."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from reconciler.errors import UserError
from reconciler.state.home import Home
from reconciler.state.tokens import new_token

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


def test_the_key_stays_in_each_life(tmp_path: Path) -> None:
    first, second = (identities(tmp_path, "a")[0] for _ in range(2))
    assert first["key"] == second["key"] and len(first["key"]) == 64


def test_no_two_services_share_a_key(tmp_path: Path) -> None:
    a, b = identities(tmp_path, "a", "b")
    assert a["key"] != b["key"]


def test_tokens_are_no_two_alike_and_say_what_they_are() -> None:
    tokens = {new_token() for _ in range(10)}
    assert len(tokens) == 10
    assert all(re.fullmatch("atek_[0-9a-f]{64}", token) for token in tokens)


def test_a_manifest_file_that_others_can_write_is_no_place_to_start_from(tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text("id: app\ncommand: [sleep, '9']\n")
    Home(tmp_path / "home").check([file, tmp_path / "nothing"])
    file.chmod(0o666)
    with pytest.raises(UserError, match="everybody can write") as caught:
        Home(tmp_path / "home").check([file])
    assert caught.value.hint == f"chmod go-w {file}"
