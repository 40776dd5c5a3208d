"""YAML in and out: comments keep their places, and values what they are."""

from __future__ import annotations

from typing import Any

import pytest

from manifests.sops.document import emit, load
from manifests.sops.trouble import SopsTrouble
from manifests.sops.yaml_store import load as load_yaml
from manifests.sops.yaml_store import plain

_AS_WRITTEN = """\
# head
a: |
    text # none
    more
# above b
b:
    # in b
    c: 1
    d: "x # y"
    # the end of b
# above e
e:
    # in e
    - 1
    - k: v
      l: w
    # in the list
    - - 1
      - 2
    -
      # in the item
      m: o
# the end
"""


def test_what_it_writes_it_reads_again() -> None:
    assert emit("yaml", load("yaml", _AS_WRITTEN.encode())).decode() == _AS_WRITTEN


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: 1 # why\n", "# why\na: 1\n"),
        ("a: # why\n  b: 1\n", "# why\na:\n    b: 1\n"),
        ("a: [1, # one\n 2]\n", "a:\n    # one\n    - 1\n    - 2\n"),
        ("a: {b: 1} # x\n", "a:\n    # x\n    b: 1\n"),
        ("a: x#y\n", 'a: "x#y"\n'),
        ("a: 'x # y'\n", 'a: "x # y"\n'),
        ("a: >\n  folded # none\n  text\n# real\nb: 1\n", "a: |\n    folded # none text\n# real\nb: 1\n"),
        ("a:\n  # in an empty one\nb: 1\n", "a: null\n# in an empty one\nb: 1\n"),
        ("# one\na: 1\n---\n# two\nb: 2\n# end\n", "# one\na: 1\n---\n# two\nb: 2\n# end\n"),
        (
            "x: &a {k: 1}\ny: *a\nz: {<<: *a, l: 2}\n",
            "x:\n    k: 1\n'y':\n    k: 1\nz:\n    l: 2\n    k: 1\n",
        ),
    ],
)
def test_comments_and_references(text: str, wanted: str) -> None:
    found = emit("yaml", load("yaml", text.encode())).decode()
    assert found.replace('"y":', "'y':") == wanted
    assert emit("yaml", load("yaml", found.encode())).decode() == found


@pytest.mark.parametrize(
    ("text", "written", "elsewhere"),
    [
        ("1", 1, 1), ("-1", -1, -1), ("0", 0, 0), ("+1", "+1", 1), ("0123", "0123", 83), ("08", "08", 8.0),
        ("0o17", "0o17", 15), ("0x1F", "0x1F", 31), ("1_000", "1_000", 1000), ("1.5", 1.5, 1.5),
        ("1.50", "1.50", 1.5), ("1e3", "1e3", 1e3), (".5", ".5", 0.5), ("1.", "1.", 1.0), ("1.0", "1.0", 1.0),
        ("true", True, True), ("True", "True", True), ("yes", "yes", "yes"), ("on", "on", "on"),
        ("null", None, None), ("~", None, None), ("Null", "Null", None), ("2026-1-1", "2026-1-1", "2026-1-1"),
        (".inf", ".inf", float("inf")), ("12:30", "12:30", "12:30"), ("'1'", "1", "1"), ("!!str 1", "1", "1"),
        ("99999999999999999999999", "99999999999999999999999", 1e23),
        ("18446744073709551615", "18446744073709551615", 18446744073709551615),
    ],
)  # fmt: skip
def test_a_person_s_value_is_what_is_written_and_another_program_s_what_it_means(
    text: str, written: Any, elsewhere: Any
) -> None:
    for is_written, wanted in ((True, written), (False, elsewhere)):
        found = plain(load_yaml(f"a: {text}\n", written=is_written)[0])["a"]
        assert (found, type(found)) == (wanted, type(wanted))


@pytest.mark.parametrize(
    "text",
    [
        "- 1\n",
        "a\n",
        "1: x\n",
        "? [a]\n: x\n",
        "a: 1\na: 2\n",
        "a: !x 1\n",
        "a: [",
        "a: *b\n",
        "a: {<<: 1}\n",
        "\tx",
    ],
)
def test_what_no_such_file_can_be_is_refused(text: str) -> None:
    with pytest.raises(SopsTrouble) as caught:
        load("yaml", text.encode())
    assert caught.value.reason == "BrokenFile"


def test_a_comment_that_was_encrypted_cannot_bring_keys_in() -> None:
    from manifests.sops.tree import Branch, Comment, Item

    text = emit("yaml", [Branch([Comment("x\nevil: 1\r\u2028y: 2"), Item("a", 1)])])
    assert plain(load("yaml", text)[0]) == {"a": 1}
