/*
 * The bare libraries doing what a follower does: nothing of ours is in between.
 *
 *   node bare.mjs DAEMON_FOLDER serve STORE COUNT PORT     a bee with COUNT records, served over TCP
 *   node bare.mjs DAEMON_FOLDER follow STORE KEY PORT      copies it, then reads every record
 *
 * Both print one line of JSON: {key}, or {copied, listed, records} with times in milliseconds.
 */
import { createRequire } from 'node:module'
import net from 'node:net'
import { join } from 'node:path'

const [folder, work, storage, what, port] = process.argv.slice(2)
const require = createRequire(join(folder, 'index.js'))
const Corestore = require('corestore')
const Hyperbee = require('hyperbee')
const SecretStream = require('@hyperswarm/secret-stream')

const store = new Corestore(storage)
await store.ready()
if (work === 'serve') await serve(Number(what))
else await follow(Buffer.from(what, 'hex'))

async function serve (count) {
  const core = store.get({ name: 'records' })
  const bee = new Hyperbee(core, { keyEncoding: 'utf-8', valueEncoding: 'json' })
  await bee.ready()
  for (let start = 0; start < count; start += 500) {
    const batch = bee.batch()
    for (let number = start; number < Math.min(count, start + 500); number++) await batch.put(...record(number))
    await batch.flush()
  }
  net.createServer({ noDelay: true }, socket => replicate(false, socket)).listen(Number(port), '127.0.0.1', () => {
    console.log(JSON.stringify({ key: core.key.toString('hex') }))
  })
}

async function follow (key) {
  const begin = performance.now()
  const core = store.get({ key })
  await core.ready()
  const socket = net.connect({ port: Number(port), host: '127.0.0.1', noDelay: true })
  replicate(true, socket)
  while (core.length === 0) await core.update({ wait: true })
  await core.download({ start: 0, end: core.length, linear: true }).done()
  const copied = performance.now() - begin
  const bee = new Hyperbee(core, { keyEncoding: 'utf-8', valueEncoding: 'json' })
  let records = 0
  for await (const _ of bee.createReadStream()) records++
  console.log(JSON.stringify({ copied, listed: performance.now() - begin, records }))
  process.exit(0)
}

function replicate (isInitiator, socket) {
  const stream = new SecretStream(isInitiator, socket)
  stream.on('error', () => {})
  store.replicate(stream)
}

function record (number) {
  const id = String(number).padStart(7, '0')
  return [`example.com\0thing\0${id}`, { id, text: 'as long as a small manifest is, more or less'.repeat(4) }]
}
