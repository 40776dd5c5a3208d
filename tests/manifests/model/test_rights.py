"""What others' manifests ask for, in words; and that nothing of it comes without being asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.documents.record import drive_url
from manifests.model.judgement import judge, narrow
from manifests.model.manifest import Manifest
from manifests.model.policy import FOREIGN, Policy
from manifests.model.rights import asked
from manifests.model.terms import line, sentences
from tests.manifests.model.test_policy import DRIVE

STRICT = {"sandbox": "strict"}
FOLLOW = Policy(trust="foreign")


def manifest(**keys: Any) -> Manifest:
    return Manifest.model_validate({"id": "notes", "source": drive_url(DRIVE), "runtime": "node", **keys})


@pytest.mark.parametrize(
    ("keys", "policy", "rights"),
    [
        ({}, {}, []),
        (STRICT, {}, []),
        ({**STRICT, "egress": ["api.example.com:443"]}, {}, ["egress:api.example.com:443"]),
        ({**STRICT, "egress": ["api.example.com:443"]}, {"egress": ["*.example.com:443"]}, []),
        ({**STRICT, "egress": ["a.ex.org:8"]}, {"egress": ["*.ex.org:4"]}, ["egress:a.ex.org:8"]),
        ({**STRICT, "egress": ["aex.org:4"]}, {"egress": ["*.ex.org:4"]}, ["egress:aex.org:4"]),
        ({**STRICT, "egress": ["a.example:1"]}, {"egress": True}, []),
        ({**STRICT, "binds": ["/srv/photos"]}, {}, ["bind:/srv/photos:ro"]),
        ({**STRICT, "binds": ["/srv//photos/"]}, {}, ["bind:/srv/photos:ro"]),
        ({**STRICT, "binds": ["/srv/photos/a"]}, {"binds": ["/srv/photos"]}, []),
        ({**STRICT, "binds": ["/srv/photos2"]}, {"binds": ["/srv/photos"]}, ["bind:/srv/photos2:ro"]),
        ({**STRICT, "binds": ["/srv/photos:rw"]}, {"binds": ["/srv/photos"]}, ["bind:/srv/photos:rw"]),
        ({"port": 8080}, {}, ["port:8080"]),
        ({"port": "auto"}, {}, []),
        ({"port": 8080}, {"ports": [8080]}, []),
        ({"allow": ["atek.cloud/services-api"]}, {}, ["api:atek.cloud/services-api"]),
        ({"allow": ["*"]}, {"calls": ["example.com/*"]}, ["api:*"]),
        ({"allow": ["example.com/a"]}, {"apis": ["example.com/*"]}, []),
        ({"sandbox": "private"}, {}, ["sandbox:private"]),
        ({"sandbox": "none"}, {}, ["sandbox:none"]),
        ({"sandbox": "private"}, {"sandbox": "private"}, []),
        ({"resources": {"memory": "2Gi"}}, {}, []),
        ({"runtime": "docker", "egress": True}, {}, ["egress:*"]),
        ({"runtime": "docker", "volumes": ["/srv/a:/a", "cache:/c"]}, {}, ["bind:/srv/a:rw"]),
        ({"runtime": "docker", "publish": ["8:80"]}, {}, ["port:127.0.0.1:8"]),
        ({"runtime": "docker", "publish": ["53:53/udp"]}, {}, ["port:127.0.0.1:53/udp"]),
    ],
)  # fmt: skip
def test_what_is_asked_for(keys: dict[str, Any], policy: dict[str, Any], rights: list[str]) -> None:
    terms = Policy.model_validate({"trust": "foreign", **policy})
    wanted = manifest(**keys)
    found = asked(terms, wanted)
    assert [right.id for right in found] == rights
    assert all(right.what and right.why for right in found)
    narrowed = narrow(terms, wanted, wanted.runtime or "", (), "laptop")
    assert [right.id for right in asked(terms, narrowed)] == rights
    # One's own, and follows of earlier versions, ask for nothing.
    for trust in ("own", None):
        assert asked(Policy(trust=trust), wanted) == ()
    # Where nothing is to be asked for it is refused.
    refusing = terms.model_copy(update={"grants": "refuse", "runtimes": ("node", "docker")})
    assert (judge(refusing, wanted) is None) == (not rights)
    assert asked(refusing, wanted) == ()


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"runtime": "process"}, "the runtime process is not allowed"),
        ({"runtime": "docker", "network": "host"}, "the runtime docker is not allowed"),
        ({"binds": ["/proc/1"], **STRICT}, "may have /proc/1"),
        ({"binds": ["/run/docker.sock"], **STRICT}, "may have /run/docker.sock"),
        ({"binds": ["/var/run"], **STRICT}, "may have /var/run"),
        ({"binds": ["/dev/mem:rw"], **STRICT}, "may have /dev/mem"),
        ({"exports": ["atek.cloud/users-api"]}, "may not export atek.cloud/users-api"),
        ({"id": "core.hyper"}, "the id core.hyper is not allowed"),
        ({"replicas": 100}, "100 replicas are not allowed, only 20"),
        ({"secrets": {"A": {"file": "a.yaml"}}}, "nothing is decrypted here"),
        ({"probes": {"readiness": {"tcpSocket": {"port": 22}}}}, "readiness probe may look at its own"),
        ({"probes": {"liveness": {"httpGet": {"path": "/", "port": 9}}}}, "probe may look at its own"),
    ],
)  # fmt: skip
def test_what_nobody_can_grant(keys: dict[str, Any], why: str) -> None:
    assert why in (judge(FOLLOW, manifest(**keys)) or "")


@pytest.mark.parametrize("bind", ["/", "//", "/.", "/..", "///:rw"])
def test_the_whole_machine_is_no_bind(bind: str) -> None:
    try:
        wanted = manifest(binds=[bind], **STRICT)
    except ValueError:
        return
    assert "may have /" in (judge(FOLLOW, wanted) or "")


def test_what_is_declared_says_all_of_it() -> None:
    """So that nothing behind this has to know where it came from."""
    found = narrow(FOLLOW, manifest(), "node", (), "laptop")
    assert (found.sandbox, found.allow, found.egress, found.binds) == ("strict", (), False, ())
    assert found.resources.memory == 256 * 2**20
    assert narrow(Policy(trust="own"), manifest(), "node", (), "laptop") == manifest(exports=())


def test_what_ran_before_is_declared_as_it_was() -> None:
    assert narrow(Policy(), manifest(), "node", (), "laptop") == manifest(exports=())


@pytest.mark.parametrize("trust", ["own", None])
@pytest.mark.parametrize(
    ("named", "expected"), [(None, "strict"), ("private", "strict"), ("strict", "strict")]
)
def test_the_least_sandbox_of_ones_own(trust: Any, named: str | None, expected: str) -> None:
    policy = Policy(trust=trust, sandbox="strict")
    assert narrow(policy, manifest(sandbox=named), "node", (), "l").sandbox == expected


def test_nobody_waits_long_for_others() -> None:
    wanted = manifest(
        stop={"gracePeriod": "10h"},
        update={"drainTimeout": "9h"},
        restart={"initialDelay": 0, "maxDelay": 0, "resetAfter": 0},
        probes={"liveness": {"exec": {"command": ["x"]}, "periodSeconds": 0.001}},
    )
    found = narrow(FOLLOW, wanted, "node", (), "l")
    assert (found.stop.grace_period, found.update.drain_timeout) == (30, 30)
    assert (found.restart.initial_delay, found.restart.max_delay, found.restart.reset_after) == (0.1, 10, 10)
    assert found.probes.liveness and found.probes.liveness.period_seconds == 1
    assert narrow(Policy(trust="own"), wanted, "node", (), "l").stop == wanted.stop


def test_own_machines_are_as_ones_own_files() -> None:
    own = Policy(trust="own")
    for keys in (
        {"runtime": "docker", "volumes": ["/srv:/srv"]}, {"runtime": "docker", "network": "host"},
        {"runtime": "docker", "publish": ["0.0.0.0:80:80"]}, {"secrets": {"A": {"file": "a.yaml"}}},
        {"runtime": "docker", "labels": {"a": "b"}}, {"runtime": "process", "port": 80},
        {"binds": ["/srv"], **STRICT}, {"allow": ["atek.cloud/services-api"]},
    ):  # fmt: skip
        assert judge(own, manifest(**keys)) is None
    assert judge(own, manifest(id="core.hyper")) is not None
    assert judge(own, Manifest.model_validate({"id": "a", "source": "/etc", "runtime": "node"})) is not None


def test_a_follow_of_before_has_no_folders_that_only_new_keys_name() -> None:
    assert "may not have /srv" in (judge(Policy(), manifest(binds=["/srv"], **STRICT)) or "")


def test_what_the_owner_says_goes_before_what_is_usual() -> None:
    terms = Policy.model_validate({"trust": "foreign", "runtimes": ["process"], "memory": "1Gi"}).whole
    assert (terms.runtimes, terms.memory, terms.sandbox) == (("process",), 2**30, "strict")
    assert Policy(trust="foreign", apis=("x/*",)).whole.calls == ("x/*",)


def test_terms_in_words() -> None:
    told = "\n".join(sentences(FOLLOW))
    for word in (
        "somebody else's",
        "strict sandbox",
        "node, python",
        "10 services",
        "20 instances",
        "256.0 MiB",
        "1.0 GiB of data",
    ):
        assert word in told
    assert "your own" in next(iter(sentences(Policy(trust="own"))))
    assert list(sentences(Policy(status_only=True))) == ["nothing of it runs here; only its status is seen"]
    assert line(Policy()) == "everything" and line(FOLLOW) == "foreign"


_KEYS = st.fixed_dictionaries(
    {},
    optional={
        "egress": st.lists(st.sampled_from(["a.example:443", "b.example:1"]), max_size=2),
        "binds": st.lists(st.sampled_from(["/srv/a", "/srv/b:rw", "/etc"]), max_size=2),
        "allow": st.lists(st.sampled_from(["*", "x/a", "atek.cloud/services-api"]), max_size=2),
        "port": st.sampled_from([80, 8080, "auto"]),
        "resources": st.fixed_dictionaries({"memory": st.integers(1, 2**40)}),
        "replicas": st.integers(0, 3),
    },
)


@given(_KEYS)
def test_without_grants_nothing_is_beyond_the_terms(keys: dict[str, Any]) -> None:
    """Whatever is declared and asks for nothing has no way out, no folder, no API and no more memory."""
    try:
        wanted = manifest(**keys, **STRICT)
    except ValueError:
        return
    if judge(FOLLOW, wanted) is not None or asked(FOLLOW, wanted):
        return
    found = narrow(FOLLOW, wanted, "node", (), "l")
    assert (found.sandbox, found.allow, found.binds) == ("strict", (), ()) and not found.egress
    assert (found.resources.memory or 0) <= FOREIGN["memory"] and not isinstance(found.port, int)
