"""What the engine is asked for when a container belongs to a project."""

from __future__ import annotations

from typing import Any

import pytest

from manifests.model.judgement import judge, narrow
from manifests.model.manifest import Manifest
from manifests.model.policy import Policy
from runtimes.base import PermanentFailure
from runtimes.docker import labels, spec
from runtimes.docker.network import network
from runtimes.docker.spec import Image, Place
from tests.runtimes.factories import launch, service

IMAGE = Image("sha256:1", ports=(80,))
PLACE = Place(
    node="n" * 32, host_port=2835, data="/h/data/app", sockets="/h/run/i1", gateway="/h/run/gateway",
    network="atek-nnnnnnnn-project_wiki", binds=("/srv/media",), user="1000:1000",
)  # fmt: skip
PROJECT = {"name": "wiki", "aliases": ["db"]}
NETWORK = "atek-nnnnnnnn-project_wiki"


def request(image: Image = IMAGE, **manifest: Any) -> dict[str, Any]:
    of = service(**{"runtime": "docker", "image": "x", "project": PROJECT, **manifest})
    return spec.container(launch(of), image, PLACE, spec.service_port(of.manifest, image, 5000))


def test_it_is_on_the_network_of_its_project_under_its_name() -> None:
    body = request()
    assert body["HostConfig"]["NetworkMode"] == NETWORK
    assert body["NetworkingConfig"] == {"EndpointsConfig": {NETWORK: {"Aliases": ["db"]}}}
    made = network("n" * 32, "project_wiki")
    assert (made["Name"], made["Internal"]) == (NETWORK, False)
    assert set(made["Options"].values()) == {"true"}


def test_only_containers_of_one_project_reach_each_other() -> None:
    for kind in ("private", "published", "egress"):
        assert network("n" * 32, kind)["Options"]["com.docker.network.bridge.enable_icc"] == "false"
    assert "NetworkingConfig" not in request(network="host")


def test_who_runs_and_where_is_the_affair_of_the_image() -> None:
    body = request()
    assert "User" not in body
    assert not [each for each in body["Env"] if each.startswith(("HOME=", "PORT="))]
    assert request(project=None)["User"] == "1000:1000"


def test_volumes_are_those_of_the_project() -> None:
    host = request(volumes=["data:/d", "/srv/media/a:/a:ro", "/srv/media:/b"])["HostConfig"]
    (volume,) = [each for each in host["Mounts"] if each["Type"] == "volume"]
    assert volume["Source"] == "atek-nnnnnnnn_wiki_data"
    assert host["Binds"] == ["/srv/media/a:/a:ro", "/srv/media:/b:rw"]
    with pytest.raises(PermanentFailure, match="may not have /etc"):
        request(volumes=["/etc:/e"])


def test_labels_and_entrypoint_are_given_but_never_those_of_the_node() -> None:
    body = request(labels={"a": "b"}, entrypoint=["sh", "-c"], command=["echo $$HOME"])
    assert (body["Entrypoint"], body["Cmd"], body["Labels"]["a"]) == (["sh", "-c"], ["echo $HOME"], "b")
    with pytest.raises(ValueError, match="node's own"):
        request(labels={labels.NODE: "me"})


def test_what_a_container_is_given_is_part_of_its_revision() -> None:
    plain = service(runtime="docker", image="x")
    more: dict[str, Any] = {"labels": {"a": "b"}, "entrypoint": ["sh"], "project": PROJECT}
    for key, value in more.items():
        assert service(runtime="docker", image="x", **{key: value}).revision != plain.revision


def test_another_node_cannot_put_a_service_into_a_project_of_this_one() -> None:
    manifest = Manifest.model_validate({"id": "spy", "image": "x", "project": PROJECT})
    project = narrow(Policy(), manifest, "docker", (), "laptop").project
    assert project and project.name == f"laptop.{PROJECT['name']}"
    asked = manifest.model_copy(update={"project": project})
    assert "may not be called laptop." in (judge(Policy(), asked) or "")
