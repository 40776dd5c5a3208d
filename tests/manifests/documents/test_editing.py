"""One value of a file changed: in every language, and nothing besides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.documents.editing import edit
from manifests.documents.parse import parse_file

OLD, NEW = "nginx:1.2", "nginx:1.3@sha256:" + "0" * 64
RULE = "autoUpdate: {image: ^1}"

#: suffix, text; «» is what has to be another.
FILES = {
    "yaml": (
        ".yaml", f"# nginx:1.2 now\nid: web\nimage:   «»  # was nginx:1.2\n{RULE}\nenv: {{A: nginx:1.2}}\n",
    ),
    "quoted": (".yml", f"id: web\r\nimage: '«»'\r\n{RULE}\r\n"),
    "several": (
        ".yaml", f"id: a\nimage: nginx:1.2\n---\nimage: «»\nid: web\n{RULE}\n---\nid: b\nimage: nginx:1.2\n",
    ),
    "flow": (".yaml", '{id: web, image: "«»", autoUpdate: {image: "^1"}}'),
    "toml": (".toml", 'id = "web"\nimage = "«»" # nginx:1.2\n[autoUpdate]\nimage = "^1"\n'),
    "toml, several": (
        ".toml", '[[services]]\nid = "a"\nimage = "nginx:1.2"\n[[services]]\nid = "web"\nimage = \'«»\'\n'
        'autoUpdate = {image = "^1"}\n',
    ),
    "json": (
        ".json", '{"id": "web",\n "image": "«»", "autoUpdate": {"image": "^1"}, "env": {"A": "nginx:1.2"}}',
    ),
    "its beginning stands elsewhere": (".yaml", f"id: web\ncommand: [nginx:1.2.3]\nimage: «»\n{RULE}\n"),
}  # fmt: skip

#: What has no such value of its own.
NOT_THERE = {
    "one value for two": f"id: a\nimage: &i nginx:1.2\n---\nid: web\n{RULE}\n",
    "a reference": f"id: web\nenv: {{A: &i nginx:1.2}}\nimage: *i\n{RULE}\n",
    "escapes": f'id: web\nimage: "nginx\\x3a1.2"\n{RULE}\n',
    "broken": "id: web\nimage: nginx:1.2\nno: key\n",
    "another service": "id: a\nimage: nginx:1.2\n",
    "nothing": "",
}


def edited(text: str, suffix: str) -> str | None:
    return edit(text, lambda each: parse_file(each, "x", suffix).manifests, "web", "image", NEW)


@pytest.mark.parametrize("name", FILES)
def test_only_that_value_is_another(name: str) -> None:
    suffix, text = FILES[name]
    assert edited(text.replace("«»", OLD), suffix) == text.replace("«»", NEW)


@pytest.mark.parametrize("name", NOT_THERE)
def test_where_it_stands_for_more_nothing_is_changed(name: str) -> None:
    assert edited(NOT_THERE[name], ".yaml") is None


AROUND = ["# nginx:1.2", "env: {A: nginx:1.2}", "labels: {nginx: nginx:1.2}", ""]


@given(st.lists(st.sampled_from(AROUND), unique=True))
def test_whatever_stands_around_it(lines: list[str]) -> None:
    text = "\n".join(["id: web", *lines, "image: «»", RULE, *(each for each in lines if each[:1] == "#")])
    assert edited(text.replace("«»", OLD), ".yaml") == text.replace("«»", NEW)
