"""What a tunnel costs: a device and a home on loopback, beside a bare stream of HyperDHT to the same service.

The home's way is the whole one, with two daemons and the router. Both take turns in one run.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from hyper.core_services import DAEMON_FOLDER
from runtimes.packages.node_versions import find_node
from tests.e2e.afar import Device, Home
from tests.hyper.daemons import free_port

HERE = Path(__file__).parent
HOST = "hello.localhost"
MEBIBYTE = 2**20


def main(argv: list[str]) -> int:
    """`SECONDS` of each measurement, `ROUNDS` of all of them."""
    seconds, rounds = (float(argv[0]) if argv else 3.0), int(argv[1]) if len(argv) > 1 else 3
    node, port = os.fspath(find_node().node), free_port()
    home = Home()
    try:
        command = [node, os.fspath(HERE / "service.mjs")]
        home.write("hello.json", json.dumps({"id": "hello", "command": command, "port": port}))
        home.up()
        home.until(lambda: home.ready("hello"), "the service is ready")
        with Device() as device:
            code, showing = home.pair()
            with showing:
                device.connect(code)
                device.says("http://localhost:")
            words = [node, os.fspath(HERE / "bare.mjs"), DAEMON_FOLDER, str(port)]
            with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as bare:
                assert bare.stdout is not None
                ports = {"bare": int(bare.stdout.readline()), "ours": device.port}
                try:
                    _report(ports, node, seconds, rounds)
                finally:
                    bare.terminate()
    finally:
        home.close()
    return 0


def _report(ports: dict[str, int], node: str, seconds: float, rounds: int) -> None:
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for kind, clients, size in (("one", 1, 0), ("eight", 8, 0), ("large", 1, 64 * MEBIBYTE)):
            for who, port in ports.items():
                words = [node, os.fspath(HERE / "load.mjs"), str(port), HOST, str(clients), str(seconds)]
                done = subprocess.run([*words, str(size)], capture_output=True, text=True, check=True)
                found.setdefault(f"{kind} {who}", []).append(json.loads(done.stdout))
    for kind, key, unit in (("one", "p50", 1.0), ("eight", "rate", 1.0), ("large", "bytes", MEBIBYTE)):
        ours, bare = (
            statistics.median(each[key] for each in found[f"{kind} {who}"]) / unit for who in ("ours", "bare")
        )
        name = {"p50": "p50 of a GET, ms", "rate": "8 clients, requests/s", "bytes": "download, MiB/s"}[key]
        print(f"| {name} | {bare:.2f} | {ours:.2f} | {ours / bare:.2f} |")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
