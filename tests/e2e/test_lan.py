"""A node and another machine on one switch: opened by the first person, found by name, and by TLS."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.bench.processes import children_of, command_line
from tests.e2e.netns import Switch, run, unavailable
from tests.e2e.nodes import ATEK, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif(bool(unavailable()) and "CI" not in os.environ, reason=unavailable()),
    # Not beside containers: who enters a namespace keeps all its mounts, and an engine's folders busy.
    pytest.mark.xdist_group("docker"),
    pytest.mark.timeout(300),
]

CONFIG = """\
coreServices = []
name = "pi"
listen = ["0.0.0.0:2835"]
[tls]
authority = true
"""
SERVE = """
import os
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), SimpleHTTPRequestHandler).serve_forever()
"""
#: Says by which addresses the machine with this name is known, and which services there are.
ASK = """
import sys, time
from zeroconf import AddressResolver, ServiceBrowser, Zeroconf
with Zeroconf(interfaces=[sys.argv[1]]) as zeroconf:
    found = AddressResolver(sys.argv[2] + ".")
    found.request(zeroconf, 8000)
    print(*found.parsed_addresses())
    info = zeroconf.get_service_info("_http._tcp.local.", "pi._http._tcp.local.", 8000)
    print(info and (info.server, info.port))
"""
#: Another machine that has the name already, until its standard input ends.
TAKEN = """
import sys
from zeroconf import ServiceInfo, Zeroconf
zeroconf = Zeroconf(interfaces=[sys.argv[1]])
zeroconf.register_service(ServiceInfo("_http._tcp.local.", "other._http._tcp.local.", 80,
    server="pi.local.", parsed_addresses=[sys.argv[1]]))
print("there", flush=True)
sys.stdin.read()
zeroconf.close()
"""


class Lan:
    def __init__(self, switch: Switch) -> None:
        self.pi, self.phone = switch.machine("pi"), switch.machine("phone")
        for machine in (self.pi, self.phone):
            run(*machine, "ip", "route", "add", "224.0.0.0/4", "dev", "eth0")
        self.switch = switch
        self.node = Bench()
        self.node.home.mkdir(mode=0o700)
        (self.node.home / "config.toml").write_text(CONFIG)
        serve = [sys.executable, "-c", SERVE]
        self.node.declare("notes", *serve, port="auto", lan={"port": 8123}, probes={})

    @property
    def address(self) -> str:
        return self.switch.address("pi")

    def up(self) -> None:
        self.node.up("--port", "2835", program=[*self.pi, *ATEK])
        self.node.until(lambda: self.node.ready("notes"), "notes is ready")

    def first_person(self) -> None:
        person = json.dumps([{"username": "alice", "password": "correct horse 9", "role": "admin"}])
        done = self.on_pi(*ATEK, "call", "atek.cloud/users-api", "create", person)
        assert done.returncode == 0, done.stderr
        self.node.until(lambda: self.node.status()["node"].get("urls"), "the network reaches it")

    def on_pi(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.pi, *words, "--home", str(self.node.home)], capture_output=True, text=True, timeout=60
        )

    def curl(self, *words: str) -> str:
        command = [*self.phone, "curl", "-sS", "--max-time", "20", "-w", " %{http_code}", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    def ask(self, name: str) -> list[str]:
        """By multicast, from the other machine."""
        command = [*self.phone, sys.executable, "-c", ASK, self.switch.address("phone"), name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.stdout.splitlines()


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Switch() as switch:
        made = Lan(switch)
        try:
            yield made
        finally:
            made.node.close()


def test_the_first_person_opens_the_network(lan: Lan) -> None:
    lan.up()
    assert any("once there is a person" in each for each in lan.node.status()["node"]["problems"])
    assert lan.node.condition("notes", "LanPort")[1] == "NobodyToSignIn"
    for port in (2835, 8123):
        assert "onnect" in lan.curl(f"http://{lan.address}:{port}/")
    lan.first_person()
    assert lan.node.condition("notes", "LanPort") == ("", "", "")
    root = lan.node.home / "state" / "tls" / "root.crt"
    trusting = ("--cacert", str(root), "--connect-to", f"::{lan.address}:")
    lan.node.until(lambda: "200" in lan.curl(*trusting, "https://pi.local:2835/livez"), "it speaks TLS")
    assert lan.curl("--cacert", str(root), f"https://{lan.address}:2835/livez").endswith("200")
    assert lan.curl(*trusting, "https://pi.local:8123/").endswith(" 401")
    assert lan.curl(*trusting, "-H", "Host: evil.example", "https://pi.local:2835/livez").endswith(" 421")
    assert "https://" in lan.curl(f"http://{lan.address}:2835/")
    # A device that knows nothing yet fetches the root in the clear; `atek ca` says by what it is known.
    fetched = lan.node.root / "fetched.crt"
    assert lan.curl("-o", str(fetched), f"http://{lan.address}:2835/_atek/ca.crt").endswith(" 200")
    said = subprocess.run(
        ["openssl", "x509", "-inform", "der", "-in", fetched, "-noout", "-fingerprint", "-sha256"],
        capture_output=True, text=True,
    ).stdout.partition("=")[2]  # fmt: skip
    assert said.strip() in lan.on_pi(*ATEK, "ca").stdout
    # A router that is killed is back, with everything.
    (router,) = [
        pid
        for pid in children_of(lan.node.status()["node"]["pid"])
        if b"runtimes.router" in command_line(pid)
    ]
    os.kill(router, signal.SIGKILL)
    assert lan.curl(*trusting, "https://pi.local:8123/").endswith(" 401")
    # What goes frees its port.
    (lan.node.folder / "notes.json").unlink()
    lan.node.until(lambda: "onnect" in lan.curl(f"https://{lan.address}:8123/"), "the port is free")


def test_it_is_found_by_its_name_on_another_machine(lan: Lan) -> None:
    lan.up()
    lan.first_person()
    lan.node.until(lambda: lan.ask("pi.local") == [lan.address, "('pi.local.', 2835)"], "mDNS knows it")
    # Its cable is somewhere else tomorrow.
    run(*lan.pi, "ip", "addr", "del", f"{lan.address}/24", "dev", "eth0")
    run(*lan.pi, "ip", "addr", "add", "10.77.0.99/24", "dev", "eth0")
    lan.node.until(lambda: lan.ask("pi.local")[:1] == ["10.77.0.99"], "mDNS knows its new address")
    root = lan.node.home / "state" / "tls" / "root.crt"
    lan.node.until(
        lambda: lan.curl("--cacert", str(root), "https://10.77.0.99:2835/livez").endswith("200"),
        "its certificate is for the new address",
    )


def test_a_name_that_another_machine_has_is_left_to_it(lan: Lan) -> None:
    command = [*lan.phone, sys.executable, "-c", TAKEN, lan.switch.address("phone")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "there\n"
        lan.up()
        lan.first_person()
        lan.node.until(
            lambda: any("pi-2.local" in each for each in lan.node.status()["node"]["problems"]),
            "it says that it has another name",
        )
        assert lan.node.status()["node"]["urls"][0] == "https://pi-2.local:2835"
        assert lan.ask("pi-2.local")[:1] == [lan.address]
        other.communicate()
