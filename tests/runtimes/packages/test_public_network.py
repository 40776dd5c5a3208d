"""What a stranger names is fetched from the public network: the judge, the way, and git on it."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from manifests.model.git import GitPackage
from runtimes.base import RuntimeFailure
from runtimes.packages import git_remote, public_network
from runtimes.packages.public_network import is_public, public_way
from tests.reconciler.gitops.servers import authority, http_server
from tests.runtimes.packages.git_server import Repository, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runtimes.packages.git import Repositories

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False), ("127.8.8.8", False), ("0.0.0.0", False), ("::1", False), ("::", False),
        ("10.0.0.7", False), ("172.16.0.1", False), ("192.168.178.1", False), ("100.64.0.1", False),
        ("169.254.169.254", False), ("fe80::1%eth0", False), ("fd00::1", False), ("fec0::1", False),
        ("224.0.0.251", False), ("ff02::fb", False), ("255.255.255.255", False), ("240.0.0.1", False),
        ("198.18.0.1", False), ("192.0.2.1", False), ("2001:db8::1", False), ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True), ("64:ff9b::7f00:1", False), ("64:ff9b::a00:7", False),
        ("64:ff9b:1::1", False), ("64:ff9b::5db8:d822", True), ("2002:7f00:1::", False),
        ("::127.0.0.1", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, expected: bool) -> None:
    assert is_public(address) is expected


@contextmanager
def listening() -> Iterator[tuple[int, socket.socket]]:
    """A server of this machine; who connects is in its backlog."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server.getsockname()[1], server


def was_reached(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


async def ask(way: str, request: bytes) -> bytes:
    stream = await anyio.connect_tcp("127.0.0.1", int(way.rpartition(":")[2]))
    async with stream:
        await stream.send(request)
        with anyio.fail_after(10):
            return await stream.receive()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "0.0.0.0"])
async def test_no_spelling_of_this_machine_leads_there(host: str) -> None:
    with listening() as (port, server):
        async with public_way() as way:
            said = await ask(way.url, f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
            assert said.startswith(b"HTTP/1.1 403") and way.refused == [host]
        assert not was_reached(server)
        # With the guard taken out it is reached.
        async with public_way(lambda _: True) as way:
            said = await ask(way.url, f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
            assert said.startswith(b"HTTP/1.1 200") and not way.refused
        assert was_reached(server)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET http://127.0.0.1/ HTTP/1.1\r\n\r\n",
        b"CONNECT a b:1 HTTP/1.1\r\n\r\n",
        b"CONNECT a:99999 HTTP/1.1\r\n\r\n",
    ],
)
async def test_it_is_no_other_proxy(request_: bytes) -> None:
    async with public_way() as way:
        assert (await ask(way.url, request_)).startswith(b"HTTP/1.1 400")


async def test_the_address_that_was_judged_is_the_one_that_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that is public when it is looked at and this machine a moment later leads nowhere else."""
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    asked: list[str] = []

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(0, 0, 0, "", (each, port)) for each in answers.pop(0)]

    monkeypatch.setattr(anyio, "getaddrinfo", resolve)
    with listening() as (port, server):
        async with public_way(lambda address: address == "127.0.0.1") as way:
            said = await ask(way.url, f"CONNECT rebinds.example:{port} HTTP/1.1\r\n\r\n".encode())
            assert said.startswith(b"HTTP/1.1 200") and asked == ["rebinds.example"]
            assert was_reached(server)
            said = await ask(way.url, f"CONNECT rebinds.example:{port} HTTP/1.1\r\n\r\n".encode())
            assert said.startswith(b"HTTP/1.1 403")


async def test_bytes_go_both_ways_and_ends_are_told() -> None:
    with listening() as (port, server):
        async with public_way(lambda _: True) as way:
            stream = await anyio.connect_tcp("127.0.0.1", int(way.url.rpartition(":")[2]))
            async with stream:
                await stream.send(f"CONNECT localhost:{port} HTTP/1.1\r\n\r\nearly".encode())
                assert (await stream.receive()).startswith(b"HTTP/1.1 200")
                other, _ = server.accept()
                with other:
                    other.settimeout(10)
                    assert await anyio.to_thread.run_sync(other.recv, 100) == b"early"
                    other.sendall(b"x" * 100_000)
                    other.shutdown(socket.SHUT_WR)
                    got = b""
                    with anyio.fail_after(10):
                        while len(got) < 100_000:
                            got += await stream.receive()
                    await stream.send_eof()
                    assert await anyio.to_thread.run_sync(other.recv, 100) == b""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1"])
async def test_a_strangers_repository_is_not_fetched_from_this_machine(
    store: Repositories, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The proxy of a home must not be asked for it either, nor one left out.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "*")
    with listening() as (port, server):
        wanted = GitPackage(f"https://{host}:{port}/a.git", own=False, stranger=True)
        with pytest.raises(RuntimeFailure, match="has no address of the public network"):
            await store.update(wanted)
        assert not was_reached(server)
        # With the guard taken out it is asked.
        monkeypatch.setattr(public_network, "is_public", lambda _: True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_try, store, wanted)
            with anyio.fail_after(30):
                while not was_reached(server):
                    await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()


async def test_git_goes_this_way_to_what_is_public(
    store: Repositories, origin: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Repository(tmp_path / "inner")
    inner.commit({"a": "inner"})
    origin.commit({"a": "1", ".gitmodules": '[submodule "mod"]\n\tpath = mod\n\turl = ../inner.git\n'})
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{inner.git('rev-parse', 'HEAD')},mod")
    origin.git("commit", "--quiet", "--message=mod")
    origin.git("push", "--quiet", "origin", "HEAD")
    tls = authority(tmp_path / "tls")
    monkeypatch.setattr(public_network, "is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setattr(git_remote, "_SETTINGS", (*git_remote._SETTINGS, f"http.sslCAInfo={tls.ca}"))
    with http_server(origin.path.parent, tls) as server:
        assert await store.update(GitPackage(f"{server.url}/origin.git", own=False, stranger=True))
    assert text(store, GitPackage(f"{server.url}/origin.git", own=False, stranger=True)) == "1"
    assert text(store, GitPackage(f"{server.url}/origin.git", own=False, stranger=True), "mod/a") == "inner"


async def _try(store: Repositories, wanted: GitPackage) -> None:
    try:
        await store.update(wanted)
    except RuntimeFailure:
        pass
