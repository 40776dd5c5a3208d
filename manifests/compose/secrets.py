"""Secrets and configs of a Compose file, and the variables of env files that SOPS has encrypted. Pure.

Nobody sees their text here: a manifest says where it is found. A variable of an encrypted file is carried
through the file as a mark that no text has; where it comes out in `environment` or in a config's content, the
manifest has it as a secret, and nowhere else may it come out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from manifests.compose.values import Invalid, boolean, integer, items, only, table, text
from manifests.sops.document import is_sealed
from manifests.sops.dotenv_store import PREFIX, load
from manifests.sops.tree import Item

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.compose.translation import Translation
    from manifests.documents.document import Path

#: Characters that are none (Unicode, 23.7), around a file's name and a variable's.
_BEGIN, _BETWEEN, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_MARK = re.compile(f"{_BEGIN}([^{_BETWEEN}]*){_BETWEEN}([^{_END}]*){_END}")
_KEPT_APART = re.compile(r"[^A-Za-z0-9_.-]+")
#: Where each kind of them is in a container, unless its target says.
_PLACES = {"secrets": "/run/secrets/", "configs": "/"}


def sealed_variables(file: str, written: str) -> dict[str, str] | None:
    """The variables of an encrypted env file, as marks; None for a plain one. Empty ones are empty."""
    if not is_sealed(written.encode("utf-8", "surrogatepass"), "dotenv"):
        return None
    entries = (each for each in load(written).items if isinstance(each, Item))
    return {
        each.key: f"{_BEGIN}{file}{_BETWEEN}{each.key}{_END}" if each.value else ""
        for each in entries
        if not each.key.startswith(PREFIX)
    }


class Shared:
    """What is declared on top of a file, `secrets` and `configs`, by kind and name. Raises Invalid."""

    def __init__(self, whole: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._found = {
            kind: {
                name: self._one(kind, item, (kind, name))
                for name, item in table(whole.get(kind), (kind,)).items()
            }
            for kind in _PLACES
        }

    def get(self, kind: str, name: str, path: Path) -> dict[str, Any]:
        """As a manifest's secret has it."""
        if name not in self._found[kind]:
            raise Invalid(path, f"there is no {name} under {kind} of the file", f"add {kind}: {{{name}: …}}")
        return dict(self._found[kind][name])

    def _one(self, kind: str, value: Any, path: Path) -> dict[str, Any]:
        entry = only(value, path, "file", "environment", "content", "external", "name")
        if boolean(entry.get("external", False), (*path, "external")):
            raise Invalid((*path, "external"), "what others keep is not supported", "name a file")
        given = [key for key in ("file", "environment", "content") if entry.get(key) is not None]
        if len(given) != 1 or (given == ["content"] and kind == "secrets"):
            hint = "file or environment" if kind == "secrets" else "file, environment or content"
            raise Invalid(path, "has to say one place that it comes from", hint)
        written = text(entry[given[0]], (*path, given[0]))
        if given == ["file"]:
            return {"file": written}
        if given == ["content"]:
            return _with_text(written, (*path, "content"))
        if written not in self._variables:
            hint = f"add {written}=… to the .env beside the file"
            raise Invalid((*path, "environment"), f"the variable {written} has no value", hint)
        return {"file": ".env", "key": written}


def mount(kind: str) -> Any:
    """The translator of a service's `secrets` or `configs`."""

    def translate(of: Translation, value: Any, path: Path) -> None:
        for item, here in items([] if value is None else value, path):
            long = isinstance(item, dict)
            entry = only(item, here, "source", "target", "uid", "gid", "mode") if long else {"source": item}
            name = text(entry.get("source", ""), (*here, "source"))
            made = {**of.shared.get(kind, name, here), "as": "file"}
            target = text(entry.get("target") or name, (*here, "target"))
            made["target"] = target if target.startswith("/") else f"{_PLACES[kind]}{target}"
            made |= {key: integer(entry[key], (*here, key)) for key in ("uid", "gid") if key in entry}
            if "mode" in entry:
                made["mode"] = _mode(entry["mode"], (*here, "mode"))
            of.secrets[_free(of.secrets, _KEPT_APART.sub("_", name)[:200] or "_")] = made

    return translate


def reveal(env: dict[str, str], path: Path) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """The plain variables, and those that an encrypted file has a part in. Raises Invalid."""
    secret = {name: _with_text(value, (*path, name)) for name, value in env.items() if _BEGIN in value}
    return {name: value for name, value in env.items() if name not in secret}, secret


def refuse_marks(value: Any, path: Path) -> None:
    """Raises Invalid where a variable of an encrypted file came out at another place."""
    if isinstance(value, str) and (found := _MARK.search(value)):
        hint = "only environment and the content of configs may have it; or leave it unencrypted"
        raise Invalid(path, f"{found[2]} is encrypted in {found[1]}, and would be shown here", hint)
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        refuse_marks(item, path if isinstance(key, int) else (*path, key))


def _with_text(written: str, path: Path) -> dict[str, Any]:
    files = {match[1] for match in _MARK.finditer(written)}
    if not files:
        return {"text": written}
    if len(files) > 1:
        raise Invalid(path, f"has values of several encrypted files: {', '.join(sorted(files))}")
    if (whole := _MARK.fullmatch(written)) is not None:
        return {"file": whole[1], "key": whole[2]}
    parts, at = [], 0
    for match in _MARK.finditer(written):
        parts += [written[at : match.start()].replace("$", "$$"), f"${{{match[2]}}}"]
        at = match.end()
    return {"file": files.pop(), "text": "".join([*parts, written[at:].replace("$", "$$")])}


def _mode(value: Any, path: Path) -> str:
    """A number is the mode itself (288 is 0440), a text is octal digits. Raises Invalid."""
    written = f"{value:04o}" if isinstance(value, int) and not isinstance(value, bool) else text(value, path)
    written = written.removeprefix("0o")
    if not re.fullmatch(r"0?[0-7]{3}", written):
        raise Invalid(path, "is no mode", "like 0440")
    return written


def together(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both, those of the second under other names where the first has theirs."""
    made = dict(first)
    for name, each in second.items():
        made[_free(made, name)] = each
    return made


def _free(taken: Mapping[str, Any], name: str) -> str:
    """Secrets and configs have names of their own, and one may be mounted twice."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name}.{number}", number + 1
    return found
