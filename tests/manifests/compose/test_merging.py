"""What overrides a Compose file: the rules of the Compose Specification, and where mistakes are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.compose import is_override, read_compose
from manifests.compose.merging import Layer, Merged
from manifests.compose.names import OVERRIDES
from manifests.compose.values import Invalid
from manifests.documents.document import BrokenText, no_line
from manifests.documents.text import read_documents, read_tagged

if TYPE_CHECKING:
    from manifests.model.manifest import Manifest
    from manifests.model.snapshot import Problem

FOLDER = "/srv/home"
FILE, OVER = f"{FOLDER}/compose.yaml", f"{FOLDER}/compose.override.yaml"


def read(base: str, *over: str) -> tuple[tuple[Manifest, ...], tuple[Problem, ...]]:
    beside = dict(zip((OVER, f"{FOLDER}/docker-compose.override.yaml"), over, strict=False))
    return read_compose(base, FILE, FOLDER, beside.get)


def web(keys: str) -> str:
    return f"services:\n  web:\n    {keys}\n"


#: base, what overrides it, key of the manifest, what it is then.
RULES = {
    "a value": ("user: a", "user: b", "user", "b"),
    "nothing said": ("user: a", "user: ", "user", "a"),
    "a command": ("command: [a, b]", "command: [c]", "command", ["c"]),
    "an entrypoint": ("entrypoint: [a, b]", "entrypoint: c d", "entrypoint", ["c", "d"]),
    "the image's own command again": ("command: [a, b]", "command: ", "command", None),
    "environment": ("environment: {A: a, B: b}", "environment: {B: x, C: c}",
                    "env", {"A": "a", "B": "x", "C": "c"}),
    "environment, listed": ("environment: [A=a, B=b]", "environment: {B: x}", "env", {"A": "a", "B": "x"}),
    "environment, then listed": ("environment: {A: a}", "environment: [A=x, B]",
                                 "env", {"A": "x", "B": "of env"}),
    "labels": ("labels: [a=1]", "labels: {a: 2, b: 3}", "labels", {"a": "2", "b": "3"}),
    "ports": ('ports: ["80:80"]', 'ports: ["81:81"]', "publish", ["*:80:80", "*:81:81"]),
    "the same port, written otherwise": (
        'ports: ["80:80/tcp", "53:53/udp"]', "ports: [{target: 80, published: 80}]",
        "publish", ["*:80:80", "*:53:53/udp"],
    ),
    "volumes by their places": (
        'volumes: ["/a:/x", "/b:/y:ro"]', "volumes: [{type: bind, source: /c, target: /y}, /d:/z]",
        "volumes", ["/a:/x", "/c:/y", "/d:/z"],
    ),
    "capabilities": ("cap_add: [SYS_TIME]\n    cap_drop: [ALL]", "cap_add: [SYS_TIME, CHOWN]", "capabilities",
                     ["CHOWN", "SYS_TIME"]),
    "tables in tables": (
        "deploy: {resources: {limits: {memory: 1g, cpus: 1}}}", "deploy: {resources: {limits: {memory: 2g}}}",
        "resources", {"memory": 2**31, "cpu": 1.0},
    ),
    "a health check's test": (
        "healthcheck: {test: [CMD, a, b], retries: 7}", "healthcheck: {test: [CMD, c]}", "probes",
        {"readiness": {"exec": {"command": ["c"]}, "periodSeconds": 30.0, "timeoutSeconds": 30.0,
                       "failureThreshold": 7}},
    ),
    "a build that was only a folder": (
        "build: ./app", "build: {target: dev, args: [A=1]}", "build", {"target": "dev", "args": {"A": "1"}},
    ),
    "arguments of a build": (
        "build: {context: ., args: [A=1, B=1]}", "build: {args: {B: 2}}",
        "build", {"args": {"A": "1", "B": "2"}},
    ),
    "networks": ("networks: [default]", "networks: {default: {aliases: [b]}}", "project",
                 {"name": "home", "aliases": ["b", "web"]}),
    "reset": ("user: a", "user: !reset null", "user", None),
    "a reset list": ('volumes: ["/a:/x"]', "volumes: !reset []", "volumes", None),
    "overridden as a whole": ("environment: {A: a}", "environment: !override {B: b}", "env", {"B": "b"}),
    "an overridden word": ("user: '1'", "user: !override '2'", "user", "2"),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_rules(name: str) -> None:
    base, over, key, expected = RULES[name]
    manifests, problems = read_compose(
        web(base if "build" in base else f"image: app\n    {base}"),
        FILE,
        FOLDER,
        {OVER: web(over), f"{FOLDER}/.env": "B=of env\n"}.get,
    )
    assert problems == ()
    found = manifests[0].model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert found.get(key) == expected


def test_services_come_and_go_and_depend_on_each_other() -> None:
    base = "name: shop\nservices:\n  web: {image: a, depends_on: [db]}\n  db: {image: b}\n  old: {image: c}\n"
    over = "services:\n  web: {depends_on: {mail: {condition: service_healthy}}}\n"
    over += "  mail: {image: m}\n  old: !reset\n"
    manifests, problems = read(base, over)
    assert problems == ()
    assert [each.id for each in manifests] == ["shop-web", "shop-db", "shop-mail"]
    assert [(each.id, each.condition) for each in manifests[0].depends_on] == [
        ("shop-db", "started"),
        ("shop-mail", "ready"),
    ]


def test_secrets_lead_to_one_place_once() -> None:
    base = "secrets: {a: {file: a}, b: {file: b}}\n" + web("image: app\n    secrets: [a]")
    over = web("secrets: [{source: b, target: a}]")
    ((found,), problems) = read(base, over)
    assert problems == ()
    assert [(each.file, each.target) for each in found.secrets.values()] == [("b", "/run/secrets/a")]


def test_variables_count_in_both() -> None:
    manifests, _ = read_compose(
        web("image: app:${TAG}"), FILE, FOLDER, {OVER: web("user: ${TAG}"), f"{FOLDER}/.env": "TAG=7"}.get
    )
    assert (manifests[0].image, manifests[0].user) == ("app:7", "7")


#: base, what overrides it: which file, line and key are told.
WRONG = {
    "in the first": (web("image: a\n    links: [b]"), web("user: b"), (FILE, 4, "services.web.links")),
    "in the second": (web("image: a"), web("user: b\n    links: [b]"), (OVER, 4, "services.web.links")),
    "a port of the first": (
        web("image: a\n    ports:\n      - nine"), web("ports:\n      - 80:80"),
        (FILE, 5, "services.web.ports[0]"),
    ),
    "a port of the second": (
        web("image: a\n    ports:\n      - 80:80"), web("user: a\n    ports:\n      - 81:81\n      - nine"),
        (OVER, 6, "services.web.ports[2]"),
    ),
    "a variable of the second": (web("image: a"), web("image: $NONE"), (OVER, 3, "services.web.image")),
    "a variable that is listed": (
        web("image: a\n    environment: {A: a}"), web("environment:\n      - B=${C?why}"),
        (OVER, 4, "services.web.environment[0]"),
    ),
    "another kind": (
        web("image: a\n    volumes: [a:/a]"), web("volumes: {a: b}"), (OVER, 3, "services.web.volumes"),
    ),
    "no YAML": (web("image: a"), "services: [", (OVER, 2, "")),
    "a tag in a list": (
        web("image: a"), web("volumes:\n      - !reset a:/b"), (OVER, 4, "services.web.volumes[0]"),
    ),
    "another tag": (web("image: a"), web("image: !new b"), (OVER, 3, "")),
    "no table": (web("image: a"), "- a\n", (OVER, None, "")),
    "nothing": (web("image: a"), "# nothing\n", (OVER, None, "")),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_told_where_they_are(name: str) -> None:
    base, over, told = WRONG[name]
    manifests, (problem,) = read(base, over)
    assert manifests == () and (problem.file, problem.line, problem.key) == told


def test_the_first_name_counts_and_a_manifest_is_none() -> None:
    for name in OVERRIDES:
        assert is_override(f"/a/{name}", "services: {}")
        assert not is_override(f"/a/{name}", "id: compose.override\n")
    assert not is_override("/a/compose.yaml", "services: {}")
    manifests, _ = read(web("image: a"), web("image: b"), web("image: c"))
    assert manifests[0].image == "b"


def test_documents_of_one_file_are_merged_too() -> None:
    manifests, _ = read(web("image: a") + "---\n" + web("user: b") + "---\n", web("image: c"))
    assert (manifests[0].image, manifests[0].user) == ("c", "b")


def test_tags_are_only_for_compose() -> None:
    with pytest.raises(BrokenText):
        read_documents("a: !reset b", ".yaml")
    (document,) = read_tagged("a: {b: !reset 1}\nc: [!reset {d: 2}]", frozenset({"!reset"}))
    assert document.value == {"a": {"b": 1}, "c": [{"d": 2}]}
    assert document.tags == {("a", "b"): "!reset", ("c", 0): "!reset"}


_KEYS = st.sampled_from(["image", "environment", "ports", "volumes", "build", "labels", "x", "services"])
_TEXTS = st.sampled_from(["a", "a:/b", "80:80", "A=1", ""])
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | _TEXTS | st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)
_SERVICES = st.dictionaries(
    st.sampled_from(["web", "db"]), st.dictionaries(_KEYS, _VALUES, max_size=4), max_size=2
)


def _layers(*values: dict[str, Any]) -> list[Layer]:
    return [Layer(str(number), {"services": each}, no_line, {}) for number, each in enumerate(values)]


@given(_SERVICES)
def test_one_document_is_what_it_was(services: dict[str, Any]) -> None:
    assert Merged(_layers(services)).value == {"services": services}
    assert Merged(_layers(services, {})).value == {"services": services}


@given(st.lists(_SERVICES, min_size=1, max_size=3), st.data())
def test_whatever_is_written_is_merged_or_refused(layers: list[dict[str, Any]], data: st.DataObject) -> None:
    try:
        found = Merged(_layers(*layers))
    except Invalid:
        return
    assert found.value["services"].keys() == {name for each in layers for name in each}
    path = ("services", *data.draw(st.lists(_TEXTS | _KEYS | st.integers(0, 3), max_size=3)))
    assert int(found.place(path)[0]) < len(layers)
