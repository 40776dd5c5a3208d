"""Files into manifests, and mistakes into sentences that name file, line and key."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from manifests.documents.parse import parse_file, parse_manifest
from manifests.documents.text import MAX_BYTES

GOOD = "id: notes\nsource: ./notes\n"


def problems(text: str, suffix: str = ".yaml") -> list[str]:
    parsed = parse_file(text, f"f{suffix}", suffix)
    assert bool(parsed.manifests) != bool(parsed.problems)
    return [str(problem) for problem in parsed.problems]


def ids(text: str, suffix: str = ".yaml") -> list[str]:
    parsed = parse_file(text, f"f{suffix}", suffix)
    assert parsed.problems == ()
    return [manifest.id for manifest in parsed.manifests]


def test_each_language_says_the_same() -> None:
    as_yaml = (
        "id: a\nsource: .\nprobes: {liveness: {httpGet: /live, periodSeconds: 3}}\nenv: {N: 1, B: true}\n"
    )
    as_toml = (
        "id = 'a'\nsource = '.'\nenv = {N = 1, B = true}\n"
        "[probes.liveness]\nhttpGet = '/live'\nperiodSeconds = 3"
    )
    as_json = json.dumps(yaml.safe_load(as_yaml))
    one, two, three = (
        parse_file(text, "f", suffix).manifests
        for text, suffix in ((as_yaml, ".yaml"), (as_toml, ".toml"), (as_json, ".json"))
    )
    assert one == two == three
    assert one[0].env == {"N": "1", "B": "true"}


def test_several_services_in_a_file() -> None:
    assert ids(f"---\n{GOOD}---\n---\nid: b\nsource: .\n...\n", ".yml") == ["notes", "b"]
    assert ids("[[services]]\nid='a'\nsource='.'\n[[services]]\nid='b'\nsource='.'", ".toml") == ["a", "b"]
    assert ids('[{"id":"a","source":"."},{"id":"b","source":"."}]', ".json") == ["a", "b"]


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".yaml", ""),
        (".yaml", "# nothing\n"),
        (".yaml", "---\n---\n"),
        (".toml", ""),
        (".toml", "services = []"),
        (".json", ""),
        (".json", "null"),
        (".json", "[]"),
    ],
)
def test_a_file_without_a_service_is_a_mistake(suffix: str, text: str) -> None:
    assert problems(text, suffix) == [
        f"f{suffix}: the file declares no service (delete the file to remove its services)"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id: [1", "f.yaml:2: this is not valid YAML: did not find expected ',' or ']'"),
        ("id: a\n\tsource: b", "f.yaml:2: this is not valid YAML: a line begins with a tab"),
        ("id: a: b", "f.yaml:1: this is not valid YAML: a second `: ` on this line"),
        ("id: a\nsource: 'x\n", "a quote is never closed"),
        ("id: a\nsource: \x00", "f.yaml:2: this is not valid YAML: control characters are not allowed"),
        ("id: a\nsource: .\nid: b", "f.yaml:3: id: this key stands there twice"),
        ("id: a\nenv:\n  A: 1\n  A: 2\nsource: .", "f.yaml:4: A: this key stands there twice"),
        ("id: a\nsource: *x", "found undefined alias"),
        (
            "id: !!python/name:os.system x",
            "f.yaml:1: the tag tag:yaml.org,2002:python/name:os.system is not understood",
        ),
        ("id: !secret x", "f.yaml:1: the tag !secret is not understood (leave out what begins with !)"),
        ("- id: a", "f.yaml:1: a service is written as keys and values"),
        ("id: a\n---\n'", "f.yaml:3"),
    ],
)
def test_broken_yaml_names_the_line(text: str, expected: str) -> None:
    assert expected in problems(text)[0]


@pytest.mark.parametrize(
    ("text", "suffix", "expected"),
    [
        ("id = 'a'\nid = 'b'", ".toml", "f.toml:2: this is not valid TOML: cannot overwrite a value"),
        ("id = 'a'\nsource =", ".toml", "f.toml:2: this is not valid TOML: invalid value"),
        ("a = " + "[" * 100_000, ".toml", "f.toml: this is not valid TOML"),
        ('{"id": "a",\n}', ".json", "this is not valid JSON"),
        ('{"id": "a",\n"id": "b"}', ".json", "f.json:1: id: this key stands there twice"),
        ('{"id": "a", "replicas": NaN}', ".json", "is not a number"),
        ("[" * 100_000, ".json", "f.json: this is not valid JSON"),
        ("id: a", ".txt", "f.txt: .txt is no kind of manifest"),
    ],
)
def test_other_broken_files(text: str, suffix: str, expected: str) -> None:
    assert expected in problems(text, suffix)[0]


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("sorce: x", "f.yaml:3: sorce: unknown key (did you mean source?)"),
        ("depends-on: []", "f.yaml:3: depends-on: unknown key (did you mean dependsOn?)"),
        (
            "probes:\n  liveness:\n    httpGet: /\n    periodSecond: 3",
            "f.yaml:6: probes.liveness.periodSecond: unknown key (did you mean periodSeconds?)",
        ),
        (
            "probes: {readiness: {httpGet: /, timeoutSecond: 3}}",
            "f.yaml:3: probes.readiness.timeoutSecond: unknown key (did you mean timeoutSeconds?)",
        ),
        ("liveness: {}", "f.yaml:3: liveness: unknown key (did you mean probes.liveness?)"),
        ("qqq: 1", "f.yaml:3: qqq: unknown key (known keys are id, runtime, source,"),
        (
            "command: datasette serve",
            "f.yaml:3: command: it must be a list, not 'datasette serve' (write [datasette, serve])",
        ),
        ("command: []", "f.yaml:3: command: it cannot be empty"),
        ("port: abc", "f.yaml:3: port: it must be a whole number or 'auto', not 'abc'"),
        ("port: 70000", "f.yaml:3: port: it must be at most 65535 or 'auto', not 70000"),
        ("replicas: 1.5", "f.yaml:3: replicas: it must be a whole number, not 1.5"),
        ("env: {A: [1]}", "f.yaml:3: env.A: it must be text"),
        ("env: {1: [1]}", "f.yaml:3: env.1: it must be text"),
        (
            "env: {ATEK_HOST_PORT: 1}",
            "f.yaml:3: env.ATEK_HOST_PORT: names that begin with ATEK_ are the node's own",
        ),
        ("dependsOn: [db]", "f.yaml:3: dependsOn[0]: it must be a table of keys and values, not 'db'"),
        (
            "dependsOn:\n- condition: ready",
            "f.yaml:4: dependsOn[0].id: id is missing (every dependency needs it)",
        ),
        (
            "restart: {policy: sometimes}",
            "f.yaml:3: restart.policy: it must be 'always', 'onFailure' or 'never'",
        ),
        ("restart: {maxDelay: soon}", "f.yaml:3: restart.maxDelay: 'soon' is not a duration"),
        ("resources: {memory: 12x}", "f.yaml:3: resources.memory: '12x' is not a size"),
        ("resources: {cpu: 0}", "f.yaml:3: resources.cpu: it must be at least 0.001"),
        ("suspend: maybe", "f.yaml:3: suspend: it must be true or false, not 'maybe'"),
        ("probes: {readiness: foo}", "it must be a table of keys and values or 'none', not 'foo'"),
        (
            "probes: {liveness: {}}",
            "f.yaml:3: probes.liveness: a probe has exactly one of httpGet, tcpSocket, exec",
        ),
        ("1: x", "f.yaml:3: 1: a key has to be a word"),
        ("image: nginx", "image and source exclude each other"),
        ("runtime: node\nreadOnly: false", "readOnly is for containers; write runtime: docker"),
        (
            "exports: [{api: x, path: y}]",
            "f.yaml:3: exports[0].path: 'y' is not a path; write one that starts with / and has no spaces",
        ),
        (
            "allow: [a b]",
            "f.yaml:3: allow[0]: 'a b' is not an API's id; write at most 255 ASCII characters without spaces",
        ),
        (
            "sandbox: strict\negress: [example.com]",
            "f.yaml:4: egress[0]: 'example.com' is not a destination; write a host and a port",
        ),
        ("update: {drainTimeout: soon}", "f.yaml:3: update.drainTimeout: 'soon' is not a duration"),
    ],
)
def test_a_mistake_names_line_key_and_remedy(added: str, expected: str) -> None:
    found = problems(GOOD + added)
    assert len(found) == 1
    assert expected in found[0]
    assert "pydantic" not in found[0] and "Input" not in found[0]


def test_what_this_version_lacks_is_told_key_by_key_beside_the_rest() -> None:
    drive = f"hyper://{'0' * 64}?version=2"
    found = problems(f"id: a\nsource: {drive}\nrestart: {{maxDelay: soon}}")
    assert found[0].startswith("f.yaml:2: source:")
    assert "packages on drives in files" in found[0]
    assert "f.yaml:3: restart.maxDelay" in found[1] and len(found) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("source: .", "f.yaml:1: id: id is missing (every service needs it)"),
        ("id: [12]\nsource: .", "f.yaml:1: id: it must be text, not a list"),
        ("id: My_App\nsource: .", "f.yaml:1: id: 'My_App' is not an id; write small letters"),
        ("id: a", "f.yaml:1: a service needs a source (its package folder) or a command"),
        (
            "id: a\nsource: https://me:x@github.com/x/y",
            "f.yaml:2: source: a URL here has no password and no token",
        ),
        ("id: a\nimage: nginx\nruntime: node", "an image is run by the docker runtime, not by node"),
        ("id: a\nruntime: docker\ncommand: [x]", "a container needs an image, or a source with a Dockerfile"),
        ("id: a\nimage: Nginx!", "f.yaml:2: image: 'Nginx!' is not an image; write one like nginx:1.27"),
        ("id: a\nimage: x\npublish: [[80]]", "f.yaml:3: publish[0]: it must be text"),
        (
            "id: a\nimage: x\npublish: ['80']",
            "f.yaml:3: publish[0]: '80' is not a published port; write one like",
        ),
        (
            "id: a\nimage: x\npublish: ['1:70000']",
            "f.yaml:3: publish[0]: '1:70000' is not a published port; write ports",
        ),
        ("id: a\nimage: x\nvolumes: [a]", "f.yaml:3: volumes[0]: 'a' is not a volume; write one like"),
        (
            "id: a\nimage: x\nvolumes: ['../a:/b']",
            "f.yaml:3: volumes[0]: '../a:/b' is not a volume; write its paths without ..",
        ),
        (
            "id: a\nimage: x\nvolumes: ['.a:/b']",
            "f.yaml:3: volumes[0]: '.a:/b' is not a volume; write a folder of the service's data",
        ),
        (
            "id: a\nimage: x\ncapabilities: [all]",
            "f.yaml:3: capabilities[0]: 'ALL' is not a capability; write each",
        ),
        ("id: a\nimage: x\nisolation: '-x'", "f.yaml:3: isolation: '-x' is not an OCI runtime"),
        ("id: a\nimage: x\nnetwork: none\nport: 80", "with network: none nobody reaches a port"),
        ("id: a\nimage: x\nnetwork: host\npublish: ['1:1']", "every port is this machine's already"),
        ("id: a\nimage: x\nnetwork: host\negress: true", "egress is for network: bridge"),
        ("id: a\nimage: x\npublish: ['1:1']\nreplicas: 2", "2 replicas cannot share port 1"),
        ("id: a\nsource: .\ndependsOn: [{id: a}]", "a service cannot depend on itself"),
    ],
)
def test_whole_manifests(text: str, expected: str) -> None:
    assert expected in problems(text)[0]


def test_lines_in_toml_and_json() -> None:
    toml = "[[services]]\nid='x'\nsource='.'\n[[services]]\nid='y'\nsource='.'\n"
    assert problems(toml + "[services.probes.readiness]\nhttpGt='/'", ".toml") == [
        "f.toml:8: probes.readiness.httpGt: unknown key (did you mean httpGet?)"
    ]
    assert problems('[\n{"id":"x","source":"."},\n{"id":"y",\n"sorce":"."}]', ".json") == [
        "f.json:4: sorce: unknown key (did you mean source?)"
    ]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    found = parse_file(
        "id: a\nreplicas: x\nsource: .\n---\nid: b\nsuspend: 7\nsorce: .", "f.yaml", ".yaml"
    ).problems
    assert [(problem.line, problem.service) for problem in found] == [(2, "a"), (6, "b"), (7, "b")]


def test_all_mistakes_of_a_service_are_told() -> None:
    text = "id: a\nsource: .\nenv:\n  ATEK_X: 1\n  A B: 2\n  C: [3]\nsandbox: stricter\nreplicas: x\n"
    assert [each.split(": ")[1] for each in problems(text)] == [
        "env.ATEK_X", "env.A B", "env.C", "sandbox", "replicas",
    ]  # fmt: skip
    (both,) = problems("id: a\ndependsOn: [{id: a}]")
    assert "a service needs a source" in both and "a service cannot depend on itself" in both


def test_a_broken_document_breaks_its_file() -> None:
    parsed = parse_file(f"{GOOD}---\nid: b\nsorce: .\n", "f.yaml", ".yaml")
    assert parsed.manifests == ()


def test_words_stay_words() -> None:
    """YAML 1.1 would read a boolean, a number of minutes, an octal number and a date."""
    text = f"{GOOD}env: {{A: on, B: 12:30, C: 010, D: 2024-01-01, E: no, F: 0x10, G: ~x, H: 1e3}}"
    env = parse_file(text, "f.yaml", ".yaml").manifests[0].env
    assert env == {
        "A": "on", "B": "12:30", "C": "010", "D": "2024-01-01", "E": "no", "F": "0x10", "G": "~x", "H": "1e3",
    }  # fmt: skip


def test_references_work_and_merge() -> None:
    text = "id: a\nsource: .\nenv: &e {A: 1, B: 2}\n---\nid: b\nsource: .\nenv: {<<: {A: 1, C: 3}, A: 9}\n"
    assert [manifest.env for manifest in parse_file(text, "f", ".yaml").manifests] == [
        {"A": "1", "B": "2"},
        {"A": "9", "C": "3"},
    ]


@pytest.mark.parametrize("merge", [False, True])
def test_a_bomb_of_references_is_refused_quickly(merge: bool) -> None:
    levels = ["a0: &a0 {k: v}\n"]
    for level in range(1, 30):
        parts = ", ".join([f"*a{level - 1}"] * 9)
        levels.append(
            f"a{level}: &a{level} {{<<: [{parts}]}}\n" if merge else f"a{level}: &a{level} [{parts}]\n"
        )
    before = time.process_time()
    assert "too many values" in problems("".join(levels))[0]
    assert time.process_time() - before < 5


def test_deep_nesting_and_circles_are_refused() -> None:
    for text in ("id: " + "[" * 100_000, "id: " + "[" * 500 + "]" * 500, "id: &a [*a]", "- " * 5000 + "x"):
        assert "deep" in problems(text)[0] or "depth" in problems(text)[0]


_WITHOUT_LIBYAML = """
import sys
sys.modules["yaml.cyaml"] = None
from manifests.documents.parse import parse_file
for text in ("id: a\\nsource: .\\nenv: {A: on, B: 1}", "id: a\\nsource: .\\nsorce: .", "id: [",
             "id: !x 1", "id: " + "[" * 5000, "id: \\x00"):
    parsed = parse_file(text, "f", ".yaml")
    print(*(manifest.env for manifest in parsed.manifests), *parsed.problems)
"""


def test_without_libyaml_everything_is_the_same() -> None:
    run = subprocess.run([sys.executable, "-c", _WITHOUT_LIBYAML], capture_output=True, text=True, check=True)
    good, unknown, broken, tagged, deep, unprintable = run.stdout.splitlines()
    assert good == "{'A': 'on', 'B': '1'}"
    assert unknown == "f:3: sorce: unknown key (did you mean source?)"
    assert "f:1: this is not valid YAML" in broken and "this is not valid YAML" in unprintable
    assert "the tag !x is not understood" in tagged and "levels deep" in deep


def test_a_large_file_is_refused() -> None:
    assert "larger than 1 MiB" in problems(GOOD + "#" * MAX_BYTES)[0]
    assert "larger than 1 MiB" in problems(GOOD + "#" + "é" * (MAX_BYTES // 2 + 1))[0]


def test_a_huge_number_is_a_mistake_like_any_other() -> None:
    assert "replicas" in problems(f"{GOOD}replicas: {'9' * 50_000}")[0]


def test_secrets_in_an_environment_are_not_repeated() -> None:
    assert "hunter2" not in str(problems(GOOD + "env: TOKEN=hunter2"))


@given(st.text(max_size=200), st.sampled_from([".yaml", ".toml", ".json"]))
def test_any_text_is_read_or_explained(text: str, suffix: str) -> None:
    parsed = parse_file(text, "f", suffix)
    assert bool(parsed.manifests) != bool(parsed.problems)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = [
    "id",
    "source",
    "command",
    "port",
    "env",
    "dependsOn",
    "probes",
    "restart",
    "stop",
    "resources",
    "exports",
]


@given(st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=8) | st.integers(), _VALUES, max_size=6))
def test_any_value_is_a_manifest_or_explained(document: dict[Any, Any]) -> None:
    manifest, wrong = parse_manifest(document, "f")
    assert (manifest is None) == bool(wrong)
    assert not any("validation" in problem.message for problem in wrong)


# Including what almost looks like a number, a date or a truth value.
_WORDS = st.text(min_size=1, max_size=12) | st.text("0179.xeE+-_:oabntrufls~", min_size=1, max_size=8)


@given(st.dictionaries(_WORDS, _WORDS, max_size=4))
def test_yaml_that_pyyaml_writes_is_read_back(mapping: dict[str, str]) -> None:
    """Quoted by the writer wherever a reader might take it for something else."""
    from manifests.documents.yaml_text import read_yaml

    # The one exception: PyYAML's YAML 1.1 knows no signed numbers without a digit before the point.
    assume(not any(word[1:2] == "." for pair in mapping.items() for word in pair if word[0] in "+-"))
    text = yaml.safe_dump(mapping)
    assert read_yaml(text)[0].value == mapping
