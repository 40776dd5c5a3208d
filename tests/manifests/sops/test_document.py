"""Whole files: what was sealed is opened as it was, and what was touched is not opened at all."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.sops.document import emit, is_sealed, load, read_sealed, seal_again, store_of
from manifests.sops.rules import Rule
from manifests.sops.tree import Branch, Comment, Item, find, walk
from manifests.sops.trouble import SopsTrouble
from manifests.sops.yaml_store import plain
from tests.manifests.sops.sealed import MODIFIED, opened, recipient, sealed

if TYPE_CHECKING:
    from manifests.sops.document import Opened, Store
    from manifests.sops.tree import Above, Scalar

_TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
_KEY = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
_NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False).map(
    lambda number: number + 0.0
)
_SCALAR = _TEXT | _NUMBERS | st.booleans() | st.none()
_VALUES = st.recursive(
    _SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEY, inner, max_size=4),
    max_leaves=12,
)
_FILES = st.dictionaries(_KEY.filter(lambda key: key not in ("sops", "<<")), _VALUES, max_size=6)

SAMPLES: dict[Store, str] = {
    "yaml": """\
# the reason
db:
  password: s3cret
  port: 5432
  plain_unencrypted: shown
list: [a, 1, true, 1.5]
empty: ''
""",
    "json": """{"db": {"password": "s3cret", "port": 5432, "plain_unencrypted": "shown"},
        "list": ["a", 1, true, null]}""",
    "dotenv": "# the reason\nPASSWORD=s3cret\nEMPTY=\nTWO=a\\nb\nPLAIN_unencrypted=shown\n",
    "ini": "top = 1\n[db]\n; the reason\npassword = s3cret\nplain_unencrypted = shown\n",
    "binary": "any bytes \x00",
}
STORES: list[Store] = ["yaml", "json", "dotenv", "ini", "binary"]


def _same(found: Any, wanted: Any) -> bool:
    """JSON has one kind of numbers; a truth is none."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(_same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    if isinstance(found, bool) is not isinstance(wanted, bool):
        return False
    if isinstance(wanted, int | float) and isinstance(found, int | float):
        found, wanted = float(found), float(wanted)
    return bool(found == wanted)


@settings(max_examples=80, deadline=None)
@given(document=_FILES)
def test_what_is_sealed_as_json_is_opened_as_it_was(document: dict[str, Any]) -> None:
    found = opened("json", sealed("json", json.dumps(document)))

    assert _same(plain(found.branches[0]), document)
    assert _same(json.loads(found.plain()), document)


@settings(max_examples=80, deadline=None)
@given(document=_FILES)
def test_what_is_sealed_as_yaml_is_opened_as_it_was(document: dict[str, Any]) -> None:
    before = load("json", json.dumps(document).encode())
    found = opened("yaml", sealed("yaml", emit("yaml", before)))

    assert _same(plain(found.branches[0]), plain(before[0]))
    # Another reader of YAML sees the same.
    assert _same(_texts(yaml.load(found.plain(), yaml.BaseLoader)), _texts(plain(before[0])))


_NAME = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
_LINE = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\x1c\x1d\x1e\x85\x0b\x0c\u2028\u2029"), max_size=30
)


@settings(max_examples=60, deadline=None)
@given(document=st.dictionaries(_NAME.filter(lambda name: not name.startswith("sops_")), _TEXT, max_size=5))
def test_what_is_sealed_as_lines_of_names_is_opened_as_it_was(document: dict[str, str]) -> None:
    """But for a backslash before an n, which is the end of a line in such a file."""
    branch = Branch([Item(name, text.replace("\\n", "")) for name, text in document.items()])
    found = opened("dotenv", sealed("dotenv", emit("dotenv", [branch])))

    assert plain(found.branches[0]) == {name: text.replace("\\n", "") for name, text in document.items()}


@settings(max_examples=60, deadline=None)
@given(document=st.dictionaries(_NAME, st.dictionaries(_NAME, _LINE, min_size=1, max_size=3), max_size=3))
def test_what_is_sealed_as_sections_is_opened_as_it_was(document: dict[str, dict[str, str]]) -> None:
    """But for what no quotes keep: three double ones in a text that has backquotes, too."""
    clean = {
        section: {name: text.replace("`", "").replace('"""', "") for name, text in entries.items()}
        for section, entries in document.items()
        if section not in ("sops", "DEFAULT")
    }
    branch = Branch([
        Item(section, Branch([Item(name, text) for name, text in entries.items()]))
        for section, entries in clean.items()
    ])  # fmt: skip
    found = plain(opened("ini", sealed("ini", emit("ini", [branch]))).branches[0])

    assert {section: entries for section, entries in found.items() if entries} == clean


def _texts(value: Any) -> Any:
    """As a reader sees it to whom everything is text; numbers are compared elsewhere."""
    if isinstance(value, dict):
        return {str(key): _texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    return value if isinstance(value, str) and not _is_number(value) else None


def _is_number(text: str) -> bool:
    return text in ("true", "false", "null") or re.fullmatch(r"-?[0-9.]+", text) is not None


@pytest.mark.parametrize("store", STORES)
def test_every_kind_of_file_comes_back(store: Store) -> None:
    data = sealed(store, SAMPLES[store])

    assert b"s3cret" not in data and b"any bytes" not in data and b"the reason" not in data
    assert is_sealed(data, store)
    assert opened(store, data).plain() == emit(store, load(store, SAMPLES[store].encode()))


@pytest.mark.parametrize("content", [b"", b"\xff\x00\xfe", bytes(range(256)), "ä\r\n".encode()])
def test_a_binary_file_keeps_every_byte(content: bytes) -> None:
    assert opened("binary", sealed("binary", content)).plain() == content


@pytest.mark.parametrize("store", STORES)
def test_every_recipient_can_open_it_and_nobody_else(store: Store) -> None:
    data = sealed(store, SAMPLES[store], recipient("one"), recipient("two"))

    assert opened(store, data, "one").plain() == opened(store, data, "two").plain()
    with pytest.raises(SopsTrouble) as caught:
        opened(store, data, "three")
    assert caught.value.reason == "NoIdentity"
    assert recipient("one") in caught.value.message and recipient("three") in caught.value.message
    assert "rotate --add" in caught.value.hint


@pytest.mark.parametrize("store", STORES)
def test_no_character_of_a_file_can_be_changed_unseen(store: Store) -> None:
    """In the whole of it but the armor, which may be damaged for one recipient only, and some spaces."""
    data = sealed(store, SAMPLES[store]).decode()
    whole = _values(opened(store, data.encode()))
    for at in range(len(data)):
        if (changed := _changed(data, at)) is None:
            continue
        try:
            found = _values(opened(store, changed.encode()))
        except SopsTrouble as trouble:
            assert "s3cret" not in str(trouble)
            continue
        assert found == whole, changed[max(0, at - 30) : at + 30]


def _changed(data: str, at: int) -> str | None:
    """Another character of the same kind, so that the file is still one."""
    old = data[at]
    if old.isalpha():
        new = "B" if old in "aA" else "a"
    elif old.isdigit():
        new = "1" if old == "0" else "0"
    else:
        return None
    return data[:at] + new + data[at + 1 :]


def _values(found: Opened) -> list[tuple[str, Scalar]]:
    """In order, with where they are. The MAC has no comments, and not the places of what is not encrypted."""
    values: list[tuple[str, Scalar]] = []

    def leaf(value: Scalar | Comment, path: tuple[str, ...], above: Above) -> Scalar | Comment:
        if not isinstance(value, Comment):
            hidden = value != "" and found.metadata.rule.encrypts(path, above, is_comment=False)
            values.append((".".join(path) if hidden else "", value))
        return value

    for branch in found.branches:
        walk(branch, leaf)
    return values


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: re.sub(r"password: ENC\[[^\]]*\]", "password: plain", t), "WrongTag"),
        (lambda t: re.sub(r"password: ENC\[[^\]]*\]", 'password: ""', t), "WrongMac"),
        (lambda t: re.sub(r" *password: ENC\[[^\]]*\]\n", "", t), "WrongMac"),
        (lambda t: t.replace("plain_unencrypted: shown", "plain_unencrypted: other"), "WrongMac"),
        (lambda t: t.replace("password: ", "passwd: "), "WrongTag"),
        (lambda t: "more_unencrypted: 1\n" + t, "WrongMac"),
        (lambda t: t.replace("type:int", "type:float"), None),
        (lambda t: re.sub(r"(\n    password: .*)(\n    port: .*)", r"\2\1", t), "WrongMac"),
        (lambda t: re.sub(r"mac: ENC\[[^\]]*\]", "mac: ''", t), "WrongMac"),
        (lambda t: t.replace(MODIFIED, "2026-11-30T12:00:01Z"), "WrongMac"),
        (lambda t: t.replace("unencrypted_suffix: _unencrypted", "encrypted_suffix: nothing"), "WrongMac"),
        (lambda t: t.replace("    version:", "    mac_only_encrypted: true\n    version:"), "WrongMac"),
    ],
)
def test_a_file_that_was_rewritten_is_refused(change: Any, reason: str | None) -> None:
    changed = change(sealed("yaml", SAMPLES["yaml"]).decode())
    if reason is None:
        # The type of a value is not part of anything that is verified: another program's format.
        assert find(opened("yaml", changed.encode()).branches[0], "db.port") == 5432
        return
    with pytest.raises(SopsTrouble) as caught:
        opened("yaml", changed.encode())
    assert caught.value.reason == reason
    assert "s3cret" not in str(caught.value)


def test_two_values_of_a_file_cannot_be_exchanged() -> None:
    data = sealed("yaml", "a: one\nb: two\n").decode()
    a, b = re.findall(r"ENC\[[^\]]*type:str\]", data)[:2]
    with pytest.raises(SopsTrouble, match="was changed"):
        opened("yaml", data.replace(a, "<>").replace(b, a).replace("<>", b).encode())


def test_the_mac_of_encrypted_values_alone_lets_the_others_change() -> None:
    data = sealed("yaml", SAMPLES["yaml"], mac_only_encrypted=True).decode()

    changed = data.replace("plain_unencrypted: shown", "plain_unencrypted: other")

    assert find(opened("yaml", changed.encode()).branches[0], "db.plain_unencrypted") == "other"
    with pytest.raises(SopsTrouble) as caught:
        opened("yaml", changed.replace("    mac_only_encrypted: true\n", "").encode())
    assert caught.value.reason == "WrongMac"


@pytest.mark.parametrize(
    ("rule", "encrypted"),
    [
        (Rule(), {"a", "b_secret", "t.x", "# c", "d", "# e", "f"}),
        (Rule("unencrypted_suffix", "_secret"), {"a", "t.x", "# c", "d", "# e", "f"}),
        (Rule("encrypted_suffix", "_secret"), {"b_secret"}),
        (Rule("encrypted_regex", "^(t|a)$"), {"a", "t.x"}),
        (Rule("unencrypted_regex", "^(t|a)$"), {"b_secret", "# c", "d", "# e", "f"}),
        (Rule("encrypted_comment_regex", "c"), {"d"}),
        (Rule("unencrypted_comment_regex", "^ c"), {"a", "b_secret", "t.x", "# e", "f"}),
    ],
)
def test_a_rule_says_what_is_encrypted(rule: Rule, encrypted: set[str]) -> None:
    text = "a: 1\nb_secret: 2\nt:\n    x: 3\n# c\nd: 4\n# e\nf: 5\n"
    data = sealed("yaml", text, rule=rule)
    shown = data.decode().partition("\nsops:")[0]

    lines = {
        "a": "a: 1",
        "b_secret": "b_secret: 2",
        "t.x": "x: 3",
        "# c": "# c",
        "d": "d: 4",
        "# e": "# e",
        "f": "f: 5",
    }
    assert {name for name, line in lines.items() if not re.search(rf"(?m)^\s*{line}$", shown)} == encrypted
    assert opened("yaml", data).plain().decode() == text
    assert read_sealed(data, "yaml")[1].rule == rule


def test_what_did_not_change_stays_as_it_was_written() -> None:
    before = sealed("yaml", "a: one\nb: two\nc: two\n")
    known = opened("yaml", before)

    after = seal_again(known, load("yaml", b"a: one\nb: three\nc: two\n"), "2026-12-01T00:00:00Z")

    old, new = before.decode().splitlines(), after.decode().splitlines()
    assert [old[0], old[2]] == [new[0], new[2]] and old[1] != new[1]
    assert opened("yaml", after).plain() == b"a: one\nb: three\nc: two\n"


@pytest.mark.parametrize(
    ("name", "store"),
    [("a.yaml", "yaml"), ("a.YML", "yaml"), ("a.json", "json"), (".env", "dotenv"), ("a.b.env", "dotenv"),
     ("a.ini", "ini"), ("tls.key", "binary"), ("a.env.txt", "binary")],
)  # fmt: skip
def test_the_end_of_a_name_says_what_kind_of_file_it_is(name: str, store: str) -> None:
    assert store_of(name) == store


@pytest.mark.parametrize(
    ("metadata", "reason", "words"),
    [
        ("pgp:\n    - fp: AB\n      enc: x", "NotSupported", "PGP"),
        ("kms:\n    - arn: x\n  gcp_kms:\n    - resource_id: y", "NotSupported", "AWS KMS and GCP KMS"),
        ("shamir_threshold: 2\n  key_groups:\n    - age: []", "NotSupported", "groups"),
        ("age: [1]", "BrokenFile", "recipients"),
        ("age: [{recipient: age1x, enc: x}]\n  lastmodified: never", "BrokenFile", "lastmodified"),
        ("age: [{recipient: age1x, enc: x}]\n  lastmodified: '2026-01-01T00:00:00Z'", "WrongMac", "MAC"),
    ],
)
def test_what_is_not_for_age_says_for_whom_it_is(metadata: str, reason: str, words: str) -> None:
    data = f"a: ENC[x]\nsops:\n  {metadata}\n".encode()
    with pytest.raises(SopsTrouble, match=words) as caught:
        opened("yaml", data)
    assert caught.value.reason == reason


def test_a_plain_file_is_none_of_these_and_a_sealed_one_is_not_sealed_twice() -> None:
    with pytest.raises(SopsTrouble) as caught:
        opened("yaml", b"a: 1\n")
    assert caught.value.reason == "NotEncrypted"
    assert not is_sealed(b"a: sops\n", "yaml")
    assert not is_sealed(b"sops: {", "yaml")
    for store in STORES[:4]:
        with pytest.raises(SopsTrouble) as caught:
            sealed(store, sealed(store, SAMPLES[store]))
        assert caught.value.reason == "AlreadyEncrypted"


def test_a_bomb_of_references_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 12)]
    with pytest.raises(SopsTrouble, match="too many"):
        load("yaml", "\n".join(lines).encode())
    with pytest.raises(SopsTrouble, match="too deep"):
        load("json", b'{"a":' + b"[" * 60 + b"]" * 60 + b"}")


def test_a_hostile_pattern_takes_no_time() -> None:
    rule = Rule("encrypted_regex", "(a*)*(a*)*(a*)*b")
    data = sealed("json", f'{{"{"a" * 3000}": 1}}', rule=rule)
    assert b": 1,\n" in data


def test_a_value_is_found_by_its_dotted_path() -> None:
    branch = load("yaml", b"a: {b: [x, {c: y}]}\na.b: z\nd.e: {f: w}\n")[0]

    assert [find(branch, path) for path in ("a.b.0", "a.b.1.c", "a.b", "d.e.f")] == ["x", "y", "z", "w"]
    for path in ("a.b.2", "a.c", "a.b.-1", "nothing", "d.e.f.g", ""):
        if path:
            with pytest.raises(SopsTrouble) as caught:
                find(branch, path)
            assert caught.value.reason == "KeyNotFound"
