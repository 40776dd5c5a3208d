"""What a sandboxed program may reach: destinations, folders, and what belongs together."""

from __future__ import annotations

import pytest

from manifests.model.confined import Bind, Destination, parse_bind, parse_destination
from manifests.model.manifest import Manifest
from manifests.model.service import Service, make_service


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("API.example.com:443", "api.example.com", 443), ("*.example.com:80", "*.example.com", 80),
     ("192.0.2.7:5432", "192.0.2.7", 5432), ("[2001:DB8::0:1]:53", "2001:db8::1", 53), ("db:1", "db", 1)],
)  # fmt: skip
def test_a_destination_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    found = parse_destination(text)
    assert found == Destination(host, port) and found.wildcard is text.startswith("*")


@pytest.mark.parametrize(
    "text",
    ["", "example.com", "example.com:", ":443", "example.com:0", "example.com:65536", "*:443", "*.:443",
     "a b:1", "https://example.com:443", "example.com:443/x", "[::1:2", "[zz]:1", "2001:db8::1:53",
     "a.*.b:1"],
)  # fmt: skip
def test_nothing_else_is_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_destination(text)


@pytest.mark.parametrize(
    ("text", "path", "read_only"),
    [("/srv/photos", "/srv/photos", True), ("/srv/a:b:ro", "/srv/a:b", True), ("/in:rw", "/in", False)],
)
def test_a_bind_is_a_path_that_is_read_unless_it_says_rw(text: str, path: str, read_only: bool) -> None:
    assert parse_bind(text) == Bind(path, read_only)


@pytest.mark.parametrize(
    "text", ["", "/", "srv", "./srv", "/srv/../etc", "/./srv", ":rw", "/:rw", "//", "///:rw"]
)
def test_no_other_path_is_bound(text: str) -> None:
    with pytest.raises(ValueError, match="absolute path"):
        parse_bind(text)


@pytest.mark.parametrize(
    ("keys", "why"),
    [({"egress": ["a:1"]}, "egress lists what"), ({"binds": ["/srv"]}, "binds is for a strict"),
     ({"egress": ["a:1"], "sandbox": "private"}, "egress lists"),
     ({"image": "x", "command": None, "sandbox": "strict"}, "sandbox is for programs of this machine"),
     ({"image": "x", "command": None, "binds": ["/srv"]}, "a container has volumes"),
     ({"image": "x", "command": None, "egress": ["a:1"]}, "write egress: true")],
)  # fmt: skip
def test_what_does_not_belong_together_is_refused(keys: dict[str, object], why: str) -> None:
    document = {
        key: value for key, value in {"id": "a", "command": ["x"], **keys}.items() if value is not None
    }
    with pytest.raises(ValueError, match=why):
        Manifest.model_validate(document)


def test_a_level_is_part_of_the_revision_and_none_is_as_if_it_were_not_said() -> None:
    def revision(**keys: object) -> str:
        manifest = Manifest.model_validate({"id": "a", "command": ["x"], **keys})
        return make_service(manifest, runtime="process", package=None, source="").revision

    assert revision() == revision(sandbox="none")
    levels: list[dict[str, object]] = [
        {"sandbox": "private"},
        {"sandbox": "strict"},
        {"sandbox": "strict", "egress": ["a:1"]},
        {"sandbox": "strict", "binds": ["/a"]},
    ]
    assert len({revision(), *(revision(**keys) for keys in levels)}) == 5


@pytest.mark.parametrize("text", ["/a:rx", "/a:", "/a:b", "/a:ro:x"])
def test_what_is_no_mode_is_no_part_of_a_path_either(text: str) -> None:
    with pytest.raises(ValueError, match="ro or rw"):
        parse_bind(text)


def test_what_was_declared_once_is_read_back_though_it_is_refused_today() -> None:
    """Else what runs could not be found again after an upgrade."""
    manifest = Manifest.model_validate({"id": "a", "image": "x", "replicas": 2})
    record = make_service(manifest, runtime="docker", package=None, source="").to_json()
    record["manifest"] |= {"sandbox": "private", "restart": {"maxDelay": -1}}
    with pytest.raises(ValueError, match="restart"):
        Manifest.model_validate(record["manifest"])
    found = Service.from_json(record)
    assert (found.manifest.sandbox, found.manifest.replicas, found.revision) == (
        "private",
        2,
        record["revision"],
    )
    assert found.to_json()["manifest"] == {"id": "a", "image": "x", "replicas": 2, "sandbox": "private"}
