"""Variables of env files that SOPS has encrypted, on their way through a Compose file. Pure.

Each is a mark that no text has. Where marks come out in `environment` or in a config's content, the manifest
has a secret there; nowhere else may they come out, since it would be shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from manifests.compose.values import Invalid

if TYPE_CHECKING:
    from manifests.documents.document import Path

#: Characters that are none (Unicode, 23.7), around a file's name and a variable's.
_BEGIN, _BETWEEN, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_MARK = re.compile(f"{_BEGIN}([^{_BETWEEN}]*){_BETWEEN}([^{_END}]*){_END}")


def sealed_variables(file: str, written: str) -> dict[str, str] | None:
    """The variables of an encrypted env file, as marks; None for a plain one. Empty ones are empty."""
    if "ENC[AES256_GCM," not in written:
        return None
    # Not at the top: most files have none.
    from manifests.sops.document import is_sealed
    from manifests.sops.dotenv_store import PREFIX, load
    from manifests.sops.tree import Item

    if not is_sealed(written.encode("utf-8", "surrogatepass"), "dotenv"):
        return None
    entries = (each for each in load(written).items if isinstance(each, Item))
    return {
        each.key: f"{_BEGIN}{file}{_BETWEEN}{each.key}{_END}" if each.value else ""
        for each in entries
        if not each.key.startswith(PREFIX)
    }


def reveal(env: dict[str, str], path: Path) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """The plain variables, and those that an encrypted file has a part in. Raises Invalid."""
    secret = {name: as_secret(value, (*path, name)) for name, value in env.items() if _BEGIN in value}
    return {name: value for name, value in env.items() if name not in secret}, secret


def refuse_marks(value: Any, path: Path) -> None:
    """Raises Invalid where a variable of an encrypted file came out at another place."""
    if isinstance(value, str) and (found := _MARK.search(value)):
        hint = "only environment and the content of configs may have it; or leave it unencrypted"
        raise Invalid(path, f"{found[2]} is encrypted in {found[1]}, and would be shown here", hint)
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        refuse_marks(item, path if isinstance(key, int) else (*path, key))


def as_secret(written: str, path: Path) -> dict[str, Any]:
    """A text that may have marks, as a manifest's secret has it. Raises Invalid."""
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
