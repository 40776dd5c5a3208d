"""The JSON Schema of manifests, for editors; and from it the tables of all keys in this folder's README.

Both are made from the model, so that they say what the node accepts. `python -m manifests.schema` writes the
part of README.md between its two marks anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from manifests.model.keys import MEANINGS
from manifests.model.manifest import Manifest

DIALECT = "https://json-schema.org/draft/2020-12/schema"
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- keys: made by `python -m manifests.schema` -->", "<!-- end of keys -->"
_TEXT = ["string", "number", "boolean"]
#: What a number is where it can also be written as text with a unit.
_UNITS = {"number": "duration", "integer": "size"}
_ORDER = (
    "Manifest", "Probes", "Probe", "HttpGet", "TcpSocket", "Exec", "Export", "Dependency", "Restart",
    "Update", "AutoUpdate", "Stop", "Resources", "SignIn", "Lan", "Secret", "Label", "Build", "Project",
)  # fmt: skip


def make_schema() -> dict[str, Any]:
    """One service, a list of them (JSON), or a table `services` (TOML), as JSON Schema 2020-12."""
    service = Manifest.model_json_schema(by_alias=True, mode="validation")
    tables = {"Manifest": service, **service.pop("$defs", {})}
    for name, table in tables.items():
        _tidy(table)
        for key, value in table.get("properties", {}).items():
            value["description"] = MEANINGS[name][key]
    one = {"$ref": "#/$defs/Manifest"}
    several = {"type": "array", "items": one, "minItems": 1}
    in_table = {
        "type": "object", "properties": {"services": several}, "required": ["services"],
        "additionalProperties": False,
    }  # fmt: skip
    return {
        "$schema": DIALECT,
        "title": "Atek manifest",
        "anyOf": [one, several, in_table],
        "$defs": dict(sorted(tables.items())),
    }


def reference() -> str:
    """A Markdown table for each table that a manifest may have."""
    tables = make_schema()["$defs"]
    return "\n\n".join(_section(name, tables[name]) for name in _ORDER if name in tables)


def _tidy(value: Any) -> None:
    """pydantic's titles repeat the keys; where a manifest has text, a number is taken as it is spelled."""
    if isinstance(value, list):
        for each in value:
            _tidy(each)
    if not isinstance(value, dict):
        return
    if isinstance(value.get("title"), str):
        del value["title"]
    if value.get("type") == "string" and not value.keys() & {"enum", "const"}:
        value["type"] = _TEXT
    for each in value.values():
        _tidy(each)


def _section(name: str, table: dict[str, Any]) -> str:
    title = "A service" if name == "Manifest" else name
    required = table.get("required", ())
    rows = [_row(key, value, required=key in required) for key, value in table["properties"].items()]
    return "\n".join(
        [f"### {title}", "", "| key | value | left out | meaning |", "| --- | --- | --- | --- |", *rows]
    )


def _row(key: str, value: dict[str, Any], *, required: bool) -> str:
    left_out = "**must be there**" if required else _default(value.get("default"))
    cells = (f"`{key}`", _kind(value), left_out, value["description"])
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(value: Any) -> str:
    return "" if value in (None, []) or isinstance(value, dict) else f"`{json.dumps(value)}`"


def _kind(value: dict[str, Any]) -> str:
    """`text`, `whole number`, `a or b`, `list of text` …"""
    if "$ref" in value:
        return f"[{(name := value['$ref'].rpartition('/')[2])}](#{name.lower()})"
    if "format" in value:
        return str(value["format"])
    if "anyOf" in value:
        given = [each.get("type") for each in value["anyOf"]]
        if _TEXT in given and (unit := next((_UNITS[each] for each in _UNITS if each in given), "")):
            return unit
        kinds = dict.fromkeys(_kind(each) for each in value["anyOf"] if each.get("type") != "null")
        return " or ".join(kinds)
    if "enum" in value or "const" in value:
        return " or ".join(f"`{each}`" for each in value.get("enum", [value.get("const")]))
    match value.get("type"):
        case "array":
            return f"list of {_kind(value.get('items', {}))}"
        case "object":
            inner = value.get("additionalProperties")
            return f"names and {_kind(inner) if isinstance(inner, dict) and '$ref' in inner else 'text'}"
        case "integer":
            return "whole number"
        case "boolean":
            return "true or false"
        case "number":
            return "number"
    return "text"


def main() -> None:
    """Writes the keys into README.md."""
    text = README.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
