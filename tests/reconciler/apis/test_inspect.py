"""The inspect API: is the node up, and its settings without a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from reconciler.apis.inspect import public_config
from reconciler.state.settings import load_settings
from tests.reconciler.apis.api_nodes import Failure, World

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_ready_once_the_sources_are_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.node() as apis:
        assert await apis.inspect("isReady", user="alice") is True
        apis.node.shut_down()
        await apis.until(lambda: apis.node.reconciler.stopping)
        assert await apis.inspect("isReady", user="alice") is False


async def test_the_config_is_for_administrators(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.node() as apis:
        assert await apis.inspect("getConfig") == {"name": "pi"}
        with pytest.raises(Failure, match="-32003 Not authorized"):
            await apis.inspect("getConfig", user="alice")
        with pytest.raises(Failure, match="-32601 Method not found: list"):
            await apis.inspect("list")


def test_the_config_has_no_secrets(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        'name = "pi"\nport = 0\n[[coreServices]]\nid = "backup"\ncommand = ["b", "--key", "hidden"]\n'
        'env = {KEY = "hidden"}\n[[coreServices]]\nid = "app"\nsource = "./app"\n[sources]\nfiles = ["m"]\n'
    )
    config = public_config(
        load_settings(tmp_path, {}), load_settings(tmp_path, {}).core_services or (), port=2835, version="1"
    )
    assert config == {
        "name": "pi",
        "version": "1",
        "domain": "localhost",
        "port": 2835,
        "keepServices": False,
        "coreServices": [{"id": "backup"}, {"id": "app", "source": "./app"}],
        "sources": {"files": ["m"]},
    }
    assert "hidden" not in json.dumps(config)
