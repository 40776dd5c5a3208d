"""What needs no engine: the request for a container, its rights, streams, moments, ignore rules, failures."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from runtimes.base import PermanentFailure, RuntimeUnavailable
from runtimes.docker import labels, spec
from runtimes.docker.address import find_socket
from runtimes.docker.credentials import authorization, registry_of
from runtimes.docker.failures import EngineAnswer, other_failure, start_failure
from runtimes.docker.folders import Folders
from runtimes.docker.gateway import share_gateway
from runtimes.docker.ignore import parse_ignore
from runtimes.docker.logs import since, split
from runtimes.docker.spec import Image, Place, with_tag
from runtimes.docker.streams import Demultiplexer
from runtimes.paths import Paths
from tests.runtimes.factories import launch, service

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = Image("sha256:1", ports=(80,))
PLACE = Place(
    node="n" * 32, host_port=2835, data="/h/data/app", sockets="/h/run/i1", gateway="/h/run/gateway",
    network="p", binds=("/srv/media",), copies="/h/state/git",
)  # fmt: skip


def request(**manifest: Any) -> dict[str, Any]:
    of = service(runtime="docker", image="x", **manifest)
    return spec.container(launch(of), IMAGE, PLACE, spec.service_port(of.manifest, IMAGE, 5000))


def test_a_container_has_no_rights_that_nobody_listed() -> None:
    host = request()["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] == []
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert host["NetworkMode"] == "p"
    assert host["PortBindings"] == {}
    assert host["RestartPolicy"] == {"Name": "no"}
    assert "Privileged" not in host
    assert host["Sysctls"] == {"net.ipv4.ip_unprivileged_port_start": "0"}
    assert request(network="host")["HostConfig"]["Sysctls"] == {}


def test_what_is_asked_for_is_given() -> None:
    body = request(
        egress=True, capabilities=["net_raw"], isolation="runsc", readOnly=False, user="7", publish=["1:80"],
        resources={"memory": "1Mi", "cpu": 0.5, "pids": 9},
    )  # fmt: skip
    host = body["HostConfig"]
    assert (host["CapAdd"], host["Runtime"]) == (["NET_RAW"], "runsc")
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (2**20, 500_000_000, 9)
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "1"}]}
    assert (host["ReadonlyRootfs"], body["User"]) == (False, "7")


def test_ports_on_all_addresses_and_of_the_engines_choice() -> None:
    host = request(publish=["*:8080:80", "127.0.0.1::81", "*:90-99:90/udp"])["HostConfig"]
    assert host["PortBindings"] == {
        "80/tcp": [{"HostIp": "", "HostPort": "8080"}],
        "81/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
        "90/udp": [{"HostIp": "", "HostPort": "90-99"}],
    }


def test_options_of_volumes_are_the_engines() -> None:
    host = request(volumes=["data:/d:ro,nocopy"])["HostConfig"]
    (mount,) = [each for each in host["Mounts"] if each["Type"] == "volume"]
    assert mount["ReadOnly"] and mount["VolumeOptions"]["NoCopy"] is True


def test_an_entrypoint_may_be_taken_away_and_an_own_health_check_timed() -> None:
    health = {"interval": 5, "timeout": 1.5, "startPeriod": 60, "retries": 2}
    found = request(entrypoint=[], project={"name": "a", "health": health})
    assert found["Entrypoint"] == []
    assert found["Healthcheck"] == {
        "Interval": 5_000_000_000, "Timeout": 1_500_000_000, "StartPeriod": 60_000_000_000, "Retries": 2,
    }  # fmt: skip
    assert not request().keys() & {"Entrypoint", "Healthcheck"}


def test_what_only_the_engine_has_to_know_is_given_to_it() -> None:
    engine = {
        "hostname": "h", "domainname": "lan", "init": False, "stdinOpen": True, "workingDir": "/srv",
        "shmSize": 64, "tmpfs": ["/run", "/c:size=1m"], "extraHosts": ["a:1.2.3.4"],
    }  # fmt: skip
    found = request(readOnly=False, project={"name": "a", "engine": engine})
    host = found["HostConfig"]
    assert (found["Hostname"], found["Domainname"], found["WorkingDir"]) == ("h", "lan", "/srv")
    assert (host["Init"], host["ShmSize"], host["ExtraHosts"]) == (False, 64, ["a:1.2.3.4"])
    assert (found["OpenStdin"], host["Tmpfs"]) == (True, {"/run": "", "/c": "size=1m"})
    plain = request(project={"name": "a"})
    assert not {"Domainname", "WorkingDir", "OpenStdin"} & plain.keys()
    assert not {"Init", "ShmSize", "ExtraHosts"} & plain["HostConfig"].keys()


def test_labels_say_which_instance_it_is_and_not_its_token() -> None:
    of = service(runtime="docker", image="x")
    found = request()["Labels"]
    said = labels.read_labels(found)
    assert said == labels.Labelled("i1", of, 0, 80)
    assert "the-token" not in str(found) and "the-routers" not in str(found)
    assert labels.read_labels({labels.INSTANCE: "i1"}) is None


def test_only_allowed_folders_of_this_machine() -> None:
    mounts = request(volumes=["/srv/media/films:/films:ro", "./www:/www", "cache:/c"])["HostConfig"]["Mounts"]
    sources = {mount["Target"]: mount["Source"] for mount in mounts}
    assert sources["/films"] == "/srv/media/films"
    assert sources["/www"] == "/h/data/app/www"
    assert sources["/c"] == "atek-nnnnnnnn-app-cache"
    for forbidden in ("/etc", "/srv/mediacenter", "/"):
        with pytest.raises(PermanentFailure) as caught:
            request(volumes=[f"{forbidden}:/x"])
        assert caught.value.reason == "BindForbidden"


def test_copies_of_repositories_are_for_reading() -> None:
    copy = f"/h/state/git/{'a' * 16}/{'b' * 64}-copy/content"
    project = {"project": {"name": "wiki"}}
    for more in ({}, project):
        host = request(volumes=[f"{copy}:/c:ro"], **more)["HostConfig"]
        (mount,) = (each for each in host["Mounts"] if each["Target"] == "/c")
        assert mount == {"Type": "bind", "Source": copy, "Target": "/c", "ReadOnly": True}
        # The engine would make those that are missing, and nobody may write into one.
        assert not host.get("Binds")
        others = (
            copy,
            f"{copy}/x:ro",
            f"/x{copy}:ro",
            f"{copy.removesuffix('/content')}:ro",
            "/h/state/git:ro",
        )
        for forbidden in others:
            source, _, mode = forbidden.partition(":")
            with pytest.raises(PermanentFailure):
                request(volumes=[f"{source}:/x{mode and f':{mode}'}"], **more)


@pytest.mark.parametrize(
    ("manifest", "port"),
    [({}, 80), ({"port": 81}, 81), ({"port": "auto"}, spec.AUTO_PORT), ({"network": "none"}, None),
     ({"network": "host", "port": "auto"}, 5000), ({"network": "host"}, None)],
)  # fmt: skip
def test_ports(manifest: dict[str, Any], port: int | None) -> None:
    of = service(runtime="docker", image="x", **manifest)
    assert spec.service_port(of.manifest, IMAGE, 5000) == port


def test_a_link_out_of_the_data_folder_is_not_mounted(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    data = tmp_path / "data" / "app"
    data.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (data / "www").symlink_to(elsewhere)
    of = service(runtime="docker", image="x", volumes=["./www/new:/www", "./www:/w"])
    folders = Folders(Paths(tmp_path, tmp_path / "run", 1))
    mode = elsewhere.stat().st_mode
    with pytest.raises(PermanentFailure, match="leads out of the data folder"):
        folders.make(of, "i1", Image("x"), "n", "p")
    assert elsewhere.stat().st_mode == mode
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("size", [1, 3, 8, 100])
def test_output_is_taken_apart_however_it_is_cut(size: int) -> None:
    frames = [(1, b"out\n"), (2, b"error\n"), (1, b"")]
    data = b"".join(struct.pack(">BxxxI", kind, len(text)) + text for kind, text in frames)
    demultiplexer = Demultiplexer()
    found: list[tuple[int, bytes]] = []
    for start in range(0, len(data), size):
        found += demultiplexer.feed(data[start : start + size])
    assert found == frames


@pytest.mark.parametrize(
    ("moment", "expected"),
    [("1970-01-01T00:00:01.5Z", "1.500000000"), ("1970-01-01T00:00:01.000000007Z", "1.000000007"),
     ("1970-01-01T01:00:01.25+01:00", "1.250000000"), ("", "0"), ("nonsense", "0")],
)  # fmt: skip
def test_moments(moment: str, expected: str) -> None:
    assert since(moment.encode()) == expected
    assert split(b"2026-01-01T00:00:00Z a line\n") == (b"2026-01-01T00:00:00Z", b"a line\n")


@pytest.mark.parametrize(
    ("rules", "path", "excluded"),
    [("*.log", "a.log", True), ("*.log", "d/a.log", False), ("**/*.log", "d/e/a.log", True),
     ("docs", "docs/a/b", True), ("docs\n!docs/a", "docs/a", False), ("*\n", "Dockerfile", False),
     ("# x", "# x", False), ("a?[0-9]", "ab7", True), ("/a", "a", True), ("", "a", False)],
)  # fmt: skip
def test_ignored_files(rules: str, path: str, excluded: bool) -> None:
    assert parse_ignore(rules).excludes(path) is excluded


def test_credentials_are_for_their_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "registries.json"
    assert authorization(file, "r.example/x") == {}
    file.write_text('{"r.example": {"username": "me", "password": "p"}}')
    file.chmod(0o644)
    with pytest.raises(PermanentFailure) as caught:
        authorization(file, "r.example/x")
    assert caught.value.reason == "CredentialsExposed"
    file.chmod(0o600)
    assert "X-Registry-Auth" in authorization(file, "r.example/x:1")
    assert authorization(file, "nginx") == {}
    assert (registry_of("a/b"), registry_of("localhost:5000/b")) == ("docker.io", "localhost:5000")


def test_without_a_tag_one_image_is_meant() -> None:
    assert with_tag("nginx") == "nginx:latest"
    assert with_tag("localhost:5000/x") == "localhost:5000/x:latest"
    assert with_tag("x@sha256:1") == "x@sha256:1"
    assert with_tag("x:1") == "x:1"


@pytest.mark.parametrize(
    ("message", "reason"),
    [('exec: "nope": executable file not found in $PATH: unknown', "CommandNotFound"),
     ('exec: "/x": permission denied: unknown', "NotExecutable"),
     ('exec /bin/sh: exec format error: unknown', "WrongProcessor"),
     ("Bind for 0.0.0.0:80 failed: port is already allocated", "PortInUse"),
     ("unknown or invalid runtime name: runsc", "IsolationUnavailable"),
     ("Unknown runtime specified runsc", "IsolationUnavailable"),
     ("write /x: no space left on device", "OutOfDisk"), ("whatever", "EngineError")],
)  # fmt: skip
def test_the_engines_words(message: str, reason: str) -> None:
    failure = start_failure("app", EngineAnswer(500, message))
    assert failure.reason == reason
    assert failure.permanent is (
        reason in ("CommandNotFound", "NotExecutable", "WrongProcessor", "IsolationUnavailable")
    )
    assert other_failure(EngineAnswer(500, "x"), "y", "BuildFailed").reason == "BuildFailed"
    # What is refused as nonsense stays nonsense; what is in somebody's way goes.
    assert [other_failure(EngineAnswer(status, "x"), "y").permanent for status in (400, 404, 409)] == [
        True,
        False,
        False,
    ]


def test_where_engines_are(tmp_path: Path) -> None:
    assert find_socket({"DOCKER_HOST": "unix:///x/y.sock"}) == "/x/y.sock"
    with pytest.raises(RuntimeUnavailable, match="only sockets of this machine"):
        find_socket({"DOCKER_HOST": "tcp://10.0.0.1:2375"})


def test_the_folder_shows_the_gateway_of_each_life(tmp_path: Path) -> None:
    for _ in range(2):
        own = tmp_path / "gateway.sock"
        own.unlink(missing_ok=True)
        own.touch()
        assert (share_gateway(tmp_path) / "gateway.sock").samefile(own)
