"""`python -m tests.bench.router.tls`: our router beside nginx, both with TLS, by certificates of one kind.

One worker each, the same service behind them, connections kept open. They take turns, and the ratio is that
of neighbours; what is told are medians over the rounds. Needs an address of this machine that is not
loopback: there a node speaks TLS.
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from operator import truediv
from typing import TYPE_CHECKING

from reconciler.lan.authority import issue
from runtimes.local_addresses import local_addresses
from tests.bench.packages import from_system
from tests.bench.processes import cpu_seconds
from tests.bench.router.backends import Backend, NginxBackend
from tests.bench.router.cores import cores_of_their_own
from tests.bench.router.daemon import free_port, listens
from tests.bench.router.load import Wrk
from tests.bench.router.ours import Atek
from tests.bench.router.proxies import Nginx
from tests.bench.router.wire import (
    ANSWER,
    SERVICE,
    Connection,
    Request,
    WrongAnswer,
    expect_answer,
    plain_get,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.router.wire import Address

#: The TLS of both: what nginx takes for its default today.
_TLS = "ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:a:1m;"


class TlsNginx(Nginx):
    """The one to be measured by, with a certificate like ours."""

    def launch(self) -> None:
        super().launch()
        assert self.process
        self.process.terminate()
        self.process.wait()
        pem = self.folder / "both.pem"
        made = issue(
            self.folder / "tls", node="bench", domain="localhost", hosts=["bench.local"], addresses=[]
        )
        pem.write_text(made["pem"])
        text = self.config.read_text().replace(
            f"listen 127.0.0.1:{self.port} backlog=1024;",
            f"listen 127.0.0.1:{self.port} ssl backlog=1024; ssl_certificate {pem};\n"
            f"    ssl_certificate_key {pem}; {_TLS}",
        )
        self.config.write_text(text)
        self.begin(from_system("nginx", "nginx"), "-c", self.config, "-g", "daemon off;")


class TlsAtek(Atek):
    """A node on its network, with somebody who lives there, and a service for everybody on its own port."""

    def __init__(self, kind: NginxBackend, host: str) -> None:
        self._port = free_port()
        super().__init__(
            kind, config=f"listen = ['{host}:{free_port()}']\nmdns = false\n[tls]\nauthority = true\n"
        )
        self.network: Address = host, self._port
        manifest = json.loads((self.manifests / f"{SERVICE}.json").read_text())
        self.write({**manifest, "access": "public", "lan": {"port": self._port}})

    def start(self) -> None:
        super().start()
        person = [{"username": "alice", "password": "correct horse battery staple", "role": "admin"}]
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "create", "params": person}).encode()
        headers = {
            "Host": "localhost",
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
        }
        with Connection(self.address) as connection:
            answer = connection.ask(Request("POST", "/_atek/gateway?api=atek.cloud/users-api", headers, body))
        if answer.status != 200:
            raise WrongAnswer(f"nobody could be made: {answer.body!r}")
        self.until(lambda: _connects(self.network), "the node is on its network")


def _connects(address: Address) -> bool:
    with socket.socket() as one:
        return one.connect_ex(address) == 0


@dataclass(frozen=True)
class Contestant:
    """`size`: bytes of a right answer."""

    proxy: TlsNginx | TlsAtek
    address: Address
    size: int


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    host = next((each for each in local_addresses().reachable if ":" not in each), None)
    if host is None:
        print("this machine has no address but loopback", file=sys.stderr)
        return 1
    found: dict[int, dict[str, float]] = {}
    with ExitStack() as stack:
        backend = Backend(kind := NginxBackend())
        stack.callback(backend.stop)
        nginx, ours = TlsNginx(backend), TlsAtek(kind, host)
        for each in (nginx, ours):
            stack.callback(each.stop)
            each.start()
        nginx.until(lambda: listens(nginx.port), "nginx listens")
        sizes = {"nginx": _size_of(nginx), "atek": expect_answer(ours.address, plain_get()).size}
        places = {
            "nginx": Contestant(nginx, nginx.address, sizes["nginx"]),
            "atek": Contestant(ours, ours.network, sizes["atek"]),
        }
        with cores_of_their_own([nginx, ours]):
            for count in options.connections:
                found[count] = _beside(places, options, count)
    print(json.dumps(found) if options.json else _markdown(found))
    return 0


def _size_of(nginx: TlsNginx) -> int:
    """Bytes of a right answer."""
    context = ssl.create_default_context(cafile=str(nginx.folder / "tls" / "root.crt"))
    with (
        socket.create_connection(nginx.address) as plain,
        context.wrap_socket(plain, server_hostname="bench.local") as connection,
    ):
        connection.sendall(bytes(plain_get()))
        data = b""
        while ANSWER not in data:
            if not (piece := connection.recv(65536)):
                raise WrongAnswer(f"nginx said {data!r}")
            data += piece
        return len(data)


def _beside(places: dict[str, Contestant], options: argparse.Namespace, count: int) -> dict[str, float]:
    load = Wrk("https")
    rates: dict[str, list[float]] = {name: [] for name in places}
    # On a machine with other work, processor time says more than the clock.
    cpu: dict[str, list[float]] = {name: [] for name in places}
    for each in range(options.rounds):
        for name in sorted(places, reverse=bool(each % 2)):
            one = places[name]
            before = cpu_seconds(one.proxy.pids())
            sample = load.run(
                one.address, plain_get(), size=one.size, connections=count, seconds=options.seconds
            )
            rates[name].append(sample.rate)
            cpu[name].append((cpu_seconds(one.proxy.pids()) - before) / sample.requests)
            print(f"  {name} × {count}: {sample.rate:.0f}/s", file=sys.stderr, flush=True)
    return {
        **{name: statistics.median(each) for name, each in rates.items()},
        "ratio": statistics.median(map(truediv, rates["atek"], rates["nginx"])),
        "cpu": statistics.median(map(truediv, cpu["nginx"], cpu["atek"])),
    }


def _markdown(found: dict[int, dict[str, float]]) -> str:
    lines = [
        "| GET by TLS, connections | nginx | atek | ÷ nginx | … a second of processor time |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for count, each in found.items():
        rates = f"{each['nginx'] / 1e3:.1f}k | {each['atek'] / 1e3:.1f}k"
        lines.append(f"| {count} | {rates} | {each['ratio']:.2f} | {each['cpu']:.2f} |")
    return "\n".join(lines)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.router.tls", description=__doc__)
    parser.add_argument(
        "--connections", type=lambda text: [int(each) for each in text.split(",")], default=[32, 128]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
