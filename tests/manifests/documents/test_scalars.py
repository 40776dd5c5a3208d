"""What was written is what arrives, in each language of files, wherever a manifest has text."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.documents.parse import parse_file, parse_manifest
from manifests.documents.scalars import Scalar, coerce, plain
from manifests.documents.toml_text import spelled_toml
from manifests.model.manifest import Manifest

#: As they are written, in the languages where they are numbers, truths or dates.
YAML = [
    "1.10",
    "0x1F",
    "+49123",
    "-0",
    ".5",
    "5.",
    "007",
    "1e3",
    "True",
    "false",
    "FALSE",
    "2024-01-01",
    "12:30",
    "1_0",
]
TOML = [
    "1.10",
    "0x1F",
    "+49123",
    "0b101",
    "1e3",
    "1_000",
    "inf",
    "true",
    "1979-05-27",
    "1979-05-27 07:32:00Z",
    "07:32:00",
]
JSON = ["1.10", "1e3", "-0.0", "123456789012345678901234567890", "true"]


def env_of(text: str, suffix: str) -> dict[str, str]:
    parsed = parse_file(text, f"f{suffix}", suffix)
    assert parsed.problems == ()
    return parsed.manifests[0].env


@pytest.mark.parametrize("value", YAML)
def test_yaml(value: str) -> None:
    text = f"id: a\nsource: .\nenv: {{V: {value}}}\ncommand: [x, {value}]\n"
    text += f"probes: {{liveness: {{exec: {{command: [{value}]}}}}}}\n"
    manifest = parse_file(text, "f.yaml", ".yaml").manifests[0]
    assert manifest.env == {"V": value}
    assert manifest.command == ("x", value)
    assert manifest.probes.liveness and manifest.probes.liveness.exec
    assert manifest.probes.liveness.exec.command == (value,)


@pytest.mark.parametrize("value", TOML)
def test_toml(value: str) -> None:
    assert env_of(f"id = 'a'\nsource = '.'\nenv = {{ V = {value}, 'W' = {value} }} # = 1", ".toml") == {
        "V": value,
        "W": value,
    }
    assert env_of(f"id='a'\nsource='.'\nreplicas=2\n[env]\nV={value}\nX = '''\n= 7'''\n", ".toml") == {
        "V": value,
        "X": "= 7",
    }
    assert env_of(f"[[services]]\nid='a'\nsource='.'\n[services.env]\nV = {value}", ".toml") == {"V": value}
    command = (
        parse_file(f"id='a'\ncommand=['x', # 1\n {value},\n\n{value}]", "f.toml", ".toml")
        .manifests[0]
        .command
    )
    assert command == ("x", value, value)


@pytest.mark.parametrize("value", JSON)
def test_json(value: str) -> None:
    assert env_of(f'{{"id": "a", "source": ".", "replicas": 2, "env": {{"V": {value}}}}}', ".json") == {
        "V": value
    }


def test_images_labels_arguments_and_merged_tables() -> None:
    text = "id: a\nimage: 1.10\nlabels: {v: 1.10}\nenv: {<<: {A: 1.10}, B: 0x1F}\n"
    text += "resources: {cpu: 0.50}\nport: 0x50\n"
    manifest = parse_file(text, "f.yaml", ".yaml").manifests[0]
    assert (manifest.image, manifest.labels) == ("1.10", {"v": "1.10"})
    assert manifest.env == {"A": "1.10", "B": "0x1F"}
    assert (manifest.resources.cpu, manifest.port) == (0.5, 80)


def test_values_without_a_spelling_have_their_usual_one() -> None:
    """A record, or a call."""
    manifest, _ = parse_manifest({"id": "a", "source": ".", "env": {"A": 1, "B": 1.5, "C": True}})
    assert manifest and manifest.env == {"A": "1", "B": "1.5", "C": "true"}


def test_nothing_written_is_left_over() -> None:
    text = '{"id": 7, "x": [1, {"y": 2.0}], "port": 80, '
    text += '"env": {"a": [1]}, "probes": {"readiness": 3}, "nodes": [1]}'
    coerced = coerce(_documents(text), Manifest)
    assert coerced == {
        "id": "7",
        "x": [1, {"y": 2.0}],
        "port": 80,
        "env": {"a": [1]},
        "probes": {"readiness": 3},
        "nodes": ["1"],
    }
    assert "Scalar" not in repr(coerced)


def _documents(text: str) -> Any:
    def scalar(kind: Any) -> Any:
        return lambda word: Scalar(kind(word), word)

    return json.loads(text, parse_int=scalar(int), parse_float=scalar(float))


_WORDS = st.sampled_from(
    [*TOML, "'#'", '"= 1"', '"\\""', "'''\n]'''", '"""[ "" \\""""', '""""1"""""', "[]", "{}"]
)
_ARRAYS = st.lists(_WORDS, max_size=4).map(
    lambda words: f"[\n# [1, 2\n{', # }'.join([*words, ''])}]".replace(", # }", ",\n")
)
_TABLES = st.lists(_WORDS, max_size=3).map(
    lambda words: "{" + ", ".join(f"k{index}.'1' = {word}" for index, word in enumerate(words)) + "}"
)
_LINES = st.lists(st.one_of(_WORDS, _ARRAYS, _TABLES), max_size=6)


@given(_LINES, _LINES)
def test_toml_is_understood_as_tomllib_does(first: list[str], second: list[str]) -> None:
    lines = [f"1.{index} = {value} # 5 = [" for index, value in enumerate(first)]
    lines += ["[[1979-05-27.x]]", *(f'"=" . a{index}={value}' for index, value in enumerate(second))]
    text = "\n".join(lines)
    spelled = spelled_toml(text)
    assert repr(plain(spelled)) == repr(tomllib.loads(text))
