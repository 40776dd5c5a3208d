"""What a Compose file declares on top for its services: `secrets` and `configs`. Pure.

Nobody sees their text here: a manifest says where it is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from manifests.compose.marks import as_secret
from manifests.compose.values import Invalid, boolean, only, table, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.documents.document import Path

KINDS = ("secrets", "configs")


class Shared:
    """What is declared on top of a file, `secrets` and `configs`, by kind and name. Raises Invalid."""

    def __init__(self, whole: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._found = {
            kind: {
                name: self._one(kind, item, (kind, name))
                for name, item in table(whole.get(kind), (kind,)).items()
            }
            for kind in KINDS
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
            return as_secret(written, (*path, "content"))
        if written not in self._variables:
            hint = f"add {written}=… to the .env beside the file"
            raise Invalid((*path, "environment"), f"the variable {written} has no value", hint)
        return {"file": ".env", "key": written}
