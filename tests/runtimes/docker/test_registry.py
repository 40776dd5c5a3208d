"""What a registry offers, asked directly: digests, tags, pages, logins, and what can be wrong with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from runtimes.base import RuntimeFailure
from runtimes.docker.offers import Offers, newest_tag, repository_of
from runtimes.docker.registry import Name, Registry, _may_log_in, _on_same_host, parse_name
from tests.runtimes.docker.registry import registry

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

PASSWORD = "correct-horse"
TAGS = [
    "latest", "1", "1.2", "1.2.0", "v1.2.5", "1.10.0", "1.10.1-alpine", "1.11.0-rc.1", "2.0.0",
    "1.9.0-alpine", "2.0.0-alpine", "1.99.0-bookworm-slim", "nightly", "20240101", "1.12.0-beta",
    "1.3.0-slim",
]  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("nginx", Name("registry-1.docker.io", "library/nginx", "latest")),
        ("nginx:1.27", Name("registry-1.docker.io", "library/nginx", "1.27")),
        ("grafana/grafana:1", Name("registry-1.docker.io", "grafana/grafana", "1")),
        ("docker.io/library/nginx:1", Name("registry-1.docker.io", "library/nginx", "1")),
        ("docker.io/nginx", Name("registry-1.docker.io", "library/nginx", "latest")),
        ("ghcr.io/a/b/c:v2", Name("ghcr.io", "a/b/c", "v2")),
        ("localhost:5000/app", Name("localhost:5000", "app", "latest")),
        (f"quay.io/a/b:1@sha256:{'0' * 64}", Name("quay.io", "a/b", "1")),
    ],
)
def test_where_an_image_is(reference: str, name: Name) -> None:
    assert parse_name(reference) == name


def test_with_which_machine_plain_http_is_spoken() -> None:
    plain = ("localhost:5000", "127.0.0.1", "127.8.0.1:80", "[::1]:5000", "localhost")
    assert {Name(each, "app", "1").base.partition(":")[0] for each in plain} == {"http"}
    other = ("ghcr.io", "10.0.0.1:5000", "127.example.com", "localhost.example.com:5000")
    assert {Name(each, "app", "1").base.partition(":")[0] for each in other} == {"https"}


@pytest.mark.parametrize(
    ("now", "wanted", "tag"),
    [
        ("1.2.0", "^1", "1.10.0"),
        ("1.2.0", "~1.2", "v1.2.5"),
        ("latest", "*", "2.0.0"),
        ("1.9.0-alpine", "^1", "1.10.1-alpine"),
        ("1.9.0-alpine", "*", "2.0.0-alpine"),
        ("1.9.0-bookworm-slim", "^1", "1.99.0-bookworm-slim"),
        # Newer ones of another variant are another system.
        ("1.3.0-slim", "^1", "1.3.0-slim"),
        ("1.11.0-rc.1", "^1", "1.10.0"),
        ("1.11.0-rc.1", ">=1.11.0-rc.0 <1.11.1", "1.11.0-rc.1"),
        ("1.2.0", "^3", None),
    ],
)
def test_the_newest_tag_of_the_same_variant(now: str, wanted: str, tag: str | None) -> None:
    assert newest_tag(TAGS, now, wanted) == tag


def test_a_name_without_its_tag() -> None:
    assert repository_of("localhost:5000/a/b:1") == "localhost:5000/a/b"
    assert repository_of("nginx") == repository_of("nginx:1") == "nginx"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "registries.json"


def credentials(file: Path, address: str, password: str) -> None:
    file.write_text(json.dumps({address: {"username": "me", "password": password}}))
    file.chmod(0o600)


async def test_the_digest_of_a_tag_without_pulling_it(file: Path) -> None:
    with registry() as found:
        first = found.add("team/app", "1", "first")
        image = f"{found.address}/team/app:1"
        assert await Registry(file).digest(image) == first
        second = found.add("team/app", "1", "second")
        assert await Registry(file).digest(image) == second != first
        assert set(found.asked) == {"/v2/team/app/manifests/1"}


async def test_all_tags_however_many_pages_they_are(file: Path) -> None:
    with registry() as found:
        found.page = 2
        digests = {tag: found.add("app", tag, tag) for tag in ("1.0.0", "1.1.0", "1.2.0", "2.0.0", "latest")}
        image = f"{found.address}/app:1.0.0"
        assert set(await Registry(file).tags(image)) == set(digests)
        assert await Offers(file).newest(image, "^1") == ("1.2.0", digests["1.2.0"])
        assert await Offers(file).newest(image, "^7") is None


@pytest.mark.parametrize("tokens", [False, True], ids=["basic", "token"])
async def test_who_may_look(file: Path, tokens: bool) -> None:
    with registry(user="me", password=PASSWORD, tokens=tokens) as found:
        digest = found.add("app", "1.0.0", "private")
        image = f"{found.address}/app:1.0.0"
        for wrong in (None, "battery-staple"):
            if wrong:
                credentials(file, found.address, wrong)
            with pytest.raises(RuntimeFailure, match="without a login") as caught:
                await Registry(file).digest(image)
            assert "registries.json" in caught.value.hint and PASSWORD not in repr(caught.value)
        credentials(file, found.address, PASSWORD)
        assert await Registry(file).digest(image) == digest
        assert await Registry(file).tags(image) == ["1.0.0"]
        file.chmod(0o644)
        with pytest.raises(RuntimeFailure, match="others than you may read"):
            await Registry(file).digest(image)


async def test_what_is_not_there_and_a_registry_that_is_away(file: Path) -> None:
    with registry() as found:
        image = f"{found.address}/app:1"
        for ask in (Registry(file).digest, Registry(file).tags):
            with pytest.raises(RuntimeFailure, match="no such image"):
                await ask(image)
    with pytest.raises(RuntimeFailure, match="cannot be reached"):
        await Registry(file).digest(image)


def test_where_a_password_goes_and_a_list_may_go_on() -> None:
    far, near = Name("example.com", "app", "1"), Name("127.0.0.1:5000", "app", "1")
    assert _may_log_in("https://auth.example.com/token", far)
    assert not _may_log_in("http://auth.example.com/token", far)
    assert not _may_log_in("http://127.0.0.1/token", far)
    assert _may_log_in("http://127.0.0.1:5001/token", near)
    assert not _may_log_in("http://example.com/token", near)
    with pytest.raises(RuntimeFailure, match="somewhere else"):
        _on_same_host("https://example.com.evil.example/v2/app/tags/list", far)
