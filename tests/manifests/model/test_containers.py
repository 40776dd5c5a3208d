"""Containers in manifests: short forms, whose port is whose, and what makes another revision."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from manifests.model.containers import Published, Volume, capability, parse_published, parse_volume
from manifests.model.manifest import Manifest
from manifests.model.service import make_service
from manifests.model.snapshot import Declared
from manifests.model.spec import signal_number
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
        ("*:8080:80", Published("0.0.0.0", 8080, 80, every=True)),
        ("127.0.0.1::80", Published("127.0.0.1", 0, 80)),
        (":80/sctp", Published("127.0.0.1", 0, 80, "sctp")),
        ("*:8080-8090:80", Published("0.0.0.0", 8080, 80, "tcp", 8090, every=True)),
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
        ("cache:/c:ro,nocopy", Volume("cache", "/c", read_only=True, options=("nocopy",))),
        ("/media:/media:z", Volume("/media", "/media", options=("z",))),
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


@pytest.mark.parametrize("text", ["80", "0:80", "9-8:80", "1-70000:80", "*:80", "80:80/icmp", "::80:80"])
def test_what_is_no_published_port(text: str) -> None:
    with pytest.raises(ValueError, match="port"):
        parse_published(text)


def test_all_addresses_leave_a_revision_as_it_was_with_those_of_ipv4() -> None:
    """What an earlier version has started on 0.0.0.0 is not replaced; the next one has IPv6 too."""
    old, new, other = (
        make_service(manifest(publish=[each]), runtime="docker", package=None, source="file").revision
        for each in ("0.0.0.0:8080:80", "*:8080:80", "127.0.0.1:8080:80")
    )
    assert old == new != other


@pytest.mark.parametrize("publish", [["127.0.0.1::80"], ["*:80-90:80"]])
def test_a_port_that_the_engine_chooses_is_none_that_two_would_fight_for(publish: list[str]) -> None:
    assert manifest(publish=publish, replicas=2).exclusive_port is None
    assert manifest(publish=[*publish, "8080:80"]).exclusive_port == 8080


def test_signals_have_numbers() -> None:
    assert manifest(stop={"signal": "sigrtmin+3"}).stop.signal == "SIGRTMIN+3"
    assert signal_number("SIGRTMIN+3") == signal.SIGRTMIN + 3
    for wrong in ("SIGRTMIN+99", "SIGRTMAX+1", "RTMIN+", "SIG"):
        with pytest.raises(ValidationError):
            manifest(stop={"signal": wrong})


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
