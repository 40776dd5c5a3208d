"""TOML of strangers takes no more memory than a text of its size."""

from __future__ import annotations

import tomllib
import tracemalloc
from datetime import date
from unittest.mock import patch

import pytest

from manifests.documents.document import BrokenText
from manifests.documents.text import read_documents
from manifests.documents.toml_text import MOST_PARTS, load_toml, spelled_toml

LONG = 20_000


@pytest.mark.parametrize(
    "key",
    [
        "a" + ".a" * LONG,
        "a" + " . a" * LONG,
        '"a"' + '."a\\""' * LONG,
        "'a'" + ".'a'" * LONG,
        "a" + '\t.\t""' * LONG,
        "a" + ".''.\"\"" * LONG,
    ],
    ids=["bare", "spaces", "quotes", "literal", "empty", "both empty"],
)
@pytest.mark.parametrize("form", ["{} = 1", "[{}]", "[[{}]]", "x = {{{} = 1}}", "x = [{{y = 1, {} = 2}}]"])
def test_a_key_has_so_many_parts_and_no_more(key: str, form: str) -> None:
    tracemalloc.start()
    with pytest.raises(tomllib.TOMLDecodeError, match=f"more than {MOST_PARTS} parts"):
        load_toml("id = 'x'\n" + form.format(key))
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()
    with pytest.raises(BrokenText) as caught:
        read_documents("id = 'x'\n" + form.format(key), ".toml")
    assert caught.value.line == 2


@pytest.mark.parametrize(
    "text",
    [
        ".".join("a" * MOST_PARTS) + " = 1",
        "x = '" + "It is so. " * LONG + "'",
        "x = [" + '"a.b",' * LONG + "]",
        "x = " + "1" * 4000,
        "'' = \"a'.'\"",
    ],
    ids=["short", "prose", "list", "number", "quotes"],
)
def test_everything_else_is_what_tomllib_says(text: str) -> None:
    assert load_toml(text) == tomllib.loads(text)


@pytest.mark.parametrize("piece", ["a", "a.", ".", "'", '"', "\\", "a ", '".', "'.'", '"\\"', "[", "{a="])
def test_no_text_takes_long_to_be_looked_at(piece: str) -> None:
    """That this test ends: what takes the square of a text's length would not."""
    with pytest.raises((ValueError, RecursionError)):
        load_toml(piece * (500_000 // len(piece)))


@pytest.mark.parametrize("count", [3, 20_000])
def test_however_many_numbers_there_are_a_text_is_read_three_times(count: int) -> None:
    numbers = [f"{number:#x}" for number in range(count)]
    with patch("manifests.documents.toml_text.tomllib.loads", wraps=tomllib.loads) as loads:
        spelled = spelled_toml(f"x = [{', '.join(numbers)}, 1979-05-27, 0x1]")["x"]
    assert [(each.value, each.text) for each in spelled[:count]] == list(enumerate(numbers))
    assert [each.value for each in spelled[count:]] == [date(1979, 5, 27), 1]
    assert loads.call_count == 3


def test_a_text_without_numbers_is_read_once() -> None:
    with patch("manifests.documents.toml_text.tomllib.loads", wraps=tomllib.loads) as loads:
        assert spelled_toml("x = ['a', {y = \"1\"}]") == {"x": ["a", {"y": "1"}]}
    assert loads.call_count == 1
