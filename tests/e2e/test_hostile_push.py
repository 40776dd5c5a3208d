"""A package that another node pushes, and that wants this one: what it gets as it is followed by default.

The same program runs twice. As what others wrote (`--trust foreign`) none of its attempts comes to anything;
trusted like an own machine, and without a sandbox, each of them does: so it is the terms that keep it out.
"""

from __future__ import annotations

import http.server
import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.members import Member

pytestmark = [pytest.mark.xdist_group("members"), pytest.mark.timeout(300)]

#: Each attempt is a function that throws where it comes to nothing.
PROGRAM = r"""
const fs = require('fs'), http = require('http'), net = require('net'), path = require('path')
const home = process.env.VICTIM, outside = +process.env.OUTSIDE, node = +process.env.VICTIM_PID
const connect = (options) => new Promise((resolve, reject) => {
  const socket = net.connect(options, () => { socket.destroy(); resolve() })
  socket.on('error', reject).setTimeout(3000, () => reject(new Error('late')))
})
const call = (token) => new Promise((resolve, reject) => {
  const socketPath = process.env.ATEK_HOST_SOCKET, port = process.env.ATEK_HOST_PORT
  const asked = http.request({
    ...(socketPath ? {socketPath} : {host: '127.0.0.1', port}), method: 'POST',
    path: '/_atek/gateway?api=atek.cloud/services-api',
    headers: {authorization: `Bearer ${token}`, 'content-type': 'application/json'}, timeout: 5000
  }, (answer) => {
    let text = ''
    answer.on('data', (chunk) => { text += chunk })
    answer.on('end', () => 'result' in JSON.parse(text) ? resolve() : reject(new Error(text)))
  })
  asked.on('error', reject).on('timeout', () => reject(new Error('late')))
  asked.end(JSON.stringify({jsonrpc: '2.0', id: 1, method: 'list', params: []}))
})
const attempts = {
  'read admin.token': () => fs.readFileSync(path.join(home, 'state', 'admin.token')),
  'be an administrator': () => call(fs.readFileSync(path.join(home, 'state', 'admin.token'), 'utf8').trim()),
  'ask the services API': () => call(process.env.ATEK_HOST_BEARER_TOKEN),
  'declare a process': () => fs.writeFileSync(path.join(path.dirname(home), 'm', 'pwned.json'),
    JSON.stringify({id: 'pwned', command: ['sleep', '1000'], probes: {readiness: 'none'}})),
  'read the secret of another': () => {
    for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        if (fs.readFileSync(`/proc/${pid}/environ`, 'utf8').includes('SECRET_OF_ANOTHER=')) return
      } catch {}
    }
    throw new Error('nobody has it')
  },
  'read the data of another': () => fs.readFileSync(path.join(home, 'data', 'victim', 'diary')),
  'write into the data of another': () => fs.writeFileSync(path.join(home, 'data', 'victim', 'pwned'), ''),
  'find the control socket': () => connect({path: fs.realpathSync(path.join(home, 'run')) + '/control.sock'}),
  'signal the node': () => process.kill(node, 0),
  'read a file of the user': () => fs.readFileSync(path.join(path.dirname(home), 'id_rsa')),
  'connect to a server of this machine': () => connect({host: '127.0.0.1', port: outside}),
  'read who is followed': () => fs.readFileSync(path.join(home, 'state', 'follows.json')),
}
async function main () {
  const got = {}
  for (const [name, attempt] of Object.entries(attempts)) {
    try { await attempt(); got[name] = true } catch (error) { got[name] = String(error.message) }
  }
  const file = path.join(process.env.ATEK_DATA_DIR, 'report.json')
  fs.writeFileSync(`${file}.new`, JSON.stringify(got))
  fs.renameSync(`${file}.new`, file)
}
main()
http.createServer((request, response) => response.end('ok')).listen(process.env.ATEK_ASSIGNED_SOCKET_FILE)
"""


@pytest.fixture
def outside() -> Iterator[int]:
    """A server of this machine that is no business of others."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def victim(pi: Member) -> None:
    """What there is to be had on the pi."""
    (pi.root / "id_rsa").write_text("mine\n")
    pi.declare(
        "victim", "sh", "-c", 'echo dear > "$ATEK_DATA_DIR/diary"; exec sleep 1000',
        env={"SECRET_OF_ANOTHER": "1"},
    )  # fmt: skip
    pi.up()
    pi.until(lambda: pi.ready("victim") and (pi.home / "data" / "victim" / "diary").exists(), "it is there")


def push(laptop: Member, pi: Member, outside: int, **more: Any) -> None:
    folder = laptop.root / "app"
    folder.mkdir(exist_ok=True)
    (folder / "index.js").write_text(PROGRAM)
    assert pi.node is not None
    env = {"VICTIM": os.fspath(pi.home), "OUTSIDE": str(outside), "VICTIM_PID": str(pi.node.pid)}
    (folder / "atek.yaml").write_text(json.dumps({"id": "app", "nodes": ["pi"], "env": env, **more}))
    laptop.told("push", str(folder))


def report(pi: Member) -> dict[str, Any]:
    file: Path = pi.home / "data" / "app" / "report.json"
    pi.until(file.exists, "it has tried", 90)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_what_others_push_gets_nothing_of_this_node(pair: tuple[Member, Member], outside: int) -> None:
    laptop, pi = pair
    laptop.up()
    victim(pi)
    pi.follow(laptop, "--trust", "foreign")
    laptop.follow(pi, "--status-only")
    push(laptop, pi, outside)
    found = report(pi)
    assert [name for name, got in found.items() if got is True] == []
    # It was not for want of a way to the gateway.
    assert "may not call" in found["ask the services API"]
    pi.until(lambda: pi.ready("app"), "it runs")
    assert not pi.service("pwned")["instances"] and not (pi.home / "data" / "victim" / "pwned").exists()
    told = pi.atek("status", "app").stdout
    assert "sandbox: strict" in told and "call: no API" in told

    # What it would have to ask for, and what it does not get by asking.
    push(laptop, pi, outside, sandbox="none", allow=["atek.cloud/services-api"])
    pi.until(lambda: pi.condition("app", "Stalled")[1] == "GrantRequired", "it asks")
    laptop.until(lambda: laptop.sees(pi, "app", "Stalled")[1] == "GrantRequired", "its author is told so")
    told = pi.told("grant")
    assert "sandbox:none" in told and "api:atek.cloud/services-api" in told
    push(laptop, pi, outside, id="core.hyper")
    pi.until(lambda: "PolicyForbids" in pi.atek("events").stdout, "it is refused")


def test_without_its_terms_it_would_get_all_of_it(pair: tuple[Member, Member], outside: int) -> None:
    laptop, pi = pair
    laptop.up()
    victim(pi)
    pi.follow(laptop, "--trust", "own")
    laptop.follow(pi, "--status-only")
    push(laptop, pi, outside, sandbox="none", allow=["atek.cloud/services-api"])
    found = report(pi)
    assert {name: got for name, got in found.items() if got is not True} == {}
    pi.until(lambda: pi.ready("pwned"), "it has declared a process of its own")
