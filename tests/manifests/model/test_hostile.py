"""What a hostile manifest tries, one thing each: it comes to nothing, and to something without its guard.

A guard is what an owner would have to say on purpose, or the one rule that stands against it, taken out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from manifests.documents.record import drive_url
from manifests.model import judgement
from manifests.model.judgement import judge_package, narrow
from manifests.model.manifest import Manifest
from manifests.model.policy import Policy
from manifests.model.rights import asked
from tests.manifests.model.test_policy import DRIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: A foreign follow that has been let have containers, so that there is more to try.
TERMS: dict[str, Any] = {"trust": "foreign", "runtimes": ["node", "python", "docker"]}
PACKAGE = {"source": drive_url(DRIVE), "runtime": "node"}
STRICT = {**PACKAGE, "sandbox": "strict"}
CONTAINER = {"image": "nginx"}


@dataclass(frozen=True)
class Attempt:
    """`keys` of a manifest. `says`: what an owner would have to say. `without`: the rule to take out."""

    name: str
    keys: Mapping[str, Any]
    got: Callable[[Manifest], object]
    says: Mapping[str, Any] = field(default_factory=dict)
    without: str = ""


ATTEMPTS = [
    Attempt("to be a core service", {**PACKAGE, "id": "core.hyper"}, lambda m: m.id, {"ids": ["core.*"]}),
    Attempt(
        "to be the users API", {**PACKAGE, "exports": ["atek.cloud/users-api"]}, lambda m: m.exports,
        {"apis": ["atek.cloud/*"], "calls": []},
    ),
    Attempt("to call the services API", {**PACKAGE, "allow": ["atek.cloud/services-api"]}, lambda m: m.allow,
            {"calls": ["atek.cloud/*"]}),
    Attempt("to call everything", {**PACKAGE, "allow": ["*"]}, lambda m: m.allow, {"calls": ["*"]}),
    Attempt("to call what is not named", PACKAGE, lambda m: m.allow is None or m.allow, {"calls": ["*"]}),
    Attempt("to run a folder of this machine", {**PACKAGE, "source": "/root"}, lambda m: m.source,
            without="_source"),
    Attempt("to run a file URL", {**PACKAGE, "source": "file:///srv/private.git"}, lambda m: m.source,
            without="_source"),
    Attempt("to clone with this node's keys", {**PACKAGE, "source": "ssh://git@example.com/a.git"},
            lambda m: m.source, without="_source"),
    Attempt("to clone from the network here",
            {**PACKAGE, "source": "http://10.0.0.1/a.git"}, lambda m: m.source,
            without="_source"),
    Attempt("to run any program", {"runtime": "process", "command": ["id"]}, lambda m: m.runtime == "process",
            {"runtimes": ["process"]}),
    Attempt("to run without a sandbox", {**PACKAGE, "sandbox": "none"}, lambda m: m.sandbox == "none",
            {"sandbox": "none"}),
    Attempt("to run in the milder sandbox",
            {**PACKAGE, "sandbox": "private"}, lambda m: m.sandbox == "private",
            {"sandbox": "private"}),
    Attempt("to say nothing of a sandbox", PACKAGE, lambda m: m.sandbox != "strict", {"sandbox": "none"}),
    Attempt("to connect anywhere", {**STRICT, "egress": ["attacker.example:443"]}, lambda m: m.egress,
            {"egress": True}),
    Attempt("to let a container connect anywhere", {**CONTAINER, "egress": True}, lambda m: m.egress,
            {"egress": True}),
    Attempt("to read the node's home", {**STRICT, "binds": ["/root/.atek"]}, lambda m: m.binds,
            {"binds": ["/root"]}),
    Attempt("to have the engine's socket", {**STRICT, "binds": ["/run/docker.sock:rw"]}, lambda m: m.binds,
            {"binds": ["/run:rw"]}, without="_never"),
    Attempt("to have it by another name",
            {**STRICT, "binds": ["//var///run/docker.sock:rw"]}, lambda m: m.binds,
            {"binds": ["/var/run:rw"]}, without="_never"),
    Attempt("to see other processes", {**STRICT, "binds": ["/proc:rw"]}, lambda m: m.binds,
            {"binds": ["/proc:rw"]}, without="_never"),
    Attempt("to let a container have the machine",
            {**CONTAINER, "volumes": ["/dev:/dev"]}, lambda m: m.volumes,
            {"binds": ["/dev:rw"]}, without="_never"),
    Attempt("to be on the host's network", {**CONTAINER, "network": "host"}, lambda m: m.network == "host",
            {"egress": True}, without="_ways_out"),
    Attempt("to have the kernel", {**CONTAINER, "capabilities": ["SYS_ADMIN"]}, lambda m: m.capabilities,
            without="_ways_out"),
    Attempt("to make devices", {**CONTAINER, "capabilities": ["MKNOD"]}, lambda m: "MKNOD" in m.capabilities,
            {"trust": "own"}),
    Attempt("to be reached from outside", {**CONTAINER, "publish": ["0.0.0.0:80:80"]}, lambda m: m.publish,
            {"openPorts": True, "ports": [80]}),
    Attempt("to take a port away", {**PACKAGE, "port": 22}, lambda m: m.port == 22, {"ports": [22]}),
    Attempt("to have what is encrypted for this node", {**PACKAGE, "secrets": {"A": {"file": "a.yaml"}}},
            lambda m: m.secrets, {"secrets": True}),
    Attempt("to go to the swarm", {**CONTAINER, "placement": "swarm"}, lambda m: m.placement == "swarm",
            without="_unjudged"),
    Attempt("to leave its runtime", {**CONTAINER, "isolation": "runc-insecure"}, lambda m: m.isolation,
            without="_unjudged"),
    Attempt("to steer a reverse proxy",
            {**CONTAINER, "labels": {"traefik.enable": "true"}}, lambda m: m.labels,
            without="_unjudged"),
    Attempt("to be asked by any page", {**PACKAGE, "crossSite": "allow"}, lambda m: m.cross_site == "allow",
            without="_unjudged"),
    Attempt("to be in this node's project", {**CONTAINER, "project": {"name": "home"}},
            lambda m: m.project and m.project.name == "home", without="_container"),
    Attempt("to be in another's project", {**CONTAINER, "project": {"name": "pi.home"}}, lambda m: m.project,
            without="_ways_out"),
    Attempt("to learn which ports are open",
            {**PACKAGE, "probes": {"readiness": {"tcpSocket": {"port": 22}}}},
            lambda m: m.probes.readiness, without="_probes"),
    Attempt("to have others wait for its end", {**PACKAGE, "stop": {"gracePeriod": "1000h"}},
            lambda m: m.stop.grace_period > 60, without="_calm"),
    Attempt("to be started all the time", {**PACKAGE, "restart": {"initialDelay": 0, "resetAfter": 0}},
            lambda m: m.restart.initial_delay == 0, without="_calm"),
    Attempt("to be looked at all the time",
            {**PACKAGE, "probes": {"liveness": {"exec": {"command": ["x"]}, "periodSeconds": 0.001}}},
            lambda m: m.probes.liveness and m.probes.liveness.period_seconds < 1, without="_calm"),
    Attempt("to have all memory", {**PACKAGE, "resources": {"memory": "900Gi"}},
            lambda m: (m.resources.memory or 2**60) > 2**30, {"memory": "1000Gi"}),
    Attempt("to fill the disk", {**PACKAGE, "resources": {"disk": "900Gi"}},
            lambda m: (m.resources.disk or 2**60) > 2**30, {"disk": "1000Gi"}),
    Attempt("to be a hundred", {**PACKAGE, "replicas": 100}, lambda m: m.replicas == 100, {"replicas": 1000}),
]  # fmt: skip


def got(attempt: Attempt, **says: Any) -> bool:
    """Whether it has what it wanted, without anybody being asked."""
    policy = Policy.model_validate({**TERMS, **says})
    manifest = Manifest.model_validate({"id": "app", **attempt.keys})
    runtime = manifest.runtime or "docker"
    if judge_package(policy, manifest, runtime, manifest.exports or ()) is not None:
        return False
    narrowed = narrow(policy, manifest, runtime, manifest.exports or (), "laptop")
    return bool(attempt.got(narrowed)) and not asked(policy, narrowed)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name.replace(" ", "-"))
def test_it_comes_to_nothing(attempt: Attempt) -> None:
    assert not got(attempt)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name.replace(" ", "-"))
def test_it_is_its_guard_that_keeps_it_out(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    if attempt.without:
        assert not got(attempt, **attempt.says)
        nothing: Any = {} if attempt.without in ("_container", "_calm") else ()
        monkeypatch.setattr(judgement, attempt.without, lambda *_: nothing)
    assert got(attempt, **attempt.says)


@pytest.mark.parametrize("name", sorted(set(Manifest.model_fields) - judgement._JUDGED))
def test_a_key_that_nobody_has_judged_yet_is_not_for_others(name: str) -> None:
    """Whatever it will mean: it is in `_JUDGED` once somebody has thought of what others do with it."""
    manifest = Manifest.model_validate({"id": "app", **PACKAGE}).model_copy(update={name: "said"})
    why = judge_package(Policy.model_validate(TERMS), manifest, "node", ())
    assert why is not None and why.startswith("a service of another node may not say")
