"""Where settings come from, which wins, and what is said about wrong ones."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import UserError
from reconciler.state.listening import HINT as LEAVE_IT
from reconciler.state.listening import MESSAGE, Place, parse
from reconciler.state.settings import _NO_DHT, Settings, SettingsError, default_name, load_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("ATEK_"):
            monkeypatch.delenv(name)


def load(home: Path, text: str = "", *, suffix: str = ".toml", **flags: Any) -> Settings:
    if text:
        (home / f"config{suffix}").write_text(text)
    return load_settings(home, flags)


def failure(home: Path, text: str = "", *, suffix: str = ".toml", **flags: Any) -> tuple[str, str]:
    with pytest.raises(SettingsError) as caught:
        load(home, text, suffix=suffix, **flags)
    assert isinstance(caught.value, UserError)
    assert "pydantic" not in str(caught.value) and "validation" not in str(caught.value)
    return caught.value.message.replace(f"{home}/", ""), caught.value.hint


def test_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.port, settings.domain, settings.keep_services) == (2835, "localhost", False)
    assert settings.name == default_name()
    assert settings.core_services is None and settings.sources.files == ()
    assert settings.labels == () and settings.hyper.known_peers_only
    assert (settings.hyper.bootstrap, settings.hyper.listen, settings.hyper.dht) == ((), "", "")


def test_how_other_nodes_are_found(tmp_path: Path) -> None:
    key = "ab" * 32
    text = f"""
labels = ["kitchen"]
[hyper]
bootstrap = ["10.0.0.1:49737"]
listen = "0.0.0.0:49800"
dht = "[::1]:0"
peers = [{{host = "10.0.0.7", port = 49800, key = "{key}"}}]
knownPeersOnly = false
"""
    settings = load(tmp_path, text)
    assert settings.labels == ("kitchen",)
    assert settings.hyper.bootstrap == ("10.0.0.1:49737",) and settings.hyper.dht == "[::1]:0"
    assert settings.hyper.listen == "0.0.0.0:49800" and not settings.hyper.known_peers_only
    (peer,) = settings.hyper.peers
    assert (peer.host, peer.port, peer.key) == ("10.0.0.7", 49800, key)


def test_no_core_services_is_not_the_same_as_nothing_said(tmp_path: Path) -> None:
    assert load(tmp_path, "coreServices = []").core_services == ()


@pytest.mark.parametrize(
    ("host", "name"),
    [("Pi", "pi"), ("my_host.example.com", "my-host"), ("-x-", "x"), ("äö", "node"), ("a" * 80, "a" * 63)],
)
def test_the_default_name_is_a_label(monkeypatch: pytest.MonkeyPatch, host: str, name: str) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename=host))
    assert default_name() == name


def test_flags_win_over_the_environment_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "name = 'file'\nport = 1\nkeepServices = true\n"
    assert (load(tmp_path, text).port, load(tmp_path).keep_services) == (1, True)
    monkeypatch.setenv("ATEK_PORT", "2")
    monkeypatch.setenv("ATEK_KEEP_SERVICES", "false")
    settings = load(tmp_path)
    assert (settings.name, settings.port, settings.keep_services) == ("file", 2, False)
    settings = load(tmp_path, port=0, name=None)
    assert (settings.name, settings.port, settings.keep_services) == ("file", 0, False)
    monkeypatch.setenv("ATEK_PORT", "")
    assert load(tmp_path).port == 1


def test_ateks_config_json(tmp_path: Path) -> None:
    text = '{"port": 3, "coreServices": [{"id": "adb", "sourceUrl": "file:///srv/adb"}]}'
    settings = load(tmp_path, text, suffix=".json")
    assert settings.port == 3
    assert settings.core_services == ({"id": "adb", "sourceUrl": "file:///srv/adb"},)


def test_nested_values_from_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(tmp_path, "[sources]\nfiles = ['a', 'b']").sources.files == ("a", "b")
    monkeypatch.setenv("ATEK_SOURCES__FILES", '["c"]')
    assert load(tmp_path).sources.files == ("c",)


def test_variables_of_services_and_others_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ATEK_HOME", "ATEK_ASSIGNED_SOCKET_FILE", "ATEK_HOST_PORT", "ATEK_SOAK", "PORT", "NAME"):
        monkeypatch.setenv(name, "x")
    assert load(tmp_path).port == 2835


def test_one_config_file_only(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    message, hint = failure(tmp_path, "port = 1")
    assert message == "there are two config files, config.toml and config.json"
    assert "delete config.json" in hint


def test_the_defaults_of_what_is_not_built_may_be_written_down(tmp_path: Path) -> None:
    assert load(tmp_path, "[hyper]\nbootstrap = []\n[remote]\nenabled = false").port == 2835


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("port = 1\nprot = 2", "config.toml:2: prot: unknown key", "did you mean port?"),
        ("keepservices = true", "config.toml:1: keepservices: unknown key", "did you mean keepServices?"),
        ("[sources]\n\nfile = []", "config.toml:3: sources.file: unknown key", "did you mean files?"),
        ("port = 'x'", "config.toml:1: port: it must be a whole number, not 'x'", ""),
        ("port = 70000", "config.toml:1: port: it must be at most 65535, not 70000", ""),
        ("name = 'My Pi'", "config.toml:1: name: a node's name has small letters", ""),
        ("domain = 'a..b'", "config.toml:1: domain: a domain has small letters", ""),
        ("coreServices = 1", "config.toml:1: coreServices: it must be a list, not 1", ""),
        ("port = ", "config.toml:1: this is not valid TOML: invalid value", ""),
        (
            "port = 'x'\nname = []",
            "config.toml:1: port: it must be a whole number, not 'x'\nconfig.toml:2: name: it must be text",
            "",
        ),
        (
            "[[sources.git]]\nname = 'it'\nurl = 'x'",
            "config.toml:3: sources.git[0].url: it begins with https://",
            "",
        ),
        ("[hyper]\nlisten = '49800'", "config.toml:2: hyper.listen: an address is a host and a port", ""),
        ("[hyper]\nbootstrap = ['a:70000']", "config.toml:2: hyper.bootstrap[0]: an address is", ""),
        (
            "[hyper]\npeers = [{host = 'x', port = 1, key = 'abc'}]",
            "hyper.peers[0].key: a noise key has 64 hex digits",
            "",
        ),
        ("labels = ['Two words']", "config.toml:1: labels: 'Two words' is no label", ""),
        ("[remote]\nenabled = true", "config.toml:2: remote.enabled: nobody could find", _NO_DHT),
        ("[remote]\nmeetingPoint = 'pi.local:1'", "config.toml:2: remote.meetingPoint: a meeting point", ""),
        ("[remote]\nmeetingPoint = '0.0.0.0:1'", "config.toml:2: remote.meetingPoint: a meeting point", ""),
        ("host = '0.0.0.0'", f"config.toml:1: host: {MESSAGE}", LEAVE_IT),
        ("listen = '0.0.0.0:2835'", "config.toml:1: listen: it must be a list", "write [0.0.0.0:2835]"),
        ("listen = ['pi.local:2835']", "config.toml:1: listen[0]: it is an address of this machine", ""),
        ("listen = ['0.0.0.0:0']", "config.toml:1: listen[0]: it is an address of this machine", ""),
        ("listen = ['300.0.0.0:1']", "config.toml:1: listen[0]: 300.0.0.0 is no address", ""),
        ("[tls]\ncert = 'a.pem'", "tls: cert and key are said together", ""),
        ("[tls]\ncert = 'a'\nkey = 'b'\nauthority = true", "tls: authority = true makes its own", ""),
        ("[router]\nlistenAddress = '::'", f"config.toml:2: router.listenAddress: {MESSAGE}", LEAVE_IT),
        ("listn = '0.0.0.0'", "config.toml:1: listn: unknown key", "did you mean listen?"),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, text: str, message: str, hint: str) -> None:
    said, hinted = failure(tmp_path, text)
    assert message in said
    assert hinted == hint


def test_mistakes_in_json(tmp_path: Path) -> None:
    assert "config.json:2: prot: unknown key" in failure(tmp_path, '{\n"prot": 1}', suffix=".json")[0]
    assert "config.json has to hold keys and values" in failure(tmp_path, "[1]", suffix=".json")[0]


@pytest.mark.parametrize("name", ["ATEK_HOST", "ATEK_LISTEN_ON", "ATEK_BIND_ADDRESS", "atek_router__listen"])
def test_no_variable_has_it_listen_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "0.0.0.0")
    assert failure(tmp_path) == (f"{name}: {MESSAGE}", LEAVE_IT)


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ("0.0.0.0:2835", Place("0.0.0.0", 2835)),
        ("0.0.0.0", Place("0.0.0.0")),
        ("[::]:443", Place("::", 443)),
        ("::", Place("::")),
        ("[FD00::5]", Place("fd00::5")),
        ("192.168.1.5:80", Place("192.168.1.5", 80)),
    ],
)
def test_where_else_it_listens(tmp_path: Path, entry: str, place: Place) -> None:
    (tmp_path / "config.toml").write_text(f"listen = ['{entry}']\n[tls]\nauthority = true")
    settings = load(tmp_path)
    assert [parse(each) for each in settings.listen] == [place]
    assert settings.tls.wanted and settings.mdns and settings.port == 2835


def test_nowhere_else_when_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(tmp_path).listen == () and not load(tmp_path).tls.wanted
    monkeypatch.setenv("ATEK_LISTEN", '["0.0.0.0:2835"]')
    assert load(tmp_path).listen == ("0.0.0.0:2835",)


def test_what_a_service_is_told_of_its_node_is_no_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node may be a service of another one."""
    for name in ("ATEK_HOST_PORT", "ATEK_HOST_SOCKET", "ATEK_HOST_BEARER_TOKEN"):
        monkeypatch.setenv(name, "1")
    assert load(tmp_path).port == 2835


def test_mistakes_in_flags_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert failure(tmp_path, port=70000)[0] == "--port: it must be at most 65535, not 70000"
    monkeypatch.setenv("ATEK_PORT", "abc")
    assert failure(tmp_path)[0] == "ATEK_PORT: it must be a whole number, not 'abc'"
    monkeypatch.delenv("ATEK_PORT")
    monkeypatch.setenv("ATEK_SOURCES", "[")
    assert failure(tmp_path)[0] == "ATEK_SOURCES: it must be JSON"
    monkeypatch.delenv("ATEK_SOURCES")
    monkeypatch.setenv("ATEK_SOURCES__FILE", '["a"]')
    message, hint = failure(tmp_path)
    assert "ATEK_SOURCES__FILE" in message and hint == "did you mean files?"
    monkeypatch.delenv("ATEK_SOURCES__FILE")
    monkeypatch.setenv("ATEK_SOURCES__GIT", '[{"name": "it", "url": "x"}]')
    assert "ATEK_SOURCES__GIT__0__URL: it begins with https://" in failure(tmp_path)[0]
    monkeypatch.delenv("ATEK_SOURCES__GIT")
    monkeypatch.setenv("ATEK_CORE_SERVICES", "[]")
    assert "core services cannot come from the environment" in failure(tmp_path)[0]


def test_nothing_else_imports_pydantic_settings() -> None:
    """It would slow every command down."""
    code = "import sys, manifests.sources.folder, manifests.packages.resolve, manifests.sources.config\n"
    code += (
        "sys.exit('pydantic_settings' in sys.modules or 'watchfiles' in sys.modules or 'yaml' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
