"""What a container keeps outlives it, on a real Docker and a real Podman."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import orjson
import pytest

from runtimes.docker import labels
from runtimes.docker.spec import DATA
from tests.runtimes.docker.engines import IMAGE, any_engine, make_image
from tests.runtimes.docker.lives import docker_lives
from tests.runtimes.docker.podman import podman
from tests.runtimes.factories import launch, started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from manifests.model.service import Service
    from runtimes.base import Running
    from runtimes.docker.runtime import DockerRuntime
    from tests.runtimes.docker.lives import DockerLives

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("docker")]

KEEPS, OTHER = "atek-keeps:1", "atek-keeps:2"
ENGINES = {"docker": any_engine, "podman": podman}
#: Adds a line to what is at `$1`, then tells what is there by now and waits.
WRITES = "echo $0 >> $1; cat $1 > $ATEK_DATA_DIR/told.new; mv $ATEK_DATA_DIR/told.new $ATEK_DATA_DIR/told; "
WAITS = "trap 'exit 0' TERM; while :; do sleep 0.05; done"


@pytest.fixture(params=ENGINES)
def engine_socket(request: pytest.FixtureRequest) -> str:
    return ENGINES[request.param]()


@pytest.fixture
async def lives(engine_socket: str) -> AsyncIterator[DockerLives]:
    await make_image(engine_socket, KEEPS, "VOLUME /keep /etc/")
    await make_image(engine_socket, OTHER, "VOLUME /keep /more")
    async with docker_lives(engine_socket) as found:
        yield found


def writer(lives: DockerLives, word: str, path: str = "/keep/words", **manifest: Any) -> Service:
    command = ["/bin/sh", "-c", WRITES + WAITS, word, path]
    return lives.make(**{"image": KEEPS, "command": command, "env": {"PATH": "/bin"}, **manifest})


async def told(lives: DockerLives, words: list[str], service_id: str = "app") -> None:
    """Returns once the program has said so."""
    file = lives.paths.data(service_id) / "told"
    with anyio.fail_after(30):
        while not file.exists() or file.read_text().split() != words:
            await anyio.sleep(0.02)


async def ended(runtime: DockerRuntime, running: Running) -> None:
    await runtime.stop(running, force=True)
    with anyio.fail_after(30):
        await runtime.wait(running)


async def test_what_an_image_keeps_is_there_after_a_crash_an_edit_and_a_kill(lives: DockerLives) -> None:
    runtime = lives.next_life()
    await runtime.observe()
    first = await started(runtime, writer(lives, "one"), "i1")
    await told(lives, ["one"])
    await ended(runtime, first)
    second = await started(runtime, writer(lives, "one"), "i2")
    await told(lives, ["one", "one"])
    await ended(runtime, second)
    edited = await started(runtime, writer(lives, "two"), "i3")
    await told(lives, ["one", "one", "two"])
    runtime = lives.next_life()
    await lives.engine.call("POST", f"/containers/{edited.container}/kill")
    await runtime.observe()
    await started(runtime, writer(lives, "three"), "i4")
    await told(lives, ["one", "one", "two", "three"])
    # Nothing that nobody finds again.
    assert len(await lives.volumes()) == 2
    everything = await lives.engine.call("GET", "/volumes")
    assert [each["Name"] for each in everything["Volumes"] if len(each["Name"]) == 64] == []


async def test_each_replica_and_service_has_its_own(lives: DockerLives) -> None:
    runtime = lives.next_life()
    await runtime.observe()
    await started(runtime, writer(lives, "zero"), "i1", 0)
    await told(lives, ["zero"])
    await started(runtime, writer(lives, "one"), "i2", 1)
    await told(lives, ["one"])
    await started(runtime, writer(lives, "other", service_id="other"), "i3")
    await told(lives, ["other"], "other")


async def test_an_image_with_other_volumes_finds_those_that_match_and_loses_none(lives: DockerLives) -> None:
    runtime = lives.next_life()
    await runtime.observe()
    before = await started(runtime, writer(lives, "one", "/etc/words"), "i1")
    await told(lives, ["one"])
    await ended(runtime, before)
    between = await started(runtime, writer(lives, "two", image=OTHER), "i2")
    await told(lives, ["two"])
    await ended(runtime, between)
    last = await started(runtime, writer(lives, "three", "/etc/words"), "i3")
    await told(lives, ["one", "three"])
    await ended(runtime, last)
    await started(runtime, writer(lives, "four"), "i4")
    await told(lives, ["two", "four"])


async def test_what_the_manifest_has_a_place_for_is_there(lives: DockerLives) -> None:
    runtime = lives.next_life()
    await runtime.observe()
    await started(runtime, writer(lives, "one", volumes=["./kept:/keep/", "named:/etc"]), "i1")
    await told(lives, ["one"])
    assert (lives.paths.data("app") / "kept" / "words").read_text() == "one\n"
    assert await lives.volumes() == {f"atek-{lives.node[:8]}-app-named"}


async def test_what_the_image_has_there_is_copied_once(lives: DockerLives) -> None:
    await make_image(lives.socket, "atek-keeps:3", "VOLUME /bin")
    runtime = lives.next_life()
    await runtime.observe()
    of = writer(lives, "one", "/bin/words", image="atek-keeps:3")
    first = await started(runtime, of, "i1")
    await told(lives, ["one"])
    await ended(runtime, first)
    await started(runtime, of, "i2")
    await told(lives, ["one", "one"])


async def test_volumes_go_once_the_service_and_its_data_are_gone(lives: DockerLives) -> None:
    runtime = lives.next_life()
    await runtime.observe()
    of = writer(lives, "one")
    running = await started(runtime, of)
    await told(lives, ["one"])
    await ended(runtime, running)
    await runtime.collect("app", [of])
    await runtime.collect("app", [])
    assert len(await lives.volumes()) == 2
    shutil.rmtree(lives.paths.data("app"))
    runtime = lives.next_life()
    await runtime.observe()
    assert await lives.volumes() == set()


async def test_data_folders_that_cannot_be_seen_are_not_gone(lives: DockerLives) -> None:
    """As when the disk that they are on is not mounted."""
    runtime = lives.next_life()
    await runtime.observe()
    of = writer(lives, "one")
    await ended(runtime, await started(runtime, of))
    shutil.rmtree(lives.home / "data")
    (lives.home / "data").mkdir()
    runtime = lives.next_life()
    await runtime.observe()
    assert len(await lives.volumes()) == 2
    assert (await runtime.kept(of)).what == "it has a volume at /etc"
    assert (await runtime.kept(writer(lives, "other", service_id="other"))).what == ""


@pytest.mark.parametrize("still_runs", [True, False])
async def test_nameless_volumes_of_an_earlier_version_are_handed_over(
    lives: DockerLives, *, still_runs: bool
) -> None:
    """It made containers without a thought of what their images keep."""
    lives.next_life()
    of = writer(lives, "one")
    data = lives.paths.data("app")
    data.mkdir(parents=True)
    body = {
        "Image": KEEPS,
        "Cmd": list(of.manifest.command or ()),
        "Labels": labels.labels(lives.node, launch(of), None),
        "Env": ["PATH=/bin", f"ATEK_DATA_DIR={DATA}"],
        "HostConfig": {"Binds": [f"{data}:{DATA}"]},
    }
    made = (await lives.engine.call("POST", "/containers/create", body=body))["Id"]
    await lives.engine.call("POST", f"/containers/{made}/start")
    await told(lives, ["one"])
    if not still_runs:
        await lives.engine.call("POST", f"/containers/{made}/kill")
    runtime = lives.next_life()
    for running in await runtime.observe():
        await ended(runtime, running)
    await started(runtime, writer(lives, "two"), "i2")
    await told(lives, ["one", "two"])


async def test_a_note_that_is_damaged_concerns_its_service_alone(lives: DockerLives) -> None:
    runtime = lives.next_life()
    await runtime.observe()
    await started(runtime, writer(lives, "one"))
    note = lives.home / "state" / "volumes" / "app.json"
    assert orjson.loads(note.read_bytes())["volumes"]
    note.write_text("{")
    runtime = lives.next_life()
    assert [each.instance for each in await runtime.observe()] == ["i1"]
    await started(runtime, writer(lives, "other", service_id="other"), "i2")
    await told(lives, ["other"], "other")


async def test_a_container_that_ended_keeps_what_was_written_inside(lives: DockerLives) -> None:
    runtime = lives.next_life()
    await runtime.observe()
    of = writer(lives, "one", "/etc/words", image=IMAGE, readOnly=False)
    first = await started(runtime, of, "i1")
    await told(lives, ["one"])
    await ended(runtime, first)
    again = await started(runtime, of, "i2")
    await told(lives, ["one", "one"])
    assert again.container == first.container
    assert [each.instance for each in await runtime.observe()] == [again.instance]
    # By a node that was killed meanwhile, too.
    await lives.engine.call("POST", f"/containers/{again.container}/kill")
    runtime = lives.next_life()
    assert list(await runtime.observe()) == []
    third = await started(runtime, of, "i3")
    await told(lives, ["one", "one", "one"])
    # Another revision is another program.
    await ended(runtime, third)
    other = writer(lives, "two", "/etc/words", image=IMAGE, readOnly=False)
    await started(runtime, other, "i4")
    await told(lives, ["two"])
    await runtime.collect("app", [other])
    assert [each["Labels"][labels.INSTANCE] for each in await lives.containers(running=False)] == ["i4"]


async def test_what_crashed_has_a_termination_message(lives: DockerLives) -> None:
    runtime = lives.next_life()
    await runtime.observe()
    says = [
        "/bin/sh",
        "-c",
        "echo begins; read token < ${ATEK_HOST_BEARER_TOKEN_FILE:-/dev/null}; "
        "echo Error: no database, only $$token$$ATEK_HOST_BEARER_TOKEN >&2; exit 3",
    ]
    for number, read_only in enumerate((True, False)):
        of = lives.make(command=says, env={"PATH": "/bin"}, readOnly=read_only)
        running = await started(runtime, of, f"i{number}")
        with anyio.fail_after(30):
            exit = await runtime.wait(running)
        assert exit.code == 3
        # Of two streams nobody knows which of two lines of one moment came first.
        assert exit.said.split(" | ")[0] == "Error: no database, only ***"


#: Tells its tokens, wherever it has them.
TELLS = (
    "says() { echo ${1:-$(cat $2)}; }; "
    "{ says \"$ATEK_HOST_BEARER_TOKEN\" $ATEK_HOST_BEARER_TOKEN_FILE; "
    "says \"$ATEK_ROUTER_TOKEN\" $ATEK_ROUTER_TOKEN_FILE; } > $ATEK_DATA_DIR/told.new; "
    "mv $ATEK_DATA_DIR/told.new $ATEK_DATA_DIR/told; "
)  # fmt: skip


def teller(lives: DockerLives, **manifest: Any) -> Service:
    command = ["/bin/sh", "-c", (TELLS + WAITS).replace("$", "$$")]
    return lives.make(
        **{"image": IMAGE, "command": command, "readOnly": False, "env": {"PATH": "/bin"}, **manifest}
    )


async def with_tokens(runtime: DockerRuntime, of: Service, instance: str, token: str) -> Running:
    identity = {"key": "k", "token": token, "routerToken": f"{token}-router"}
    await runtime.prepare(of, lambda _: None)
    return await runtime.start(replace(launch(of, instance), identity=identity))


def tokens(running: Running) -> tuple[str, str]:
    return running.token, running.router_token


async def test_a_container_that_is_started_again_has_new_tokens(lives: DockerLives) -> None:
    runtime = lives.next_life()
    await runtime.observe()
    of = teller(lives)
    first = await with_tokens(runtime, of, "i1", "token-1")
    await told(lives, ["token-1", "token-1-router"])
    await ended(runtime, first)
    again = await with_tokens(runtime, of, "i2", "token-2")
    assert again.container == first.container
    await told(lives, ["token-2", "token-2-router"])
    assert tokens(again) == ("token-2", "token-2-router")
    # Whoever asks the engine is told neither, and the next life of a node that was killed knows them.
    found = await lives.engine.call("GET", f"/containers/{again.container}/json")
    assert b"token-1" not in orjson.dumps(found) and b"token-2" not in orjson.dumps(found)
    [adopted] = await lives.next_life().observe()
    assert tokens(adopted) == ("token-2", "token-2-router")


async def test_one_that_an_earlier_version_made_goes_on_as_it_was_made(
    lives: DockerLives, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = lives.next_life()
    await runtime.observe()
    of = teller(lives)
    with monkeypatch.context() as patched:
        patched.setattr("runtimes.docker.starting.as_files", lambda launch: launch)
        first = await with_tokens(runtime, of, "i1", "token-1")
    await told(lives, ["token-1", "token-1-router"])
    await ended(runtime, first)
    again = await with_tokens(runtime, of, "i2", "token-2")
    assert again.container == first.container
    assert tokens(again) == tokens(first) == ("token-1", "token-1-router")
