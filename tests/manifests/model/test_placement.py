"""What a manifest may say of a container that a swarm places, and what makes another revision of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from manifests.model.judgement import judge
from manifests.model.manifest import Manifest
from manifests.model.nodes import Place, runs_on
from manifests.model.policy import Policy
from manifests.model.snapshot import Declared
from manifests.packages.resolve import resolve

if TYPE_CHECKING:
    from manifests.model.service import Service


def manifest(**keys: Any) -> Manifest:
    document = {"id": "web", "image": "nginx", "placement": "swarm", "port": 80, "egress": True, **keys}
    return Manifest.model_validate(document)


def resolved(**keys: Any) -> Service:
    return resolve(Declared(manifest(**keys), file="f.yaml", base="/"), "file")


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"image": None, "source": "./web", "runtime": "docker"}, "needs an image"),
        ({"pull": "never"}, "leave pull out"),
        ({"network": "none", "port": None, "egress": False}, "there is no network: none"),
        ({"publish": ["8080:80"]}, "write port instead of publish"),
        ({"egress": False}, "say so with egress: true"),
        ({"isolation": "runsc"}, "cannot be asked for an isolation"),
        ({"volumes": ["./www:/srv"]}, "volumes have names"),
        ({"volumes": ["/srv:/srv"]}, "volumes have names"),
        ({"nodes": ["pi", "shed"]}, "a swarm takes one of nodes"),
        ({"probes": {"liveness": {"exec": {"command": ["x"]}}}}, "a probe runs no command"),
        ({"probes": {"readiness": {"httpGet": {"path": "/", "port": 81}}}}, "leave the probe's port out"),
        ({"probes": {"startup": {"httpGet": "/"}}, "port": None}, "a probe needs the service's port"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_means_nothing_on_another_machine_is_refused(keys: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        manifest(**keys)


def test_what_is_kept_here_may_say_all_of_it() -> None:
    manifest(placement="local", publish=["8080:80"], volumes=["./www:/srv"], nodes=["pi", "shed"])


def test_the_swarm_is_a_runtime_of_its_own_and_all_tasks_are_one_instance() -> None:
    assert resolved().runtime == "swarm"
    assert resolved(placement="local").runtime == "docker"
    assert [manifest(replicas=number).slots for number in (0, 1, 5)] == [0, 1, 1]
    assert manifest(placement="local", replicas=5).slots == 5


@pytest.mark.parametrize(
    "keys",
    [
        {"replicas": 2}, {"nodes": ["pi"]}, {"nodes": [{"label": "pi"}]}, {"restart": {"policy": "never"}},
        {"stop": {"gracePeriod": "1s"}}, {"placement": "local"}, {"image": "nginx:2"},
    ],
    ids=str,
)  # fmt: skip
def test_what_the_swarm_was_told_is_part_of_the_revision(keys: dict[str, Any]) -> None:
    assert resolved(**keys).revision != resolved().revision


def test_probes_of_a_swarm_service_apply_at_once() -> None:
    assert resolved(probes={"readiness": {"httpGet": "/"}}).revision == resolved().revision


def test_nodes_are_machines_of_the_swarm_wherever_it_is_declared() -> None:
    assert runs_on(manifest(nodes=["pi"]), Place("laptop"))
    assert not runs_on(manifest(nodes=["pi"], placement="local"), Place("laptop"))


def test_another_nodes_service_does_not_get_onto_this_ones_swarm() -> None:
    assert "placement" in (judge(Policy(), manifest()) or "")
