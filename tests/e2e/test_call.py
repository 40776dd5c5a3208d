"""`atek call` through the router of a real node, to the node's own APIs and to a service's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.e2e.nodes import Bench

SERVICES = "atek.cloud/services-api"

#: Answers every call with who called, with what, and what it found in its data folder.
PROGRAM = """
const fs = require('fs'), http = require('http')
const file = process.env.ATEK_DATA_DIR + '/first'
if (!fs.existsSync(file)) fs.writeFileSync(file, process.env.ATEK_ASSIGNED_SERVICE_KEY)
http.createServer((req, res) => {
  const chunks = []
  req.on('data', chunk => chunks.push(chunk))
  req.on('end', () => {
    const call = JSON.parse(Buffer.concat(chunks))
    const result = {
      path: req.url, user: req.headers['atek-auth-user'], params: call.params,
      key: process.env.ATEK_ASSIGNED_SERVICE_KEY, first: fs.readFileSync(file, 'utf8')
    }
    res.end(JSON.stringify({ jsonrpc: '2.0', id: call.id, result }))
  })
}).listen(process.env.ATEK_ASSIGNED_SOCKET_FILE)
"""


def package(bench: Bench) -> str:
    folder = bench.root / "notes"
    folder.mkdir()
    (folder / "index.js").write_text(PROGRAM)
    (folder / "atek.json").write_text('{"exports": [{"api": "example.com/notes", "path": "/_api"}]}')
    return folder.as_uri()


def call(bench: Bench, api: str, method: str, *params: Any) -> Any:
    done = bench.atek("call", api, method, json.dumps(params))
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_install_call_rename_and_find_everything_again(bench: Bench) -> None:
    bench.up()
    options = {"sourceUrl": package(bench), "user": "alice"}
    installed = call(bench, SERVICES, "install", options)
    assert installed["converged"], installed
    key = installed["key"]
    answer = call(bench, "example.com/notes", "hello", 1, "ü")
    assert answer == {"path": "/_api", "user": "system", "params": [1, "ü"], "key": key, "first": key}
    renamed = call(bench, SERVICES, "configure", "notes", {"id": "diary"})
    assert renamed == {"converged": True, "message": "diary is ready"}
    bench.kill()
    bench.up()
    bench.until(lambda: bench.ready("diary"), "the service is adopted")
    diary = call(bench, SERVICES, "get", "diary")
    assert (diary["key"], diary["settings"]["owningUserKey"], diary["status"]) == (key, "alice", "active")
    assert call(bench, "example.com/notes", "hello")["first"] == key
    assert call(bench, SERVICES, "uninstall", "diary") == {"converged": True, "message": "diary is gone"}
    done = bench.atek("call", "example.com/notes", "hello")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No service available which matches example.com/notes" in done.stderr


def test_errors_are_a_line_and_a_hint(bench: Bench) -> None:
    bench.up()
    done = bench.atek("call", SERVICES, "get", '"nothing"')
    assert done.returncode == 1
    assert done.stderr == "atek: No service found with id nothing\nhint: `atek status` lists all services\n"
    done = bench.atek("call", SERVICES, "configure", '["nothing"')
    assert done.returncode == 2


def test_the_token_is_the_owners_alone(bench: Bench) -> None:
    bench.up()
    token = bench.atek("token").stdout.strip()
    file = bench.home / "state" / "admin.token"
    assert (file.read_text().strip(), file.stat().st_mode & 0o777) == (token, 0o600)
    assert token not in bench.log() + bench.atek("status", "--json").stdout
    file.chmod(0o644)
    done = bench.atek("call", SERVICES, "list")
    assert (done.returncode, done.stdout) == (1, "")
    assert "can be read by others" in done.stderr
