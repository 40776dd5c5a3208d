"""What a follow allows: nothing that it forbids is ever declared."""

from __future__ import annotations

import json
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hyper.fake import FakeHyper
from hyper.port import Drive, Record
from manifests.documents.record import drive_url, make_record, record_path
from manifests.model.judgement import judge, judge_package, narrow
from manifests.model.manifest import Manifest
from manifests.model.nodes import Place
from manifests.model.patterns import matches
from manifests.model.policy import Policy
from manifests.packages.resolve import infer_runtime, package_exports
from manifests.sources.drives import DriveCache
from manifests.sources.judging import Judge

if TYPE_CHECKING:
    from collections.abc import Mapping

DRIVE = Drive("f" * 64, 1)


def manifest(**keys: Any) -> Manifest:
    return Manifest.model_validate({"id": "notes", "source": drive_url(DRIVE), **keys})


@pytest.mark.parametrize(
    ("policy", "keys", "expected"),
    [
        ({}, {}, None),
        ({}, {"source": "/etc"}, "cannot have a folder of this one"),
        ({}, {"source": "file:///etc"}, "cannot have a folder of this one"),
        ({}, {"source": "./x"}, "cannot have a folder of this one"),
        ({}, {"source": "git@example.com:notes", "runtime": "docker"}, "only by https"),
        ({}, {"source": "/srv/private.git", "runtime": "docker"}, "only by https"),
        ({}, {"source": "https://example.com/notes"}, "from Git has to say its runtime"),
        ({}, {"source": "https://example.com/notes", "runtime": "docker"}, None),
        ({}, {"id": "core.hyper"}, "the id core.hyper is not allowed"),
        ({"ids": ["*"]}, {"id": "core.hyper"}, "the id core.hyper is not allowed; allowed is *"),
        ({"ids": ["core.*"]}, {"id": "core.hyper"}, None),
        ({"ids": ["lab-*"]}, {}, "the id notes is not allowed; allowed is lab-*"),
        ({"ids": []}, {}, "the id notes is not allowed; none is"),
        ({"runtimes": ["node"]}, {"runtime": "python"}, "the runtime python is not allowed; allowed is node"),
        ({"runtimes": ["node"]}, {"source": None, "image": "nginx"}, "the runtime docker is not allowed"),
        ({"runtimes": []}, {"runtime": "python"}, "the runtime python is not allowed; none is"),
        ({}, {"exports": ["atek.cloud/adb-api"]}, "may not export atek.cloud/adb-api"),
        ({"apis": ["*"]}, {"exports": ["atek.cloud/adb-api"]}, "may not export atek.cloud/adb-api"),
        ({"apis": ["atek.cloud/adb*"]}, {"exports": ["atek.cloud/adb-api"]}, None),
        ({"apis": ["x/*"]}, {"exports": ["y/a"]}, "may not export y/a; allowed is x/*"),
        ({"apis": ["x/*"]}, {"allow": ["*"]}, "may not call *; allowed is x/*"),
        ({"apis": ["x/*"]}, {"allow": ["x/a", "x/b*"]}, None),
        ({"statusOnly": True}, {}, "nothing of this node's is run here"),
        ({}, {"runtime": "docker", "network": "host"}, "may not be on this machine's network"),
        ({}, {"runtime": "docker", "volumes": ["/etc:/etc"]}, "may not have this machine's /etc"),
        ({}, {"runtime": "docker", "volumes": ["./www:/srv", "cache:/var/cache"]}, None),
        ({}, {"runtime": "docker", "publish": ["0.0.0.0:80:80"]}, "may not be reached at 0.0.0.0"),
        ({}, {"runtime": "docker", "publish": ["8080:80"]}, None),
        ({"openPorts": True}, {"runtime": "docker", "publish": ["0.0.0.0:80:80"]}, None),
        ({}, {"secrets": {"A": {"file": "a.yaml"}}}, "nothing is decrypted here"),
        ({}, {"secrets": {"A": {"text": "no secret"}}}, None),
        ({"secrets": True}, {"secrets": {"A": {"file": "a.yaml"}}}, None),
        ({}, {"runtime": "docker", "capabilities": ["SYS_ADMIN"]}, "may not have the capability SYS_ADMIN"),
        ({}, {"runtime": "docker", "capabilities": ["CHOWN", "SETUID"]}, None),
        ({}, {"runtime": "docker", "project": {"name": "home"}}, None),
        ({}, {"runtime": "docker", "project": {"name": "pi.home"}}, "may not be called pi.home"),
        ({}, {"runtime": "docker", "labels": {"a": "b"}}, "may not say labels"),
        ({}, {"crossSite": "allow"}, "may not say crossSite"),
        ({}, {"runtime": "docker", "isolation": "runc"}, "may not say isolation"),
    ],
)
def test_what_is_refused_and_why(policy: dict[str, Any], keys: dict[str, Any], expected: str | None) -> None:
    why = judge(Policy.model_validate(policy), manifest(**keys))
    assert why is None if expected is None else why is not None and expected in why


def test_what_the_package_says_is_judged_as_well() -> None:
    policy = Policy(runtimes=("node",), apis=("x/*",))
    exports = manifest(exports=["x/a", "y/b"]).exports or ()
    assert judge_package(policy, manifest(), "node", exports[:1]) is None
    assert "python is not allowed" in (judge_package(policy, manifest(), "python", ()) or "")
    assert "may not export y/b" in (judge_package(policy, manifest(), "node", exports) or "")


def test_what_is_declared_is_narrowed() -> None:
    policy = Policy(apis=("x/*",), memory=2**20, cpu=0.5, pids=10)
    asked = manifest(resources={"memory": "64Mi", "cpu": 0.25})
    found = narrow(policy, asked, "node", (), "laptop")
    assert (found.runtime, found.exports, found.allow) == ("node", (), ("x/*",))
    assert found.resources.model_dump(exclude_none=True) == {"memory": 2**20, "cpu": 0.25, "pids": 10}
    assert narrow(Policy(), asked, "node", (), "laptop").resources == asked.resources
    # What a container could say stays unsaid.
    assert found.container_key is None


def test_a_project_of_another_node_is_not_ours_of_that_name() -> None:
    asked = manifest(runtime="docker", project={"name": "home"}, capabilities=["CHOWN", "MKNOD"])
    found = narrow(Policy(), asked, "docker", (), "laptop")
    assert found.project and found.project.name == "laptop.home"
    assert found.capabilities == ("CHOWN",)


def test_a_policy_is_written_down_and_read_back() -> None:
    policy = Policy(runtimes=("node",), ids=("lab-*",), apis=(), memory=2**20, status_only=True)
    written = json.loads(json.dumps(policy.to_json()))
    assert written["statusOnly"] is True and "cpu" not in written
    assert Policy.model_validate(written) == policy


@pytest.mark.parametrize(
    "wrong",
    [
        {"ids": [""]}, {"ids": ["a b"]}, {"ids": ["[a]"]}, {"apis": ["?"]}, {"apis": ["é"]}, {"ids": ["a\n"]},
        {"runtimes": ["perl"]}, {"memory": 0}, {"cpu": -1}, {"cpu": float("nan")}, {"pids": 0}, {"cpus": 1},
    ],
)  # fmt: skip
def test_hostile_policies_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate(wrong)


_TEXT = st.text("ab*/", max_size=8)


@given(_TEXT, st.text("ab/", max_size=8))
def test_patterns_match_as_everybody_expects(pattern: str, text: str) -> None:
    assert matches(pattern, text) == fnmatchcase(text, pattern)


@given(_TEXT, _TEXT, st.text("ab/", max_size=8))
def test_a_pattern_within_a_pattern_asks_for_no_more(outer: str, inner: str, text: str) -> None:
    if matches(outer, inner) and matches(inner, text):
        assert matches(outer, text)


def test_no_pattern_takes_long() -> None:
    assert not matches("*a" * 100 + "b", "a" * 20_000)


# -- whatever a peer that lies writes

_APIS = st.sampled_from(["x/a", "x/b", "y/a", "atek.cloud/adb-api", "*", "x/*", "atek.cloud/*"])
_IDS = st.sampled_from(["lab-a", "lab-b", "home", "core.hyper", "core.adb"])
_POLICIES = st.builds(
    Policy,
    runtimes=st.none()
    | st.lists(st.sampled_from(["node", "python", "docker", "process"]), max_size=2).map(tuple),
    ids=st.none() | st.lists(st.sampled_from(["lab-*", "home", "*", "core.*"]), max_size=2).map(tuple),
    apis=st.none() | st.lists(st.sampled_from(["x/*", "x/a", "*", "atek.cloud/*"]), max_size=2).map(tuple),
    memory=st.none() | st.integers(1, 2**40),
    cpu=st.none() | st.floats(0.1, 8),
    pids=st.none() | st.integers(1, 1000),
    status_only=st.booleans(),
)
_SPECS = st.fixed_dictionaries(
    {"id": _IDS},
    optional={
        "source": st.sampled_from([drive_url(DRIVE), "/etc", "file:///etc", "./x", "~", "hyper://x", ""]),
        "command": st.lists(st.sampled_from(["node", "python3", "sh", "$X"]), min_size=1, max_size=2),
        "image": st.just("nginx"),
        "runtime": st.sampled_from(["node", "python", "docker", "process"]),
        "exports": st.lists(_APIS, max_size=2),
        "allow": st.lists(_APIS, max_size=2),
        "resources": st.fixed_dictionaries(
            {}, optional={"memory": st.integers(1, 2**50), "cpu": st.floats(0.1, 99), "pids": st.just(10**6)}
        ),
        "network": st.sampled_from(["host", "none"]),
        "volumes": st.lists(st.sampled_from(["/:/host", "./a:/a", "n:/n"]), max_size=2),
        "publish": st.lists(st.sampled_from(["80:80", "0.0.0.0:80:80", "[::]:80:80"]), max_size=1),
        "capabilities": st.just(["SYS_ADMIN"]),
        "isolation": st.just("runc"),
        "nodes": st.just(["pi"]),
    },
)
_FILES: st.SearchStrategy[Mapping[str, str]] = st.fixed_dictionaries(
    {},
    optional={
        "index.js": st.just(""),
        "main.py": st.just(""),
        "Dockerfile": st.just(""),
        "atek.json": st.lists(_APIS | st.integers(), max_size=3).map(lambda e: json.dumps({"exports": e})),
    },
)


class _Here(DriveCache):
    """A cache that has every drive."""

    def __init__(self, folder: Path) -> None:
        super().__init__(FakeHyper(), folder)
        self.folder = folder

    def find(self, drive: Drive) -> str | None:
        return str(self.folder)


@given(_POLICIES, _SPECS, _FILES)
def test_nothing_that_is_forbidden_is_ever_declared(
    policy: Policy, spec: dict[str, Any], files: Mapping[str, str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text)
        value = make_record(spec, owner="system", updated_at="", updated_by="")
        judged = Judge("laptop", Place("pi"), _Here(Path(folder)), policy).look(
            Record(record_path("k"), 1, value)
        )
        assert judged.manifest is None or judged.problem is None
        if judged.manifest is not None:
            _check(policy, judged.manifest, folder)


def _check(policy: Policy, declared: Manifest, folder: str) -> None:
    """An oracle of its own: what the node would do with this manifest, package and all."""
    assert not policy.status_only
    assert declared.source in (None, folder)
    assert _fits(declared.id, policy.ids) and (not declared.id.startswith("core.") or policy.ids)
    runtime = infer_runtime(declared, folder if declared.source else None)
    assert policy.runtimes is None or runtime in policy.runtimes
    exports = declared.exports if declared.exports is not None else package_exports(folder)
    assert all(_fits(export.api, policy.apis) for export in exports)
    assert policy.apis or not any(export.api.startswith("atek.cloud/") for export in exports)
    for api in ("x/a", "x/b", "y/a", "atek.cloud/adb-api"):
        if declared.allow is None or _fits(api, declared.allow):
            assert _fits(api, policy.apis)
    for limit in ("memory", "cpu", "pids"):
        allowed, found = getattr(policy, limit), getattr(declared.resources, limit)
        assert allowed is None or (found is not None and found <= allowed)
    assert declared.network != "host" and not declared.capabilities and declared.isolation is None
    assert not any(each.startswith("/") for each in declared.volumes)
    assert not any(each.startswith(("0.0.0.0", "[::]")) for each in declared.publish)


def _fits(name: str, patterns: tuple[str, ...] | None) -> bool:
    return patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns)


@pytest.mark.parametrize("terms", [{"trust": "foreign"}, {"trust": "own"}, {"sandbox": "private"}, {}])
@pytest.mark.parametrize(
    ("runtime", "keys"),
    [("docker", {"source": "hyper://x", "build": {}, "publish": ["127.0.0.1:80:80"]}),
     ("docker", {"image": "x"}), ("docker", {"source": "hyper://x"}), ("node", {"source": "hyper://x"}),
     ("python", {"source": "hyper://x", "sandbox": "strict", "egress": ["a.example:443"]})],
    ids=["built", "image", "a Dockerfile", "node", "asks for more"],
)  # fmt: skip
def test_what_is_narrowed_is_read_back_from_where_it_was_written(
    terms: dict[str, Any], runtime: str, keys: dict[str, Any]
) -> None:
    """In a container's labels and a program's record."""
    asked = Manifest.model_validate({"id": "a", **keys})
    found = narrow(Policy.model_validate(terms), asked, runtime, (), "laptop")
    said = found.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert Manifest.model_validate(said) == found
