/* Records: written, compared, listed, gone back to. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as reading from '../lib/reading.js'
import { decode } from '../lib/values.js'
import { bare } from '../test-support/database.js'
import { Node } from '../test-support/daemons.js'

async function start (t) {
  const node = new Node(t)
  const client = await node.start()
  const { dbId } = await client.call('db.create', { name: 'records' })
  return { node, client, dbId, call: (method, params) => client.call(method, { dbId, ...params }), fails: (method, params) => client.fails(method, { dbId, ...params }) }
}

test('a record is what was written, until it is deleted', async t => {
  const { call } = await start(t)
  assert.equal(await call('rec.get', { path: ['a', 'b'] }), null)
  const value = { text: 'ä\u2028😀', list: [1, null, false, 1.5], deep: { '': {} } }
  assert.deepEqual(await call('rec.put', { path: ['a', 'b'], value }), { seq: 1, version: 2 })
  assert.deepEqual(await call('rec.get', { path: ['a', 'b'] }), { path: ['a', 'b'], seq: 1, value })
  await call('rec.put', { path: ['n'], value: null })
  assert.equal((await call('rec.get', { path: ['n'] })).value, null)
  assert.deepEqual(await call('rec.del', { path: ['a', 'b'] }), { version: 4 })
  assert.equal(await call('rec.get', { path: ['a', 'b'] }), null)
  assert.deepEqual(await call('rec.del', { path: ['a', 'b'] }), { version: 4 })
})

test('a write that compares is refused when the record was written meanwhile', async t => {
  const { call, fails } = await start(t)
  const { seq } = await call('rec.put', { path: ['a'], value: 1, ifSeq: 0 })
  assert.equal(await fails('rec.put', { path: ['a'], value: 2, ifSeq: 0 }), 'CAS_FAILED')
  const next = await call('rec.put', { path: ['a'], value: 2, ifSeq: seq })
  assert.equal(await fails('rec.del', { path: ['a'], ifSeq: seq }), 'CAS_FAILED')
  assert.equal(await fails('rec.batch', { ops: [{ path: ['b'], value: 1 }], ifVersion: next.version - 1 }), 'CAS_FAILED')
  assert.equal(await call('rec.get', { path: ['b'] }), null)
  await call('rec.batch', { ops: [{ path: ['b'], value: 1 }, { path: ['a'], deleted: true }], ifVersion: next.version })
  assert.deepEqual((await call('rec.list', { prefix: [] })).records.map(({ path }) => path), [['b']])
})

test('of writers that compare at once, one wins', async t => {
  const { client, dbId } = await start(t)
  const tries = await Promise.allSettled([...Array(20).keys()].map(n => client.call('rec.put', { dbId, path: ['a'], value: n, ifSeq: 0 })))
  assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1)
})

test('every version can be gone back to, also those in the middle of a batch or a group of writes', async t => {
  const { client, call, dbId } = await start(t)
  const ops = [...Array(60).keys()].map(n => n % 7 === 6 ? { path: [`k${n - 3}`], deleted: true } : { path: [`k${n}`], value: n })
  await call('rec.batch', { ops: ops.slice(0, 30) })
  await Promise.all(ops.slice(30).map(op => client.call(op.deleted ? 'rec.del' : 'rec.put', { dbId, ...op })))
  const { changes, version } = await call('db.history', { limit: 500 })
  const expected = new Map()
  assert.equal(version, 1 + changes.length)
  for (const { path: [key], seq, value, deleted } of changes) {
    if (deleted) expected.delete(key)
    else expected.set(key, value)
    const { records } = await call('rec.list', { prefix: [], version: seq + 1 })
    assert.deepEqual(records.map(({ path: [key], value }) => [key, value]), [...expected].sort(([a], [b]) => a < b ? -1 : 1))
  }
})

test('a prefix covers what lies under it; bounds follow it; pages go on from where they ended', async t => {
  const { call } = await start(t)
  const names = ['a', 'b', 'b c', 'ba', 'c', 'é']
  await call('rec.batch', {
    ops: [{ path: ['p'], value: 0 }, { path: ['pp', 'x'], value: 0 }, { path: ['p ', 'x'], value: 0 },
      ...names.map(name => ({ path: ['p', name], value: name })), { path: ['p', 'b', 'deep'], value: 'deep' }]
  })
  const list = async params => (await call('rec.list', { prefix: ['p'], ...params })).records.map(({ path }) => path.slice(1).join('/'))
  assert.deepEqual(await list({}), ['a', 'b', 'b/deep', 'b c', 'ba', 'c', 'é'])
  assert.deepEqual(await list({ reverse: true, limit: 2 }), ['é', 'c'])
  assert.deepEqual(await list({ gt: 'b', lt: 'c' }), ['b/deep', 'b c', 'ba'])
  assert.deepEqual(await list({ gte: 'b', lte: 'c' }), ['b', 'b/deep', 'b c', 'ba', 'c'])
  assert.deepEqual(await list({ gt: 'a', gte: 'b', lt: 'c', lte: 'z' }), ['b', 'b/deep', 'b c', 'ba'])
  assert.deepEqual(await list({ limit: 0 }), [])
  assert.deepEqual(await list({ prefix: ['p', 'b'] }), ['b/deep'])
})

test('all of a long list is got page by page, in both directions', async t => {
  const { call } = await start(t)
  await call('rec.batch', { ops: [...Array(1203).keys()].map(n => ({ path: ['l', String(n).padStart(5, '0')], value: n })) })
  for (const reverse of [false, true]) {
    const values = []
    let bound = {}
    for (;;) {
      const { records, next } = await call('rec.list', { prefix: ['l'], reverse, ...bound })
      assert.ok(records.length <= 500)
      values.push(...records.map(({ value }) => value))
      if (next === undefined) break
      bound = { [reverse ? 'lt' : 'gt']: next }
    }
    const all = [...Array(1203).keys()]
    assert.deepEqual(values, reverse ? all.reverse() : all)
  }
  assert.equal((await call('rec.list', { prefix: ['l'], limit: 501 })).records.length, 500)
})

test('a page has an end in bytes, too', async t => {
  const { call } = await start(t)
  for (let n = 0; n < 5; n++) await call('rec.put', { path: [`${n}`], value: 'x'.repeat(400_000) })
  const { records, next } = await call('rec.list', { prefix: [] })
  assert.deepEqual([records.length, next], [3, '2'])
  const { changes, next: seq } = await call('db.history', {})
  assert.deepEqual([changes.length, seq], [3, 4])
})

test('history tells every write of a range, in both directions', async t => {
  const { call } = await start(t)
  for (let n = 1; n <= 6; n++) await call('rec.put', { path: [n % 2 ? 'odd' : 'even', 'x'], value: n })
  await call('rec.del', { path: ['odd', 'x'] })
  const values = async params => (await call('db.history', params)).changes.map(({ value, deleted }) => deleted ? 'deleted' : value)
  assert.deepEqual(await values({}), [1, 2, 3, 4, 5, 6, 'deleted'])
  assert.deepEqual(await values({ since: 2, until: 4 }), [2, 3])
  assert.deepEqual(await values({ prefix: ['odd'] }), [1, 3, 5, 'deleted'])
  assert.deepEqual(await values({ reverse: true, limit: 2 }), ['deleted', 6])
  const { next } = await call('db.history', { reverse: true, limit: 2 })
  assert.deepEqual(await values({ reverse: true, limit: 2, until: next }), [5, 4])
  assert.deepEqual(await values({ since: 4, until: 4 }), [])
  assert.deepEqual(await values({ until: 0 }), [])
  assert.deepEqual(await values({ since: 1000 }), [])
})

test('diff tells what is different between two versions', async t => {
  const { call } = await start(t)
  for (const [key, value] of [['a', 1], ['b', 1], ['c', 1]]) await call('rec.put', { path: ['p', key], value })
  await call('rec.put', { path: ['p', 'b'], value: 2 })
  await call('rec.del', { path: ['p', 'c'] })
  await call('rec.put', { path: ['q'], value: 9 })
  const show = ({ left, right }) => [(left ?? right).path.join('/'), left?.value, right?.value]
  const diff = async params => (await call('db.diff', params)).changes.map(show)
  assert.deepEqual(await diff({ left: 4 }), [['p/b', 1, 2], ['p/c', 1, undefined], ['q', undefined, 9]])
  assert.deepEqual(await diff({ left: 4, prefix: ['p'] }), [['p/b', 1, 2], ['p/c', 1, undefined]])
  assert.deepEqual(await diff({ left: 1, right: 3 }), [['p/a', undefined, 1], ['p/b', undefined, 1]])
  assert.deepEqual(await diff({ left: 0, right: 2 }), [['p/a', undefined, 1]])
  assert.deepEqual(await diff({ left: 7 }), [])
})

test('all of a long difference is got page by page, also while somebody writes on', async t => {
  const { call } = await start(t)
  const ops = value => [...Array(703).keys()].map(n => ({ path: ['l', String(n).padStart(5, '0')], value }))
  await call('rec.batch', { ops: [...ops(1), { path: ['m'], value: 1 }] })
  const { version: left } = await call('rec.batch', { ops: [{ path: ['m'], value: 2 }] })
  const { version: right } = await call('rec.batch', { ops: [...ops(2), { path: ['m'], deleted: true }] })
  for (const [asked, expected] of [[{ prefix: [] }, 704], [{ prefix: ['l'], right }, 703]]) {
    const changed = []
    let page = asked
    for (;;) {
      const { changes, version, next } = await call('db.diff', { left, ...page })
      assert.ok(changes.length <= 250, 'a change is two records, of which a page has 500')
      changed.push(...changes)
      if (next === undefined) break
      page = { ...asked, right: version, gt: next }
      await call('rec.put', { path: ['l', `later ${changed.length}`], value: 3 })
    }
    const paths = new Set(changed.map(({ left, right }) => (left ?? right).path.join('/')))
    assert.deepEqual([changed.length, paths.size], [expected, expected])
  }
})

test('what cannot be a path, a value or a version is refused', async t => {
  const { client, fails } = await start(t)
  for (const path of [[], [''], ['a\0b'], 'a', [1], null, ['\ud800']]) {
    assert.equal(await fails('rec.put', { path, value: 1 }), 'BAD_REQUEST', JSON.stringify(path))
  }
  assert.equal(await fails('rec.put', { path: ['a'] }), 'BAD_REQUEST')
  assert.equal(await fails('rec.put', { path: ['a'], value: 'x'.repeat(15_000_000) }), 'BAD_REQUEST')
  assert.equal(await fails('rec.get', { path: ['a'], version: -1 }), 'BAD_REQUEST')
  assert.equal(await fails('rec.get', { path: ['a'], version: 99 }), 'NOT_SYNCED')
  assert.equal(await client.fails('rec.get', { dbId: 'x', path: ['a'] }), 'BAD_REQUEST')
  assert.equal(await client.fails('rec.get', { dbId: 'ab'.repeat(32), path: ['a'] }), 'NOT_FOUND')
})

test('own databases are there again after a restart, and a closed one is not', async t => {
  const { node, call, dbId } = await start(t)
  await call('rec.put', { path: ['a'], value: 1 })
  const { dbId: closed } = await node.client.call('db.create', { name: 'closed' })
  await node.client.call('db.close', { dbId: closed })
  await node.stop()
  const client = await node.start()
  assert.deepEqual((await client.call('hello')).databases.map(({ name, version }) => [name, version]), [['records', 2]])
  assert.equal((await client.call('db.create', { name: 'records' })).dbId, dbId)
  assert.equal((await client.call('db.create', { name: 'closed' })).dbId, closed)
})

test('an encrypted database is read with its key, and with no other', async t => {
  const node = new Node(t)
  await node.start()
  const encryptionKey = 'ab'.repeat(32)
  const { dbId } = await node.client.call('db.create', { name: 'secret', encryptionKey })
  await node.client.call('rec.put', { dbId, path: ['a'], value: 'hidden' })
  await node.stop()
  await node.start()
  assert.equal((await node.client.call('rec.get', { dbId, path: ['a'] })).value, 'hidden')
  assert.deepEqual((await node.client.call('key.export')).encryptionKeys, { secret: encryptionKey })
})

test('a write is acknowledged after the sync that began after it, and those that wait share one', async t => {
  const syncs = []
  const database = await bare(t, { sync: () => new Promise((resolve, reject) => syncs.push({ resolve, reject })) })
  const done = []
  const writes = [0, 1, 2].map(n => database.writer.write([{ key: `${n}`, value: Buffer.from('1') }]).then(() => done.push(n)))
  while (syncs.length < 1) await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(done, [])
  syncs[0].resolve()
  while (syncs.length < 2) {
    await new Promise(resolve => setImmediate(resolve))
    if (done.length === 3) break
  }
  syncs[1]?.resolve()
  await Promise.all(writes)
  assert.deepEqual(done, [0, 1, 2])
  assert.ok(syncs.length <= 2)
})

test('a sync that fails is a failed write', async t => {
  const database = await bare(t, { sync: async () => { throw Object.assign(new Error('x'), { code: 'ENOSPC' }) } })
  await assert.rejects(database.writer.write([{ key: 'a', value: Buffer.from('1') }]), { code: 'ENOSPC' })
})

const POISON = {
  '{': /no JSON/,
  '': /no JSON/,
  'NaN': /no JSON/,
  '"\\ud800"': /halves of characters/,
  '{"a": ["\\uDFFF"]}': /halves of characters/,
  [`${'['.repeat(501)}${']'.repeat(501)}`]: /nested too deeply/
}

for (const [text, why] of Object.entries(POISON)) {
  test(`a value that is ${text.slice(0, 20)} concerns its own record`, async t => {
    await concernsItself(t, Buffer.from(text), why)
  })
}

test('a value that would fill the memory is not made', () => {
  assert.match(decode(Buffer.from(`[${'{},'.repeat(600_000)}1]`)).undecodable, /more than 1000000 parts/)
  assert.match(decode(Buffer.from('['.repeat(14_000_000))).undecodable, /nested too deeply/)
  assert.equal(decode(Buffer.from(`["${'[{,'.repeat(600_000)}"]`)).value[0].length, 1_800_000)
})

test('a value that is no UTF-8 concerns its own record', async t => {
  await concernsItself(t, Buffer.from([0x22, 0xff, 0x22]), /no UTF-8/)
})

async function concernsItself (t, poison, why) {
  const database = await bare(t)
  for (const key of ['a', 'c']) await database.bee.put(key, Buffer.from('1'))
  await database.bee.put('b', poison)
  await database.bee.put('d', Buffer.from('"[[[\\"[[\\ud83d\\ude00"'))
  const { records } = await reading.list(database, [], {})
  assert.deepEqual(records.map(({ path, value }) => [path[0], value]), [['a', 1], ['b', undefined], ['c', 1], ['d', '[[["[[😀']])
  assert.match(records[1].undecodable, why)
  assert.match((await reading.get(database, ['b'])).undecodable, why)
  const { changes } = await reading.history(database, {})
  assert.deepEqual(changes.map(({ undecodable }) => undecodable !== undefined), [false, false, true, false])
  const { changes: differences } = await reading.diff(database, { left: 1, right: 5 })
  assert.equal(differences.length, 4)
  await database.bee.del('b')
  assert.equal((await reading.list(database, [], {})).records.length, 3)
}

test('a block that is none of a bee takes nothing else away', async t => {
  const database = await bare(t)
  await database.bee.put('a', Buffer.from('1'))
  await database.core.append([Buffer.from('what'), Buffer.from([0xff, 0xff, 0xff]), Buffer.alloc(0)])
  const { records, version } = await reading.list(database, [], {})
  assert.deepEqual([records.length, version], [1, 5])
  assert.deepEqual((await reading.history(database, {})).changes.map(({ path }) => path), [['a']])
  assert.deepEqual((await reading.history(database, { reverse: true, since: 2 })).changes, [])
})

test('a log that is no bee is DECODE', async t => {
  const database = await bare(t)
  await database.core.append(Buffer.from('what'))
  await assert.rejects(reading.get(database, ['a']), { code: 'DECODE' })
})
