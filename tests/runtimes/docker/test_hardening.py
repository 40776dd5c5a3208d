"""What a container may, seen from inside and told by the engine: rights, folders, limits, ways out."""

from __future__ import annotations

import ctypes
import io
import socket as sockets
import tarfile
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from runtimes.base import PermanentFailure
from tests.e2e.netns import run, unavailable
from tests.runtimes.docker.engines import IMAGE
from tests.runtimes.factories import started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from runtimes.base import Running
    from runtimes.docker.runtime import DockerRuntime
    from tests.runtimes.docker.lives import DockerLives

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("docker")]

#: An image whose programs run as somebody else, who is not in any passwd.
STRANGER = "atek-test-stranger:1"
OUTSIDE, GATE = "10.78.9.2", "10.78.9.1"


@pytest.fixture
async def runtime(lives: DockerLives) -> DockerRuntime:
    made = lives.next_life()
    await made.observe()
    return made


@pytest.fixture
def outside() -> Iterator[tuple[str, int]]:
    """Another machine, which knows no way to containers' own addresses; it ends each connection at once."""
    if why := unavailable():
        pytest.skip(why)
    name = "atek-outside"
    run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", "atekout", "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "address", "add", f"{GATE}/30", "dev", "atekout")
        run("ip", "link", "set", "atekout", "up")
        run("ip", "netns", "exec", name, "ip", "address", "add", f"{OUTSIDE}/30", "dev", "eth0")
        run("ip", "netns", "exec", name, "ip", "link", "set", "eth0", "up")
        with _listening_in(name) as listener:
            yield OUTSIDE, listener.getsockname()[1]
    finally:
        # The listener's thread would keep the namespace, and this in it.
        run("ip", "link", "del", "atekout")
        run("ip", "netns", "del", name)


def _listening_in(name: str) -> sockets.socket:
    """A socket belongs to the namespace it was made in, whoever accepts its connections."""
    made: list[sockets.socket] = []

    def make() -> None:
        with open(f"/run/netns/{name}") as namespace:
            assert ctypes.CDLL(None).setns(namespace.fileno(), 0) == 0
        made.append(sockets.create_server((OUTSIDE, 0)))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    threading.Thread(target=_accept, args=(made[0],), daemon=True).start()
    return made[0]


def _accept(listener: sockets.socket) -> None:
    with suppress(OSError):
        while True:
            listener.accept()[0].close()


async def inspected(lives: DockerLives, running: Running) -> dict[str, Any]:
    found: dict[str, Any] = await lives.engine.call("GET", f"/containers/{running.container}/json")
    return found


async def make_image(lives: DockerLives, tag: str, dockerfile: str) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(dockerfile)
        tar.addfile(info, io.BytesIO(dockerfile.encode()))

    async def pieces() -> AsyncIterator[bytes]:
        yield archive.getvalue()

    async with lives.engine.stream("POST", "/build", query={"t": tag}, body=pieces()) as chunks:
        said = b"".join([chunk async for chunk in chunks])
    assert b"errorDetail" not in said, said


async def test_it_has_no_rights_and_writes_only_where_it_may(
    lives: DockerLives, runtime: DockerRuntime
) -> None:
    script = (
        "cat /proc/self/status > $ATEK_DATA_DIR/status; "
        "for f in / /bin /etc; do touch $$f/x && exit 9; done; "
        "touch /tmp/x /run/x $ATEK_DATA_DIR/x || exit 8; exit 0"
    )
    running = await started(runtime, lives.make(command=["sh", "-c", script]))
    with anyio.fail_after(30):
        assert (await runtime.wait(running)).code == 0
    text = (lives.paths.data("app") / "status").read_text()
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


async def test_a_listed_capability_is_the_only_one(lives: DockerLives, runtime: DockerRuntime) -> None:
    script = "cat /proc/self/status > $ATEK_DATA_DIR/status"
    of = lives.make(command=["sh", "-c", script], capabilities=["NET_BIND_SERVICE"])
    running = await started(runtime, of)
    with anyio.fail_after(30):
        assert (await runtime.wait(running)).code == 0
    assert "CapBnd:\t0000000000000400" in (lives.paths.data("app") / "status").read_text()


async def test_an_image_of_another_user_has_its_folders(lives: DockerLives, runtime: DockerRuntime) -> None:
    await make_image(lives, STRANGER, f"FROM {IMAGE}\nUSER 1234:1234\n")
    script = "id -u > $ATEK_DATA_DIR/uid && id -u > $ATEK_DATA_DIR/below/uid && exec serve"
    of = lives.make(image=STRANGER, command=["sh", "-c", script], volumes=["./below:/below"])
    running = await started(runtime, of)
    assert running.endpoint.socket
    with anyio.fail_after(30):
        while True:
            try:
                async with await anyio.connect_unix(running.endpoint.socket) as stream:
                    await stream.send(b"GET / HTTP/1.0\r\n\r\n")
                    assert (await stream.receive()).startswith(b"HTTP/1.")
                break
            except OSError:
                await anyio.sleep(0.05)
    data = lives.paths.data("app")
    assert {(data / "uid").read_text(), (data / "below" / "uid").read_text()} == {"1234\n"}
    assert data.parent.stat().st_mode & 0o077 == 0 or lives.home.stat().st_mode & 0o077 == 0


async def test_the_engine_has_the_limits(lives: DockerLives, runtime: DockerRuntime) -> None:
    running = await started(runtime, lives.make(resources={"memory": "64Mi", "cpu": 0.5, "pids": 20}))
    found = await inspected(lives, running)
    host = found["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (64 * 2**20, 64 * 2**20)
    assert (host["NanoCpus"], host["PidsLimit"]) == (500_000_000, 20)
    assert host["RestartPolicy"]["Name"] == "no"
    assert (host["Privileged"], host["CapDrop"], host["ReadonlyRootfs"]) == (False, ["ALL"], True)


async def test_another_oci_runtime_is_passed_on_and_must_be_known(
    lives: DockerLives, runtime: DockerRuntime
) -> None:
    known = "io.containerd.runc.v2"
    running = await started(runtime, lives.make(isolation=known))
    assert (await inspected(lives, running))["HostConfig"]["Runtime"] == known
    with pytest.raises(PermanentFailure) as caught:
        await started(runtime, lives.make(isolation="no-such"), "i2")
    assert caught.value.reason == "IsolationUnavailable"
    assert caught.value.hint
    assert await lives.runs() == {"i1"}


@pytest.mark.parametrize(
    ("manifest", "reaches"),
    [({}, False), ({"network": "none"}, False), ({"publish": ["0:80"]}, False), ({"egress": True}, True),
     ({"network": "host"}, True)],
    ids=["default", "none", "published", "egress", "host"],
)  # fmt: skip
async def test_only_egress_leads_out(
    lives: DockerLives,
    runtime: DockerRuntime,
    outside: tuple[str, int],
    manifest: dict[str, Any],
    reaches: bool,
) -> None:
    address, port = outside
    script = f"busybox nc -w 2 {address} {port} < /dev/null; echo $$? > $ATEK_DATA_DIR/status; sleep 1000"
    if "publish" in manifest:
        manifest = {"publish": [f"{_free_port()}:80"]}
    running = await started(runtime, lives.make(command=["sh", "-c", script], **manifest))
    found = await inspected(lives, running)
    ports = found["NetworkSettings"]["Ports"] or {}
    assert any(ports.values()) is ("publish" in manifest)
    status = lives.paths.data("app") / "status"
    with anyio.fail_after(30):
        while not (status.exists() and status.read_text().strip()):
            await anyio.sleep(0.05)
    assert (status.read_text().strip() == "0") is reaches


def _free_port() -> int:
    with sockets.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def test_what_is_left_when_a_service_is_gone(lives: DockerLives, runtime: DockerRuntime) -> None:
    """Its networks go; its named volumes stay like data folders do; others' things are not touched."""
    engine = lives.engine
    await engine.call("POST", "/networks/create", body={"Name": "atek-somebody-elses", "Driver": "bridge"})
    try:
        of = lives.make(volumes=["cache:/cache"])
        running = await started(runtime, of)
        mine = {"filters": {"label": [f"cloud.atek.node={lives.node}"]}}
        assert len(await engine.call("GET", "/networks", query=mine)) == 1
        await runtime.collect("other", [])
        assert len(await engine.call("GET", "/networks", query=mine)) == 1
        await runtime.stop(running, force=True)
        with anyio.fail_after(30):
            await runtime.wait(running)
            while await lives.containers(running=False):
                await anyio.sleep(0.05)
        await runtime.collect("app", [])
        assert await engine.call("GET", "/networks", query=mine) == []
        volumes = (await engine.call("GET", "/volumes", query=mine))["Volumes"]
        assert len(volumes) == 1
        await engine.call("DELETE", f"/volumes/{volumes[0]['Name']}")
        names = {each["Name"] for each in await engine.call("GET", "/networks")}
        assert "atek-somebody-elses" in names
        await started(runtime, lives.make(), "i2")
        assert await lives.runs() == {"i2"}
    finally:
        await engine.call("DELETE", "/networks/atek-somebody-elses")
