"""From npm."""

from __future__ import annotations

import json
from typing import Any

from tests.programs.program import Program, command, http

FASTIFY = """
const fs = require('fs')
const file = `${process.env.ATEK_DATA_DIR}/names`
const app = require('fastify')()
app.get('/', async () => fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split(' ') : [])
app.post('/:name', async request => { fs.appendFileSync(file, `${request.params.name} `); return 'ok' })
app.listen({ path: process.env.ATEK_ASSIGNED_SOCKET_FILE })
"""
NEST = """
import { Controller, Get, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'

@Controller()
class Pages {
  @Get() page (): string { return 'from nest' }
}

@Module({ controllers: [Pages] })
class App {}

NestFactory.create(App).then(app => app.listen(process.env.PORT!, '127.0.0.1'))
"""
TSCONFIG = {
    "compilerOptions": {
        "target": "es2022", "module": "commonjs", "outDir": "dist", "rootDir": ".", "skipLibCheck": True,
        "strict": True,
        "experimentalDecorators": True, "emitDecoratorMetadata": True, "types": ["node"],
    },
    "files": ["main.ts"],
}  # fmt: skip
VITE_SERVER = """
import express from 'express'
import { page } from './dist/entry-server.js'

const app = express()
app.use('/assets', express.static('public'))
app.get('/', (request, response) => response.send(page()))
app.listen(process.env.PORT, '127.0.0.1')
"""
VITE_ENTRY = (
    "import { createSSRApp } from 'vue'\nexport const page = () => `from vite, ${typeof createSSRApp}`\n"
)
ASTRO_CONFIG = """
import node from '@astrojs/node'
export default { output: 'server', adapter: node({ mode: 'standalone' }) }
"""
ASTRO_PAGE = "<html><body>from astro</body></html>\n"
TIDDLYWIKI = """
[ -e "$ATEK_DATA_DIR/wiki" ] || tiddlywiki "$ATEK_DATA_DIR/wiki" --init server || exit
exec tiddlywiki "$ATEK_DATA_DIR/wiki" --listen host=127.0.0.1 port="$PORT"
"""
CAT = "/recipes/default/tiddlers/Cat"
TIDDLER = '{"title": "Cat", "text": "Kitty"}'
FLOWS = '[{"id": "kitty", "type": "tab", "label": "Kitty"}]'


def npm(dependencies: dict[str, str], files: dict[str, str] | None = None, **package: Any) -> dict[str, str]:
    return {"package.json": json.dumps({**package, "dependencies": dependencies}), **(files or {})}


def shell(script: str) -> list[str]:
    return ["sh", "-c", script.replace("$", "$$")]


def rpc(method: str, expected: str = "") -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []})
    return http("/", expected, method="POST", body=body, Content_Type="application/json")


PROGRAMS = [
    Program(
        "Node-RED",
        "4.1.1",
        ["node-red", "--userDir", "$ATEK_DATA_DIR", "--port", "$PORT", "-D", "uiHost=127.0.0.1"],
        files=npm({"node-red": "4.1.1"}),
        answers=http("/", "Node-RED"),
        writes=http("/flows", method="POST", body=FLOWS, Content_Type="application/json"),
        reads=http("/flows", '"Kitty"'),
    ),
    Program(
        "TiddlyWiki",
        "5.3.8",
        shell(TIDDLYWIKI),
        files=npm({"tiddlywiki": "5.3.8"}),
        answers=http("/status", "tiddlywiki_version"),
        writes=http(CAT, method="PUT", body=TIDDLER, X_Requested_With="TiddlyWiki"),
        reads=http(CAT, "Kitty"),
    ),
    Program(
        "aedes",
        "aedes-cli 0.8.0",
        ["aedes", "--protos", "tcp", "--host", "127.0.0.1", "--port", "$PORT"],
        files=npm({"aedes-cli": "0.8.0"}),
        answers=command("mosquitto_pub", "-p", "PORT", "-t", "greeting", "-m", "hello", "-q", "1"),
    ),
    Program(
        "ganache",
        "7.9.2",
        ["ganache", "-p", "$PORT", "--database.dbPath", "$ATEK_DATA_DIR/db", "--wallet.seed", "cat"],
        files=npm({"ganache": "7.9.2"}),
        answers=rpc("web3_clientVersion", "Ganache"),
        writes=rpc("evm_mine"),
        reads=rpc("eth_blockNumber", '"0x1"'),
    ),
    Program(
        "PeerJS",
        "1.0.2",
        ["peerjs", "--host", "127.0.0.1", "--port", "$PORT"],
        files=npm({"peer": "1.0.2"}),
        answers=http("/", "PeerJS Server"),
    ),
    Program(
        "Fastify",
        "5.6.1",
        [],
        files=npm({"fastify": "5.6.1"}, {"index.js": FASTIFY}),
        answers=http("/"),
        manifest={},
        writes=http("/kitty", method="POST"),
        reads=http("/", "kitty"),
    ),
    Program(
        "NestJS",
        "11.1.8",
        [],
        files=npm(
            {
                "@nestjs/common": "11.1.8", "@nestjs/core": "11.1.8", "@nestjs/platform-express": "11.1.8",
                "reflect-metadata": "0.2.2", "rxjs": "7.8.2",
            },
            {"main.ts": NEST, "tsconfig.json": json.dumps(TSCONFIG)},
            main="dist/main.js",
            scripts={"build": "tsc"},
            devDependencies={"typescript": "5.9.3", "@types/node": "22.18.0"},
        ),
        answers=http("/", "from nest"),
    ),
    Program(
        "Vite SSR on Express",
        "7.1.12",
        [],
        files=npm(
            {"express": "5.1.0", "vue": "3.5.22"},
            {"server.js": VITE_SERVER, "entry-server.js": VITE_ENTRY},
            type="module",
            main="server.js",
            scripts={"build": "vite build --ssr entry-server.js"},
            devDependencies={"vite": "7.1.12"},
        ),
        answers=http("/", "from vite, function"),
    ),
    Program(
        "Astro",
        "5.15.3",
        ["sh", "-c", "HOST=127.0.0.1 exec node dist/server/entry.mjs"],
        files=npm(
            {"astro": "5.15.3", "@astrojs/node": "9.5.0"},
            {"astro.config.mjs": ASTRO_CONFIG, "src/pages/index.astro": ASTRO_PAGE},
            type="module",
            scripts={"build": "astro build"},
        ),
        answers=http("/", "from astro"),
    ),
]  # fmt: skip
