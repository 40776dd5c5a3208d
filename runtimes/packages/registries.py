"""Where this machine gets its packages from, as its tools are configured, without what they log in with.

npm is asked itself. uv has no such question, so its variables, its configuration files (uv.toml) and what pip
says (`uv`) are read as it reads them. What is found is what the tools of a package of others' may reach.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import anyio.to_thread

from runtimes.base import RuntimeFailure
from runtimes.network.rules import Rule, plain_host
from runtimes.packages.environment import tool_environment
from runtimes.packages.tools import printable
from runtimes.processes.children import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runtimes.packages.node_versions import NodeTools

#: What stands behind the addresses that are there where nobody configured any.
_NPM, _PYPI = "https://registry.npmjs.org/", "https://pypi.org/simple"
_BEHIND = {
    "registry.npmjs.org": ("registry.yarnpkg.com",), "pypi.org": ("files.pythonhosted.org",),
}  # fmt: skip
_PORTS = {"https": 443, "http": 80}
#: Of npm's settings what a build may need and everybody may know.
_NPM_SETTINGS = ("strict-ssl", "nodedir", "python")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE")
#: uv's variables that name places, with what separates several; how uv.toml calls the same.
_UV = {
    "UV_DEFAULT_INDEX": (" ", ("index-url",)), "UV_INDEX": (" ", ("extra-index-url",)),
    "UV_FIND_LINKS": (",", ("find-links",)),
}  # fmt: skip
_UV_OLDER = {"UV_INDEX_URL": "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL": "UV_INDEX"}
_UV_PASSED = ("UV_INDEX_STRATEGY",)


@dataclass(frozen=True, slots=True)
class Registries:
    """`shown` are files and folders of this machine that packages or certificates are in.

    `variables` tell the tools of all that.
    """

    rules: tuple[Rule, ...] = ()
    shown: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


async def npm_registries(tools: NodeTools, folder: Path) -> Registries:
    """As npm says when it is asked in a folder where nobody configured anything else.

    Raises RuntimeFailure.
    """
    said, complained = bytearray(), bytearray()
    words = [os.fspath(tools.node), os.fspath(tools.npm), "config", "list", "--json"]
    try:
        code = await TABLE.execute(
            words, on_output=said.extend, on_errors=complained.extend,
            env=tool_environment([os.fspath(tools.node.parent)]), cwd=folder,
        )  # fmt: skip
        found = json.loads(said) if code == 0 else None
    except (OSError, ValueError) as error:
        raise RuntimeFailure("PrepareFailed", f"npm cannot say where packages come from: {error}") from error
    if not isinstance(found, dict):
        lines = complained.decode("utf-8", "replace").strip().splitlines() or [f"status {code}"]
        why = printable(" ".join(lines[:3]))
        raise RuntimeFailure("PrepareFailed", f"npm cannot say where packages come from: {why}")
    if "registry" not in found:
        # It has a login in it, which npm does not say.
        found["registry"] = await anyio.to_thread.run_sync(_registry_with_login, found, os.environ)
    return registries_of_npm(found, os.environ)


def _registry_with_login(settings: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """Where npm finds it: in a variable, else in one of its two files; empty where it is in none."""
    said = {name.lower(): value for name, value in environment.items()}.get("npm_config_registry", "")
    for name in ("userconfig", "globalconfig"):
        with suppress(OSError):
            text = Path(str(settings.get(name, ""))).read_text("utf-8", "replace")
            found = re.search(r"^\s*registry\s*=\s*(\S+)", text, re.MULTILINE)
            said = said or (found[1].strip("\"'") if found else "")
    return said


def registries_of_npm(settings: Mapping[str, Any], environment: Mapping[str, str]) -> Registries:
    """What npm's settings say."""
    urls = {"registry": str(settings.get("registry") or _NPM)}
    urls |= {name: str(url) for name, url in settings.items() if name.endswith(":registry")}
    plain = {name: without_login(url) for name, url in urls.items()}
    # npm's own rule for variables: all that follows `npm_config_`, with hyphens for underlines.
    variables = {f"npm_config_{name}": url for name, url in plain.items()}
    variables |= {"YARN_REGISTRY": plain["registry"], "YARN_NPM_REGISTRY_SERVER": plain["registry"]}
    if _port(plain["registry"]) != _PORTS["https"]:
        variables["YARN_UNSAFE_HTTP_WHITELIST"] = urlsplit(plain["registry"]).hostname or ""
    for name in _NPM_SETTINGS:
        if (value := settings.get(name)) not in (None, ""):
            variables[f"npm_config_{name.replace('-', '_')}"] = (
                str(value).lower() if isinstance(value, bool) else str(value)
            )
    shown = [str(file)] if (file := settings.get("cafile")) else []
    variables |= {"npm_config_cafile": shown[0]} if shown else {}
    return _registries(plain.values(), shown, variables, environment)


def python_registries(settings: Mapping[str, str], environment: Mapping[str, str]) -> Registries:
    """What uv's variables say, else uv.toml, else `settings`: uv's variables for what pip says."""
    own = {
        _UV_OLDER.get(name, name): value for name, value in environment.items() if name in {*_UV, *_UV_OLDER}
    }
    passed = {name: value for name, value in environment.items() if name in _UV_PASSED}
    found = {**settings, **_of_files(environment), **own, **passed}
    found.setdefault("UV_DEFAULT_INDEX", _PYPI)
    variables, urls, folders = {}, [], []
    for name, (separator, _) in _UV.items():
        places = []
        for place in filter(None, found.get(name, "").split(separator)):
            label, equals, rest = place.partition("=")
            url = rest if equals and "/" not in label else place
            if folder := _folder(url):
                folders.append(folder)
            else:
                urls.append(url)
                place = place.replace(url, without_login(url))
            places.append(place)
        if places:
            variables[name] = separator.join(places)
    variables |= {name: found[name] for name in _UV_PASSED if name in found}
    certificates = {"SSL_CERT_FILE": settings["SSL_CERT_FILE"]} if "SSL_CERT_FILE" in settings else {}
    return _registries(urls, folders, variables, {**certificates, **environment})


def _of_files(environment: Mapping[str, str]) -> dict[str, str]:
    home = environment.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    for file in filter(None, (environment.get("UV_CONFIG_FILE"), f"{home}/uv/uv.toml", "/etc/uv/uv.toml")):
        with suppress(OSError, ValueError):
            if found := of_uv_toml(tomllib.loads(Path(file).read_text("utf-8"))):
                return found
    return {}


def of_uv_toml(document: Mapping[str, Any]) -> dict[str, str]:
    """uv's variables for what a uv.toml says."""
    pip = document.get("pip")
    places: dict[str, list[str]] = {name: [] for name in _UV}
    for table in (document, pip if isinstance(pip, dict) else {}):
        for name, (_, keys) in _UV.items():
            for key in keys:
                value = table.get(key, ())
                places[name] += [value] if isinstance(value, str) else [str(each) for each in value]
    index = document.get("index", ())
    for each in index if isinstance(index, list) else ():
        if isinstance(each, dict) and isinstance(each.get("url"), str):
            places["UV_DEFAULT_INDEX" if each.get("default") is True else "UV_INDEX"].append(each["url"])
    return {name: _UV[name][0].join(found) for name, found in places.items() if found}


def _folder(place: str) -> str:
    """Where packages lie on this machine; empty for the address of a server."""
    scheme, separator, _ = place.partition("://")
    if not separator:
        return os.path.abspath(place)
    return unquote(urlsplit(place).path) if scheme == "file" else ""


def _registries(
    urls: Iterable[str], shown: Iterable[str], variables: Mapping[str, str], environment: Mapping[str, str]
) -> Registries:
    certificates = {name: environment[name] for name in _CERTIFICATES if environment.get(name)}
    rules: list[Rule] = []
    for url in urls:
        host, port = plain_host(urlsplit(url).hostname or ""), _port(url)
        if host and port:
            # Whoever configured it, or the names of this house, meant that very machine.
            rules += [Rule(each, port, local=True) for each in (host, *_BEHIND.get(host, ()))]
    found = dict.fromkeys(path for path in (*shown, *certificates.values()) if os.path.exists(path))
    return Registries(tuple(dict.fromkeys(rules)), tuple(found), {**variables, **certificates})


def _port(url: str) -> int | None:
    try:
        parts = urlsplit(url)
        return parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None


def without_login(url: str) -> str:
    """An address without name and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
