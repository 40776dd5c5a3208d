"""An app of the original's as its author has it: in its folder, libraries above it, notes beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.compat.clients import install_clients

if TYPE_CHECKING:
    from pathlib import Path

    from tests.programs.trial import Trial

pytestmark = pytest.mark.xdist_group("compat")

SERVICES = "atek.cloud/services-api"
API = "example.com/notes"
APP = """
import http from 'node:http'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { json } from 'node:stream/consumers'
import { createRpcServer, rpc } from '@atek-cloud/node-rpc'

const FILE = path.join(path.dirname(fileURLToPath(import.meta.url)), 'notes.json')
const read = () => fs.existsSync(FILE) ? JSON.parse(fs.readFileSync(FILE, 'utf8')) : []
const server = createRpcServer({
  edition () { return 'one' },
  folder () { return path.dirname(FILE) },
  list () { return read() },
  add (note) { fs.writeFileSync(FILE, JSON.stringify([...read(), note])) },
  async asOthersSeeIt () { return await rpc('example.com/notes').list() }
}, { add: { params: [{ type: 'string' }] } })

http.createServer(async (request, response) => {
  if (request.method === 'POST') server.handle(request, response, await json(request))
  else response.end(`notes: ${read().join(', ')}`)
}).listen(process.env.ATEK_ASSIGNED_SOCKET_FILE)
"""
ATEK_JSON = {"title": "Notes", "exports": [{"api": API, "path": "/_api/notes"}]}


def test_original(trial: Trial) -> None:
    trial.name, trial.version = "an app of the original Atek's", "node-rpc 4.2.0"
    folder = _app(trial)
    with trial.step("installed in place"):
        trial.up()
        installed = _call(trial, SERVICES, "install", {"sourceUrl": folder.as_uri()})
        assert installed["converged"], trial.why("notes")
        assert _call(trial, API, "folder") == str(folder)
    with trial.step("answers"):
        _call(trial, API, "add", "buy bread")
        assert _call(trial, API, "asOthersSeeIt") == ["buy bread"]
        assert trial.page("notes") == "notes: buy bread"
    with trial.step("adopted"):
        trial.adopted("notes")
        _call(trial, API, "add", "call mother")
    with trial.step("edited"):
        before = trial.pid("notes")
        (folder / "index.js").write_text(APP.replace("'one'", "'two'"))
        _call(trial, SERVICES, "restart", "notes")
        trial.until(lambda: trial.replaced("notes", before), "another one")
        trial.until(lambda: _call(trial, API, "edition") == "two", "the edit runs")
        assert _call(trial, API, "list") == ["buy bread", "call mother"]
    with trial.step("crashed"):
        trial.crashed("notes")
        assert _call(trial, API, "list") == ["buy bread", "call mother"]
    with trial.step("uninstalled"):
        assert _call(trial, SERVICES, "uninstall", "notes")["converged"]
        trial.until(lambda: not trial.others(), "nothing is left")
        assert json.loads((folder / "notes.json").read_text()) == ["buy bread", "call mother"]
        assert sorted(each.name for each in folder.iterdir()) == [
            "atek.json", "index.js", "notes.json", "package.json"
        ]  # fmt: skip


def _app(trial: Trial) -> Path:
    files = {"index.js": APP, "package.json": '{"type": "module"}', "atek.json": json.dumps(ATEK_JSON)}
    folder = trial.package("apps/notes", files)
    (folder.parent / "node_modules").symlink_to(install_clients() / "node_modules")
    return folder


def _call(trial: Trial, api: str, method: str, *params: Any) -> Any:
    done = trial.atek("call", api, method, json.dumps(params))
    assert done.returncode == 0, f"{done.stderr}\n{trial.log()[-2000:]}"
    return json.loads(done.stdout)
