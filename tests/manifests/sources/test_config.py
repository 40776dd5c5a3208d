"""Core services from the config file, ours and Atek's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from manifests.packages.resolve import package_path
from manifests.sources.config import ConfigSource, parse_config
from manifests.sources.last_good import LastGood
from tests.manifests.sources.folders import find, ids, problems, watching, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

TOML = "port = 1\n[[coreServices]]\nid = 'core.hyper'\nsource = './hyper'\n"


async def test_core_services_of_config_toml(tmp_path: Path) -> None:
    write(tmp_path / "config.toml", TOML)
    source = ConfigSource(tmp_path)
    await source.scan()
    assert (source.name, source.snapshot.kind, source.snapshot.known) == ("config", "config", True)
    assert ids(source.snapshot) == ["core.hyper"]
    assert package_path(source.snapshot.services[0]) == str(tmp_path / "hyper")


async def test_ateks_config_json(tmp_path: Path) -> None:
    core = {"id": "adb", "sourceUrl": "file:///srv/adb", "config": {"simulate": True, "level": 3}}
    write(tmp_path / "config.json", json.dumps({"port": 1, "coreServices": [core]}))
    source = ConfigSource(tmp_path)
    await source.scan()
    (declared,) = source.snapshot.services
    assert declared.manifest.source == "/srv/adb"
    assert declared.manifest.env == {"SIMULATE": "true", "LEVEL": "3"}


@pytest.mark.parametrize("text", ["", "port = 1", "coreServices = []"])
async def test_a_config_without_core_services_is_fine(tmp_path: Path, text: str) -> None:
    write(tmp_path / "config.toml", text)
    source = ConfigSource(tmp_path)
    await source.scan()
    assert source.snapshot.known and not source.snapshot.services and not source.snapshot.problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TOML + "sorce = '.'", "c.toml:5: sorce: unknown key (did you mean source?)"),
        (TOML + "desiredVersion = '1'", "c.toml:2: version is for packages from Git"),
        (TOML + "sourceUrl = '.'", "c.toml:5: sourceUrl: source says the same (leave one out)"),
        (
            TOML + "config = {atek_host_port = 1}",
            "c.toml:5: env.ATEK_HOST_PORT: names that begin with ATEK_",
        ),
        (
            TOML.replace("source", "sourceUrl").replace("./hyper", "https://me:x@y/z"),
            "c.toml:4: source: a URL here has no password",
        ),
        ("coreServices = 3", "c.toml:1: coreServices: it must be a list of services"),
        ("coreServices = [3]", "a service is written as keys and values"),
        ("port =", "c.toml:1: this is not valid TOML"),
    ],
)
async def test_mistakes_in_the_config(text: str, expected: str) -> None:
    parsed = parse_config(text, "c.toml", ".toml")
    assert not parsed.manifests
    assert expected in str(parsed.problems[0])


async def test_the_config_is_followed_as_it_changes(tmp_path: Path) -> None:
    async with watching(ConfigSource(tmp_path)) as watched:
        assert watched.snapshot.known and not watched.snapshot.problems
        (tmp_path / "config.toml").write_text(TOML)
        await watched.until(lambda snapshot: ids(snapshot) == ["core.hyper"])
        (tmp_path / "config.toml").write_text(TOML + "port = x")
        await watched.until(lambda snapshot: "not valid TOML" in problems(snapshot))
        assert ids(watched.snapshot) == ["core.hyper"]
        (tmp_path / "config.toml").write_text(TOML + "port = 8080")
        await watched.until(lambda snapshot: find(snapshot, "core.hyper").manifest.port == 8080)
        (tmp_path / "config.toml").unlink()
        await watched.until(lambda snapshot: not snapshot.services and not snapshot.problems)


async def test_a_broken_config_at_boot_runs_what_it_said_before(tmp_path: Path) -> None:
    path = write(tmp_path / "config.toml", TOML)
    last_good = LastGood(tmp_path / "state", "config")
    await (before := ConfigSource(tmp_path, last_good)).scan()
    assert before.snapshot.services
    last_good.write()
    write(path, "broken")
    after = ConfigSource(tmp_path, LastGood(tmp_path / "state", "config"))
    await after.scan()
    assert ids(after.snapshot) == ["core.hyper"]
    assert "config.toml:1: this is not valid TOML" in problems(after.snapshot)


SHIPPED = [{"id": "core.hyper", "command": ["run"]}, {"id": "core.adb", "command": ["run"]}]


@pytest.mark.parametrize("text", [None, "", "port = 1"])
async def test_who_says_nothing_of_core_services_gets_the_shipped_ones(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        write(tmp_path / "config.toml", text)
    source = ConfigSource(tmp_path, shipped=SHIPPED)
    assert not source.snapshot.known and not source.snapshot.services
    await source.scan()
    assert source.snapshot.known and ids(source.snapshot) == ["core.hyper", "core.adb"]
    assert source.snapshot.services[0] is source.snapshot.services[0]


@pytest.mark.parametrize("text", [
    "coreServices = 'x'", "[[coreServices]]\nid = 'core.hyper'\nsorce = '.'", "coreServices = [3]",
    "[[coreServices]]\nid = 'core.hyper'\nsource = \"a\\u0000\"",
])  # fmt: skip
async def test_a_mistake_in_them_starts_no_shipped_one(tmp_path: Path, text: str) -> None:
    write(tmp_path / "config.toml", text)
    source = ConfigSource(tmp_path, LastGood(tmp_path / "kept", "config"), shipped=SHIPPED)
    await source.scan()
    assert not source.snapshot.services and source.snapshot.problems
    write(tmp_path / "config.toml", "port = 1")
    await source.scan()
    assert ids(source.snapshot) == ["core.hyper", "core.adb"] and not source.snapshot.problems


async def test_who_names_them_gets_those_and_no_others(tmp_path: Path) -> None:
    write(tmp_path / "config.toml", "coreServices = []")
    source = ConfigSource(tmp_path, LastGood(tmp_path / "kept", "config"), shipped=SHIPPED)
    async with watching(source) as watched:
        await watched.until(lambda _: source.snapshot.known and not source.snapshot.services)
        write(tmp_path / "config.toml", TOML)
        await watched.until(lambda _: ids(source.snapshot) == ["core.hyper"])
        assert source.snapshot.services[0].manifest.source == "./hyper"
        write(tmp_path / "config.toml", "coreServices = 'x'")
        await watched.until(lambda _: bool(source.snapshot.problems))
        assert ids(source.snapshot) == ["core.hyper"]
        (tmp_path / "config.toml").unlink()
        await watched.until(lambda _: ids(source.snapshot) == ["core.hyper", "core.adb"])
