/*
 * A store that was lost, made again from a backup: the same keys, so that it is the same writer. Its logs come
 * back from those who follow them, before anything is written; where nobody does, its records come from the
 * backup, as a new fork, so that a follower who turns up later takes that over.
 *
 *     {"keys": what key.export gave, "databases": [{name, dbId, fork, version, records: [{path, value}]}]}
 *
 * The backup is moved into the store at first, as restore.json, and is gone when all databases are filled.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { appendBlocks, put } from './block.js'
import { HyperError } from './errors.js'
import { readIfThere, replaceFile } from './files.js'
import { keyOf } from './keys.js'
import { checkKey } from './settings.js'

/** So many records, or bytes, are written at once. */
const AT_ONCE = 500
const BYTES_AT_ONCE = 8 * 1024 * 1024

/** The backup in a file, null where there is none. Raises BAD_REQUEST. */
export function readBackup (file) {
  const text = file ? readIfThere(file) : null
  return text === null ? null : new Backup(file, text)
}

/** What is left to be filled from a backup in this store, null when that is nothing. */
export function openRestore (store) {
  const file = join(store, 'restore.json')
  return existsSync(file) ? new Restore(file) : null
}

class Backup {
  #file
  #text
  #keys
  #databases

  constructor (file, text) {
    this.#file = file
    this.#text = text
    const { keys, databases = [] } = parse(text)
    this.#keys = keys
    this.#databases = databases.map(checkDatabase)
    this.primaryKey = Buffer.from(checkKey(keys?.primaryKey), 'hex')
  }

  /** Makes an empty store the one of the backup. Raises BAD_REQUEST for one that is not empty. */
  begin (memory, store) {
    const copy = join(store, 'restore.json')
    if (!memory.isNew && !existsSync(copy)) throw bad(`${store} is not empty: ${this.#file} cannot be restored there`)
    replaceFile(copy, this.#text)
    memory.begin({ noiseSeed: checkKey(this.#keys.noiseSeed), generation: randomUUID() })
    const secret = this.#keys.encryptionKeys ?? {}
    for (const { name, dbId, fork } of this.#databases) {
      const encryptionKey = secret[name] ?? secret[dbId]
      memory.note(dbId, { name, isOpen: true, restored: { fork }, ...(encryptionKey ? { encryptionKey } : {}) })
    }
    rmSync(this.#file)
  }
}

class Restore {
  #file
  #databases

  constructor (file) {
    this.#file = file
    this.#databases = new Map(parse(readIfThere(file)).databases?.map(one => [one.dbId, one]))
  }

  /** What the backup has of a database. */
  of (dbId) {
    return this.#databases.get(dbId)
  }

  /** That one is filled. */
  finish (dbId) {
    this.#databases.delete(dbId)
    if (this.#databases.size === 0) rmSync(this.#file, { force: true })
  }
}

/** Replaces what is in a database, in a fork after all that are known; each record is a version that can be read. */
export async function refill (database, { fork, records }) {
  await database.beginFork({ fork: Math.max(fork, database.fork) + 1, length: 0 })
  const left = records.values()
  while (await append(database.bee, left));
}

/** Some of what is left, and before it what every database begins with. False once nothing is left. */
async function append (bee, left) {
  const batch = bee.batch({ update: false })
  const blocks = []
  let next
  try {
    await batch.lock()
    await batch.getRoot(true)
    for (let bytes = 0; blocks.length < AT_ONCE && bytes < BYTES_AT_ONCE && !(next = left.next()).done;) {
      const value = Buffer.from(JSON.stringify(next.value.value))
      bytes += value.length
      await put(batch, { key: keyOf(next.value.path), value }, blocks)
    }
    await appendBlocks(batch, blocks)
  } catch (error) {
    await batch.close()
    throw error
  }
  return !next.done
}

function checkDatabase (database) {
  const { name, dbId, fork, records = [] } = database ?? {}
  if (typeof name !== 'string' || !name || !Number.isSafeInteger(fork) || !Array.isArray(records)) {
    throw bad('the backup has a database without a name, a fork, or records')
  }
  for (const record of records) keyOf(record?.path)
  return { name, dbId: checkKey(dbId), fork }
}

function parse (text) {
  try {
    return JSON.parse(text) ?? {}
  } catch {
    throw bad('the backup is not JSON')
  }
}

function bad (message) {
  return new HyperError('BAD_REQUEST', message)
}
