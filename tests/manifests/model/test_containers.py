"""Containers in manifests: short forms, whose port is whose, and what makes another revision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from manifests.model.containers import Published, Volume, capability, parse_published, parse_volume
from manifests.model.manifest import Manifest
from manifests.model.service import make_service
from manifests.model.snapshot import Declared
from manifests.packages.resolve import ResolveError, resolve

if TYPE_CHECKING:
    from pathlib import Path


def manifest(**keys: Any) -> Manifest:
    return Manifest.model_validate({"id": "web", "image": "nginx", **keys})


def declared(folder: Path, **keys: Any) -> Declared:
    found = Manifest.model_validate({"id": "web", "source": ".", **keys})
    return Declared(found, file="f.yaml", base=str(folder))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080:80", Published("127.0.0.1", 8080, 80)),
        ("0.0.0.0:53:53/udp", Published("0.0.0.0", 53, 53, "udp")),
        ("[::1]:8080:80/tcp", Published("::1", 8080, 80)),
    ],
)
def test_published_ports(text: str, expected: Published) -> None:
    assert parse_published(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cache:/var/cache", Volume("cache", "/var/cache")),
        ("./www:/srv:ro", Volume("./www", "/srv", read_only=True)),
        ("/media:/media:rw", Volume("/media", "/media")),
    ],
)
def test_volumes(text: str, expected: Volume) -> None:
    assert parse_volume(text) == expected
    assert parse_volume(text).named == (text[0] == "c")


def test_a_capability_has_one_spelling() -> None:
    assert {capability(name) for name in ("net_raw", "CAP_NET_RAW", "NET_RAW")} == {"NET_RAW"}


def test_an_image_alone_is_a_service() -> None:
    service = resolve(Declared(manifest(), file="f.yaml", base="/"), "file")
    assert (service.runtime, service.package) == ("docker", None)


def test_a_port_of_its_own_address_leaves_room_for_two_revisions() -> None:
    assert manifest(port=80, replicas=2).strategy == "rolling"
    assert manifest(port=80, network="host").strategy == "recreate"
    assert manifest(publish=["8080:80"]).strategy == "recreate"


def test_a_dockerfile_makes_a_package_a_container(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    service = resolve(declared(tmp_path, command=["x"], readOnly=False), "file")
    assert (service.runtime, service.manifest.runtime) == ("docker", "docker")
    (tmp_path / "index.js").write_text("")
    assert resolve(declared(tmp_path), "file").runtime == "node"


def test_keys_of_containers_need_a_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "index.js").write_text("")
    with pytest.raises(ResolveError, match="readOnly is for containers") as caught:
        resolve(declared(tmp_path, readOnly=False), "file")
    assert caught.value.reason == "NoDockerfile"


@pytest.mark.parametrize(
    "change",
    [{"image": "nginx:2"}, {"egress": True}, {"capabilities": ["NET_RAW"]}, {"volumes": ["a:/b"]},
     {"readOnly": False}, {"user": "1000"}, {"isolation": "runsc"}, {"publish": ["1:1"]},
     {"network": "none"}],
)  # fmt: skip
def test_whatever_a_container_depends_on_makes_another_revision(change: dict[str, Any]) -> None:
    def revision(found: Manifest) -> str:
        return make_service(found, runtime="docker", package=None, source="file").revision

    assert revision(manifest(**change)) != revision(manifest())
    assert revision(manifest(replicas=2)) == revision(manifest())
