// An app of the original's kind that keeps cats in the Atek Database. GET /NAME plays a scenario below and
// answers with what it came to; the app finds the libraries where its config says.

import http from 'node:http'
import { once } from 'node:events'

const { default: adb, defineSchema } = await import(`${process.env.LIBRARIES}/@atek-cloud/adb-api/dist/index.js`)
const { ws } = await import(`${process.env.LIBRARIES}/@atek-cloud/node-rpc/dist/index.js`)

const cats = defineSchema('example.com/cats', {
  pkey: '/id',
  jsonSchema: {
    type: 'object',
    required: ['id', 'createdAt'],
    properties: {
      id: { type: 'string' },
      lives: { type: 'number' },
      createdAt: { type: 'string', format: 'date-time' }
    }
  }
})
const diary = defineSchema(['example.com', 'diary'])

const failure = async promise => {
  try { await promise } catch (error) { return { name: error.name, code: error.code, message: error.message } }
}

const scenarios = {
  async crud () {
    const db = adb.db({})
    await db.isReady
    for (let i = 0; i < 10; i++) await cats(db).create({ id: `cat${i}`, lives: i })
    const got = await cats(db).get('cat3')
    const { records } = await cats(db).list()
    const some = await cats(db).list({ gt: 'cat2', limit: 3, reverse: true, onInvalid: 'throw' })
    await cats(db).put('cat3', { ...got.value, lives: 9 })
    const changed = await cats(db).get('cat3')
    await cats(db).delete('cat3')
    return {
      dbId: db.dbId,
      got,
      keys: records.map(each => each.key),
      seqs: records.map(each => typeof each.seq),
      some: some.records.map(each => each.key),
      lives: changed.value.lives,
      gone: await failure(cats(db).get('cat3')),
      left: (await db.list('example.com/cats')).records.length,
      invalid: await failure(cats(db).put('tom', {}))
    }
  },

  async keys () {
    const db = adb.db('diary', { access: 'private' })
    const made = []
    for (let i = 0; i < 20; i++) made.push((await diary(db).create({ text: `day ${i}` })).key)
    const { records } = await diary(db).list()
    const odd = await db.put(['a/b', 'c d', 'é'], { odd: true })
    return {
      sorted: [...made].sort().join() === made.join() && records.map(each => each.key).join() === made.join(),
      odd,
      read: await db.get(['a/b', 'c d', 'é']),
      undefineds: (await db.list('example.com/diary', undefined)).records.length
    }
  },

  async databases () {
    const db = adb.db('mine', { access: 'private' })
    await db.isReady
    const again = adb.db('mine')
    await again.isReady
    const before = await adb.api.dbGetConfig('mine')
    await adb.api.dbConfigure('mine', { access: 'public', alias: 'ours' })
    const after = await adb.api.dbGetConfig(db.dbId)
    await adb.api.dbConfigure('ours', { access: 'private', alias: 'mine' })
    return {
      same: db.dbId === again.dbId,
      described: await db.describe(),
      before,
      after,
      list: (await adb.api.dbList()).map(each => each.dbId),
      refused: await failure(adb.api.getConfig()),
      none: await failure(adb.api.dbDescribe('nothing')),
      wrong: await failure(adb.api.dbCreate({ alias: 3 }))
    }
  },

  // Somebody else's database, by its key.
  async others ({ dbId }) {
    const db = adb.db(dbId)
    return {
      read: await failure(db.list('')),
      write: await failure(db.put('a', { mine: true })),
      configure: await failure(adb.api.dbConfigure(dbId, { access: 'public' })),
      described: await failure(db.describe())
    }
  },

  async diff ({ dbId, left }) {
    return adb.api.recordDiff(dbId, { left: Number(left) })
  },

  // The change feed, over the library's own WebSocket, which says nothing about who it is.
  async feed () {
    const db = adb.db('fed')
    await db.isReady
    const socket = ws('atek.cloud/adb-api')
    const heard = []
    socket.on('data', data => heard.push(JSON.parse(data.toString())))
    const until = async count => { while (heard.length < count) await once(socket, 'data') }
    socket.write(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'subscribe', params: [db.dbId, 'example.com'] }))
    await until(2)
    await cats(db).create({ id: 'kit' })
    await until(3)
    socket.destroy()
    return heard
  }
}

http.createServer(async (req, res) => {
  const url = new URL(req.url, 'http://app')
  try {
    res.end(JSON.stringify(await scenarios[url.pathname.slice(1)](Object.fromEntries(url.searchParams))))
  } catch (error) {
    res.statusCode = 500
    res.end(error.stack)
  }
}).listen(process.env.ATEK_ASSIGNED_SOCKET_FILE)
