/* A store whose files are not as they were written is refused, or known to have lost something. */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { Node, pair } from '../test-support/daemons.js'

async function filled (node, count = 40) {
  const { dbId } = await node.client.call('db.create', { name: 'records' })
  const pad = 'x'.repeat(2000)
  for (let n = 0; n < count; n++) await node.client.call('rec.put', { dbId, path: [`${n}`], value: { n, pad } })
  return dbId
}

function named (node, pattern) {
  const folder = join(node.store, 'db')
  return readdirSync(folder).filter(name => pattern.test(name)).map(name => join(folder, name))
}

function flip (file) {
  const data = readFileSync(file)
  data.fill(0xa5, data.length >> 1, (data.length >> 1) + 64)
  writeFileSync(file, data)
}

const DAMAGES = {
  'CURRENT is gone': node => rmSync(join(node.store, 'db', 'CURRENT')),
  'CURRENT is empty': node => writeFileSync(join(node.store, 'db', 'CURRENT'), ''),
  'bytes of the manifest are others': node => named(node, /^MANIFEST/).forEach(flip),
  'the manifest was cut': node => named(node, /^MANIFEST/).forEach(file => truncateSync(file, 20)),
  'state.json is broken': node => writeFileSync(join(node.store, 'state.json'), '{"noise')
}

for (const [what, damage] of Object.entries(DAMAGES)) {
  test(`it is refused, with a hint, when ${what}`, async t => {
    const node = new Node(t)
    await node.start()
    await filled(node, 2)
    await node.stop()
    damage(node)
    await assert.rejects(node.start(), error => {
      assert.match(error.message, /^STORE_DAMAGED: the store .* is damaged: .*\(.*atek restore/m)
      return true
    })
  })
}

test('what a damaged log lost comes back from a follower before anything is written', async t => {
  const [writer, follower] = await pair(t, { HYPER_HOLD_MS: '60000' })
  const dbId = await filled(writer)
  await follower.client.call('db.open', { dbId })
  await follower.client.call('db.sync', { dbId, timeoutMs: 60_000 })
  await follower.stop()
  await writer.stop()
  for (const file of named(writer, /\.log$/)) truncateSync(file, statSync(file).size >> 1)
  await writer.start()
  assert.match(writer.log, /STORE_DAMAGED: records has \d+ of 41 blocks/)
  assert.equal((await writer.client.call('status')).held, true)
  const written = writer.client.call('rec.put', { dbId, path: ['new'], value: 1 })
  await follower.start()
  await written
  assert.equal((await writer.client.call('rec.get', { dbId, path: ['39'] })).value.n, 39)
})
