"""The JSON Schema says what the node accepts: all that is accepted in these tests is held against it too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests.documents.parse import parse_file, parse_manifest
from manifests.model.keys import MEANINGS
from manifests.model.manifest import Manifest
from manifests.schema import BEGIN, END, README, reference
from tests.schema import VALIDATOR

EXAMPLES = Path(__file__).parents[2] / "manifests" / "examples"


def test_each_key_has_its_meaning_and_no_other_has_one() -> None:
    model = Manifest.model_json_schema(by_alias=True)
    tables = {"Manifest": model, **model["$defs"]}
    assert {name: set(table["properties"]) for name, table in tables.items()} == {
        name: set(keys) for name, keys in MEANINGS.items()
    }


def test_the_readme_has_the_keys_that_there_are() -> None:
    _, _, rest = README.read_text("utf-8").partition(BEGIN)
    keys, _, _ = rest.partition(END)
    assert keys.strip() == reference(), "python -m manifests.schema writes them anew"


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda f: f.name)
def test_the_examples_are_accepted(file: Path) -> None:
    assert parse_file(file.read_text("utf-8"), file.name, file.suffix).manifests
    for document in yaml.safe_load_all(file.read_text("utf-8")):
        assert [error.message for error in VALIDATOR.iter_errors(document)] == []


def test_the_examples_of_the_readme_are_right() -> None:
    """The first has all keys, of which not every two go together."""
    all_keys, *others = re.findall(r"```yaml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    for text in (all_keys, *others):
        for document in yaml.safe_load_all(text):
            assert [error.message for error in VALIDATOR.iter_errors(document)] == []
    for text in others:
        assert parse_file(text, "README.md", ".yaml").problems == ()


@pytest.mark.parametrize(
    "document",
    [
        {"source": "./a"},
        {"id": "a", "command": "ls -l"},
        {"id": "a", "command": ["ls"], "prot": 1},
        {"id": "a", "command": ["ls"], "port": 70_000},
        {"id": "a", "command": ["ls"], "restart": {"policy": "sometimes"}},
        {"id": "a", "command": ["ls"], "probes": {"readiness": {"httpGet": "/", "periodSecond": 1}}},
        {"id": "a", "command": ["ls"], "env": {"A": ["list"]}},
    ],
)
def test_what_the_node_refuses_for_its_shape_the_schema_refuses(document: Any) -> None:
    assert parse_manifest(document)[0] is None
    assert not VALIDATOR.is_valid(document)


@pytest.mark.parametrize(
    "document",
    [
        {"id": "a", "command": ["sleep", 1.5], "env": {"V": 1.10, "T": True}, "exports": ["example.com/a"]},
        {"id": "a", "image": "nginx:1.27", "resources": {"memory": "256Mi"}, "stop": {"gracePeriod": 5}},
        {"id": "a", "command": ["x"], "probes": {"readiness": {"httpGet": "/health"}, "liveness": None}},
        [{"id": "a", "command": ["x"], "nodes": ["pi", {"label": "kitchen"}]}],
        {"services": [{"id": "a", "command": ["x"], "restart": {"initialDelay": "100ms"}}]},
    ],
)
def test_short_forms_are_in_the_schema(document: Any) -> None:
    assert VALIDATOR.is_valid(document)
