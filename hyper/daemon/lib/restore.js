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

import { HyperError } from './errors.js'
import { readIfThere, replaceFile } from './files.js'
import { keyOf } from './keys.js'
import { checkKey } from './settings.js'

/** So many records are written at once. */
const AT_ONCE = 500

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

/** Replaces what is in a database, in a fork after all that are known. */
export async function refill (database, { fork, records }) {
  await database.beginFork({ fork: Math.max(fork, database.fork) + 1, length: 0 })
  for (let start = 0; start < records.length || start === 0; start += AT_ONCE) {
    const batch = database.bee.batch({ update: false })
    for (const { path, value } of records.slice(start, start + AT_ONCE)) {
      await batch.put(keyOf(path), Buffer.from(JSON.stringify(value)))
    }
    await batch.flush()
  }
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
