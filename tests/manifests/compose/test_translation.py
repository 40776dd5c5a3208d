"""Compose files: what each becomes, what is refused and where, and what holds for all of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.compose import Around, is_compose, read_compose
from manifests.compose.env_file import read_variables
from manifests.compose.fields import TRANSLATORS
from manifests.compose.variables import Unusable, substitute
from tests.manifests.compose.compose_files import EXAMPLES

if TYPE_CHECKING:
    from manifests.model.manifest import Manifest
    from manifests.model.snapshot import Problem

FOLDER = "/srv/home"
FILE = f"{FOLDER}/compose.yaml"
BESIDE = {
    f"{FOLDER}/.env": "DB_PASSWORD=secret\nADMIN_TOKEN='a$b'\nexport TZ=Etc/UTC # here\nWEBPASSWORD=web\n",
    f"{FOLDER}/app.env": '# of the app\nLOG=info\nQUOTED="a b"\nALONE\n',
}


def read(text: str) -> tuple[tuple[Manifest, ...], tuple[Problem, ...]]:
    return read_compose(text, FILE, FOLDER, BESIDE.get)


def translated(text: str) -> dict[str, dict[str, Any]]:
    manifests, problems = read(text)
    assert problems == ()
    return {each.id: each.model_dump(mode="json", by_alias=True, exclude_defaults=True) for each in manifests}


def one(**keys: str) -> str:
    rest = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    return f"services:\n  web:\n    image: app\n{rest}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_people_use_at_home(name: str) -> None:
    example = EXAMPLES[name]
    found = translated(example.text)
    assert found.keys() == example.services.keys()
    for service, expected in example.services.items():
        assert {key: found[service].get(key) for key in expected} == expected


def test_a_service_is_as_free_as_compose_makes_it() -> None:
    ((web,), _) = read(one())
    assert (web.read_only, web.egress, web.network, web.user) == (False, True, "bridge", None)
    assert {"CHOWN", "SETUID", "NET_BIND_SERVICE"} <= set(web.capabilities)
    assert not {"SYS_ADMIN", "NET_ADMIN"} & set(web.capabilities)
    assert web.strategy == "recreate"


def test_it_calls_nobody_unless_its_file_grants_it() -> None:
    ((web,), _) = read(one())
    assert web.allow == ()
    ((web,), _) = read(one(**{"x-atek": "{allow: [example.com/tags, atek.cloud/adb-api]}"}))
    assert web.allow == ("example.com/tags", "atek.cloud/adb-api")
    for wrong, key in (("{alow: []}", "alow"), ("{allow: [{a: b}]}", "allow[0]"), ("[]", "")):
        _, (problem,) = read(one(**{"x-atek": wrong}))
        assert problem.key == f"services.web.x-atek{'.' if key else ''}{key}"


def test_health_of_an_image_counts_where_somebody_waits_for_it() -> None:
    front, back = read(EXAMPLES["health of the image"].text)[0]
    assert (front.probes.readiness, back.probes.readiness) == ("none", None)


def test_newer_images_by_themselves() -> None:
    ((web,), problems) = read(
        one(**{"x-atek": "{autoUpdate: {image: digest, schedule: 6h, writeBack: true}}"})
    )
    assert problems == () and web.auto_update is not None and web.allow == ()
    assert (web.auto_update.image, web.auto_update.write_back) == ("digest", True)
    for wrong in ("{image: ^^}", "{approve: never}", "[image]"):
        manifests, (problem,) = read(one(**{"x-atek": f"{{autoUpdate: {wrong}}}"}))
        assert manifests == () and problem.key.startswith("services.web.x-atek"), problem


REFUSED = {
    "privileged": ("true", "services.web.privileged"),
    "devices": ("[/dev/ttyUSB0]", "services.web.devices"),
    "logging": ("json-file", "services.web.logging"),
    "secrets": ("[a]", "services.web.secrets[0]"),
    "configs": ("[{source: a}]", "services.web.configs[0]"),
    "profiles": ("[a]", "services.web.profiles"),
    "ports": ('["80:80/icmp"]', "services.web.ports[0]"),
    "volumes": ('["nowhere:/data"]', "services.web.volumes[0]"),
    "network_mode": ("service:vpn", "services.web.network_mode"),
    "networks": ("[proxy]", "services.web.networks.proxy"),
    "environment": ("{A: [x]}", "services.web.environment.A"),
    "env_file": ("none.env", "services.web.env_file[0]"),
    "depends_on": ("{x: {condition: service_finished}}", "services.web.depends_on.x.condition"),
    "deploy": (
        "{resources: {reservations: {devices: []}}}",
        "services.web.deploy.resources.reservations.devices",
    ),
    "restart": ("on-failure:often", "services.web.restart"),
    "mem_limit": ("much", "services.web.mem_limit"),
    "healthcheck": ("{test: [curl, x]}", "services.web.healthcheck.test"),
    "build": ("{context: ., ssh: [default]}", "services.web.build.ssh"),
    "command": ('"\'"', "services.web.command"),
    "cap_add": ("[ALL]", "services.web.cap_add[0]"),
    "security_opt": ("[apparmor:unconfined]", "services.web.security_opt[0]"),
    "pull_policy": ("build", "services.web.pull_policy"),
    "labels": ("{cloud.atek.node: me}", "services.web.labels"),
    "user": ('"${NOBODY:?who}"', "services.web.user"),
    "scale": ("101", "services.web.scale"),
    "read_only": ("maybe", "services.web.read_only"),
    "stop_signal": ("SIGNOTHING", "services.web.stop_signal"),
}


@pytest.mark.parametrize("key", REFUSED)
def test_what_is_refused_is_named_with_its_line(key: str) -> None:
    value, path = REFUSED[key]
    manifests, (problem,) = read(one(**{key: value}))
    assert manifests == ()
    assert (problem.key, problem.file, problem.service) == (path, FILE, problem.service)
    assert problem.line is not None
    assert problem.line >= (1 if key == "user" else 3)


@pytest.mark.parametrize(("text", "key"), [
    ("services: {a: {image: x}}\nsecrets: {s: {external: true}}", "secrets.s.external"),
    ("services: {a: {image: x}}\nsecrets: {s: {file: a, environment: B}}", "secrets.s"),
    ("services: {a: {image: x}}\nsecrets: {s: {content: a}}", "secrets.s"),
    ("services: {a: {image: x}}\nsecrets: {s: {environment: NOT_THERE}}", "secrets.s.environment"),
    ("services: {a: {image: x}}\nconfigs: {c: }", "configs.c"),
    ("services: {a: {image: x}}\nnetworks: {proxy: }", "networks.proxy"),
    ("services: {a: {image: x}}\nvolumes: {v: {external: true}}", "volumes.v.external"),
    ("services: {a_b: {image: x}, a-b: {image: x}}", "services.a-b"),
    ("services: {_: {image: x}}", "services._"),
    ("services: {a: {command: x}}", "services.a"),
    ("services: {a: {image: x, depends_on: [b]}}", "services.a.depends_on[0]"),
    ("services: {}", "services"),
    ("name: '!'\nservices: {a: {image: x}}", "name"),
])  # fmt: skip
def test_what_is_refused_of_a_whole_file(text: str, key: str) -> None:
    manifests, problems = read(text)
    assert manifests == ()
    assert [problem.key for problem in problems] == [key]


@pytest.mark.parametrize("text", ["", "- a", "a: [", "a: 1\n---\nb: 2"])
def test_what_is_no_compose_file(text: str) -> None:
    manifests, problems = read(text)
    assert (manifests, len(problems)) == ((), 1)


def test_all_mistakes_are_told_at_once() -> None:
    problems = read("services:\n  a: {image: x, tty: true}\n  b: {image: x, links: [a]}")[1]
    assert [(problem.key, problem.line) for problem in problems] == [
        ("services.a.tty", 2),
        ("services.b.links", 3),
    ]


@pytest.mark.parametrize("text", ["${", "${A", "${1}", "${A!}", "${A:-${B}", "${A:?}"])
def test_a_broken_reference_is_refused(text: str) -> None:
    with pytest.raises(Unusable):
        substitute(text, {})


@pytest.mark.parametrize(("text", "value"), [
    ("A=b # c", "b"), ("A='b # c'", "b # c"), ('A="x\\n$B"', "x\nbee"), ("A=$B", "bee"), ("A='$B'", "$B"),
    ("A=", ""), ("export A = b ", "b"), ('A="two\nlines"', "two\nlines"), ("A=b#c", "b#c"),
    ('A="\\$B"', "$B"), ("A=#x", "#x"), ("A= # c", "# c"), ("A=x\t#c", "x\t#c"), ("A=x\t # c", "x"),
    ("A: b", "b"), ("export A: b", "b"), ("A='it\\'s'", "it's"), ("A='x' y # z", "x"), ('A="x"y', "x"),
    ("A=$(x) $1 $", "$(x) $1 $"), ("A=$2b$10$", "$2b$10$"), ("A=x\x0cy\x0b\u2028z\x85", "x\x0cy\x0b\u2028z"),
    ("A=x\r", "x"), ("A='\n\n'", "\n\n"), ("A=a=b", "a=b"), ("A=x\\ny", "x\\ny"), ("A=$$B", "$B"),
    ("A = b", "b"),
])  # fmt: skip
def test_lines_of_an_env_file(text: str, value: str) -> None:
    assert read_variables(f"{text}\n", {"B": "bee"}) == {"A": value}


def test_a_variable_without_a_value_is_empty_and_told_once_with_its_file() -> None:
    told: list[Problem] = []
    text = "services: {a: {image: x, command: [$NONE, $NONE], env_file: app.env}}"
    beside = {f"{FOLDER}/app.env": "A=$OTHER\n"}
    (service,), problems = read_compose(text, FILE, FOLDER, beside.get, Around(warn=told.append))
    assert (problems, service.command, service.env) == ((), ("", ""), {"A": ""})
    assert [(each.reason, each.file, each.message.split()[2]) for each in told] == [
        ("UnsetVariable", FILE, "NONE"), ("UnsetVariable", f"{FOLDER}/app.env", "OTHER"),
    ]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [
    ("hostname", "a_b"), ("tmpfs", "[run]"), ("extra_hosts", "[a]"), ("working_dir", "srv"), ("init", "2"),
])  # fmt: skip
def test_what_the_engine_cannot_take_is_refused_with_its_line(key: str, value: str) -> None:
    manifests, (problem,) = read(one(**{key: value}))
    assert manifests == () and problem.line == (4 if key == "init" else 2), problem


def test_what_only_the_engine_has_to_know() -> None:
    keys = {
        "hostname": "My.Host", "domainname": "lan", "init": "true", "stdin_open": "yes",
        "working_dir": "/srv", "shm_size": "1g", "tmpfs": "[/run, '/c:size=1m']",
        "logging": "{driver: json-file}",
    }  # fmt: skip
    ((web,), problems) = read(one(**keys, extra_hosts="[a:1.2.3.4, 'b=::1', c:host-gateway]"))
    assert problems == () and web.project is not None and web.project.engine is not None
    assert web.project.engine.model_dump() == {
        "hostname": "My.Host", "domainname": "lan", "init": True, "stdin_open": True, "working_dir": "/srv",
        "shm_size": 2**30, "tmpfs": ("/run", "/c:size=1m"),
        "extra_hosts": ("a:1.2.3.4", "b:::1", "c:host-gateway"),
    }  # fmt: skip
    ((web,), _) = read(one(extra_hosts="{a: 1.2.3.4, b: [5.6.7.8, '::1']}", tmpfs="/run"))
    assert web.project is not None and web.project.engine is not None
    assert web.project.engine.extra_hosts == ("a:1.2.3.4", "b:5.6.7.8", "b:::1")
    ((web,), _) = read(one())
    assert web.project is not None and web.project.engine is None


def test_reservations_are_left_out_and_told() -> None:
    told: list[Problem] = []
    text = one(deploy="{resources: {reservations: {memory: 1g}, limits: {memory: 2g}}}")
    ((web,), problems) = read_compose(text, FILE, FOLDER, BESIDE.get, Around(warn=told.append))
    assert problems == () and web.resources.memory == 2**31
    assert [(each.reason, each.key, each.line) for each in told] == [
        ("Ignored", "services.web.deploy.resources.reservations", 4)
    ]


def test_without_a_health_check_it_is_ready_once_it_runs() -> None:
    for keys in ({"ports": '["8080:80"]'}, {"expose": "[80]"}, {}):
        ((web,), _) = read(one(**keys))
        assert web.probes.readiness == "none"
    ((web,), _) = read(one(ports='["8080:80"]', healthcheck="{test: x}"))
    assert web.probes.readiness not in (None, "none")


@pytest.mark.parametrize("name", ["1A", "a.b", "a-b", "_", "A1"])
def test_names_in_an_env_file(name: str) -> None:
    assert read_variables(f"{name}=x\n{name}2: y\n", {}) == {name: "x", f"{name}2": "y"}
    assert read_variables(f"export {name}\n", {}) == {name: None}


def test_what_is_known_elsewhere_wins_over_the_lines_above() -> None:
    assert read_variables("B=own\nA=$B\n", {}) == {"B": "own", "A": "own"}
    assert read_variables("B=own\nA=$B\n", {"B": "bee"}) == {"B": "own", "A": "bee"}


@pytest.mark.parametrize("text", ["A=${B?why}", "A B", "=x", 'A="x', "A=${"])
def test_lines_that_are_refused_are_named(text: str) -> None:
    with pytest.raises(Unusable, match="line 2"):
        read_variables(f"# c\n{text}\n", {})


def test_a_name_alone_in_an_env_file_has_the_value_of_dot_env() -> None:
    beside = {"/srv/shop/.env": "A=outer\n", "/srv/shop/x.env": "A\nB\nC=$A\ndiscovery.type=single-node\n"}
    text = "services: {web: {image: x, env_file: x.env}}"
    (web,), problems = read_compose(text, "/srv/shop/compose.yaml", "/srv/shop", beside.get)
    assert not problems
    assert web.env == {"A": "outer", "C": "outer", "discovery.type": "single-node"}


@given(st.text(alphabet="aA${}:-?+_ ", max_size=30))
def test_the_environment_of_the_node_is_never_looked_at(text: str) -> None:
    """Whatever is written: what a variable is comes from the mapping, or it is refused."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("a", "A", "_", "aA"):
            patch.setenv(name, "leaked!")
        try:
            assert "leaked" not in substitute(text, {"a": "x"})
        except Unusable as error:
            assert "leaked" not in error.message


@given(st.text(max_size=40))
def test_an_escaped_text_is_itself(text: str) -> None:
    assert substitute(text.replace("$", "$$"), {}) == text


@given(
    st.dictionaries(
        st.sampled_from([*TRANSLATORS, "privileged", "x-a"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text("a:/$.-1", max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3)
            ),
            max_leaves=5,
        ),
        max_size=4,
    ),
    st.text("aB_.-9", min_size=1, max_size=70),
)
def test_any_service_becomes_manifests_or_problems_always_the_same(keys: dict[str, Any], name: str) -> None:
    import json

    text = json.dumps({"services": {name: {"image": "x", **keys}}})
    manifests, problems = read(text)
    assert (manifests, problems) == read(text)
    assert bool(manifests) != bool(problems)
    for each in manifests:
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", each.id)
        assert each.is_container
    assert all(problem.line for problem in problems)


def test_names_that_compose_looks_for() -> None:
    assert is_compose("/a/compose.yaml", "services: {}")
    assert is_compose("docker-compose.yml", "services:\n  id: {}")
    assert not is_compose("/compose.yaml/app.yaml", "")
    assert not is_compose("my-compose.yaml", "")
    assert not is_compose("compose.yaml", "source: app\nid: compose\n")
