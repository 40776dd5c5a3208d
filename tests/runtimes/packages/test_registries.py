"""Where this machine gets its packages from, out of what its tools are configured with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtimes.packages.registries import (
    of_uv_toml,
    python_registries,
    registries_of_npm,
    without_login,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_npm_has_its_registry_and_those_of_its_scopes() -> None:
    settings = {
        "registry": "https://me:word@npm.example/mirror/", "@ours:registry": "http://192.168.1.7:4873/",
        "//npm.example/:_authToken": "(protected)", "strict-ssl": False,
    }  # fmt: skip
    found = registries_of_npm(settings, {})
    assert [str(rule) for rule in found.rules] == ["npm.example:443", "192.168.1.7:4873"]
    assert found.variables["npm_config_registry"] == "https://npm.example/mirror/"
    assert found.variables["npm_config_@ours:registry"] == "http://192.168.1.7:4873/"
    assert found.variables["npm_config_strict_ssl"] == "false"
    assert not any("word" in value or "protected" in value for value in found.variables.values())


def test_without_configuration_it_is_the_usual_ones() -> None:
    assert {str(rule) for rule in registries_of_npm({}, {}).rules} == {
        "registry.npmjs.org:443", "registry.yarnpkg.com:443",
    }  # fmt: skip
    assert {str(rule) for rule in python_registries({}, {}).rules} == {
        "pypi.org:443", "files.pythonhosted.org:443",
    }  # fmt: skip


def test_uv_has_its_variables_then_its_file_then_what_pip_says(home: Path) -> None:
    pip = {"UV_DEFAULT_INDEX": "https://pip.example/simple", "UV_FIND_LINKS": "/srv/pip"}
    assert [str(rule) for rule in python_registries(pip, {}).rules] == ["pip.example:443"]
    (home / ".config/uv").mkdir(parents=True)
    (home / ".config/uv/uv.toml").write_text('index-url = "https://file.example/simple"\n')
    assert [str(rule) for rule in python_registries(pip, {}).rules] == ["file.example:443"]
    said = {
        "UV_INDEX_URL": "https://a:b@own.example:8443/simple",
        "UV_INDEX": "ours=https://c:d@ours.example/s",
    }
    found = python_registries(pip, said)
    assert [str(rule) for rule in found.rules] == ["own.example:8443", "ours.example:443"]
    assert found.variables["UV_DEFAULT_INDEX"] == "https://own.example:8443/simple"
    assert found.variables["UV_INDEX"] == "ours=https://ours.example/s"


def test_folders_with_packages_are_shown(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    said = {"UV_FIND_LINKS": str(tmp_path / "wheels"), "UV_DEFAULT_INDEX": f"file://{tmp_path}/simple"}
    found = python_registries({}, said)
    assert found.rules == ()
    assert found.shown == (str(tmp_path / "wheels"),)


def test_a_file_of_uv_is_read_as_uv_does() -> None:
    document = {
        "index": [{"url": "https://a.example", "default": True}, {"url": "https://b.example", "name": "b"}],
        "pip": {"find-links": ["/srv/wheels"]}, "extra-index-url": ["https://c.example"],
    }  # fmt: skip
    assert of_uv_toml(document) == {
        "UV_DEFAULT_INDEX": "https://a.example", "UV_INDEX": "https://c.example https://b.example",
        "UV_FIND_LINKS": "/srv/wheels",
    }  # fmt: skip


def test_addresses_lose_their_logins() -> None:
    assert without_login("https://u:p%40@h.example:1/x?y") == "https://h.example:1/x?y"
    assert without_login("https://h.example/@scope/x") == "https://h.example/@scope/x"
