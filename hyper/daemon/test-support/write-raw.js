/*
 * Writes into a database of a store that no daemon has open, past everything that a daemon would refuse.
 *
 *   node write-raw.js STORE NAME < '[{"key": "a\u0000b", "bytes": "<base64>"}, {"block": "<base64>"}]'
 */
import { text } from 'node:stream/consumers'

import Hyperbee from 'hyperbee'

import { openStore } from '../lib/store.js'

const [folder, name] = process.argv.slice(2)
const store = await openStore(folder)
const core = store.get({ name })
const bee = new Hyperbee(core, { keyEncoding: 'utf-8', valueEncoding: 'binary', extension: false })
await bee.ready()
for (const { key, bytes, block } of JSON.parse(await text(process.stdin))) {
  if (block !== undefined) await core.append(Buffer.from(block, 'base64'))
  else await bee.put(key, Buffer.from(bytes, 'base64'))
}
await store.close()
