/*
 * The databases that are open here, ours and others'. Which ones is remembered: after a restart the same
 * are open again, served to their followers before any client has asked.
 *
 * Events: `open` and `close` (database); `state` (database) after anything about one has changed; `conflict`
 * and `repair` (database).
 */
import { EventEmitter } from 'node:events'

import { Database } from './database.js'
import { requireRoom } from './disk.js'
import { HyperError } from './errors.js'
import { Hold } from './hold.js'
import { log } from './log.js'
import { refill } from './restore.js'
import { Writer } from './writer.js'

/** Milliseconds between two notes how long our databases are. */
const NOTE_LENGTHS = 10_000

export class Databases extends EventEmitter {
  #store
  #folder
  #memory
  #wal
  #holdMs
  #mayHaveLost
  #restore
  #open = new Map()
  #opening = new Map()
  #holds = new Map()
  #changed = new Set()
  #noting = null

  /**
   * `folder` is the store's. `mayHaveLost`: the run before may have lost what it wrote last. `restore`: a backup whose databases are
   * not all here yet.
   */
  constructor ({ store, folder, memory, wal, holdMs, mayHaveLost, restore = null }) {
    super()
    this.setMaxListeners(0)
    this.#store = store
    this.#folder = folder
    this.#memory = memory
    this.#wal = wal
    this.#holdMs = holdMs
    this.#mayHaveLost = mayHaveLost
    this.#restore = restore
  }

  /** Opens what was open before. */
  async resume () {
    const open = this.#memory.databases().filter(([, facts]) => facts.isOpen)
    await Promise.all(open.map(([dbId]) => this.open(dbId)))
    this.#noting = setInterval(() => this.#noteLengths(), NOTE_LENGTHS).unref()
  }

  /** So that a store whose files lost something is known for it, however that came about. */
  #noteLengths () {
    for (const { id, writable, fork, version } of this.all()) {
      if (writable) this.#memory.note(id, { wasFork: fork, wasVersion: version })
    }
  }

  all () {
    return [...this.#open.values()]
  }

  get isHeld () {
    return [...this.#holds.values()].some(hold => hold.isHeld)
  }

  /** An open one. Raises NOT_FOUND. */
  get (dbId) {
    const database = this.#open.get(dbId)
    if (!database) throw new HyperError('NOT_FOUND', `no database ${dbId} is open`)
    return database
  }

  /** One that may be written to. Raises NOT_FOUND, NOT_WRITABLE, CONFLICT. */
  getWritable (dbId) {
    const database = this.get(dbId)
    if (database.conflict) throw forked(database)
    if (!database.writable) throw new HyperError('NOT_WRITABLE', `${dbId} has another writer`)
    return database
  }

  /** Our own database of that name, made when it is not there. */
  async create (name, encryptionKey) {
    const key = await keyOfOwn(this.#store, name)
    const database = await this.#once(key, () => this.#start({ name, encryptionKey }))
    database.name = name
    this.#memory.note(database.id, { name })
    await this.#writeHeader(database)
    return database
  }

  /** Anybody's database by its key. */
  async open (dbId, encryptionKey) {
    return this.#once(dbId, () => this.#start({ key: dbId, encryptionKey }))
  }

  /** Follows it no further; what is here stays. */
  async close (dbId) {
    const database = this.get(dbId)
    this.#open.delete(dbId)
    this.#holds.get(dbId)?.release()
    this.#memory.note(dbId, { isOpen: false })
    this.emit('close', database)
    await database.close()
  }

  async closeAll () {
    clearInterval(this.#noting)
    this.#noteLengths()
    for (const hold of this.#holds.values()) hold.release()
    await Promise.all(this.all().map(database => database.close()))
  }

  /** Makes an own database writable again: what it is here becomes a new fork, which its followers take. */
  async repair (dbId) {
    const database = this.get(dbId)
    if (!database.writable) throw new HyperError('NOT_WRITABLE', `${dbId} is not ours to repair`)
    if (!database.conflict) return database
    await database.beginFork()
    await this.#wal.sync()
    this.#setConflict(database, null)
    this.emit('repair', database)
    return database
  }

  /** A database begins with a block that tells what it is; while writes are held, nobody waits for it. */
  async #writeHeader (database) {
    if (database.version > 0 || database.conflict) return
    const written = database.writer.write([])
    if (this.#holds.get(database.id).isHeld) written.catch(error => log(`${database.name}:`, error))
    else await written
  }

  /** One that is open already, is being opened, or is opened by `start`. */
  async #once (dbId, start) {
    const database = this.#open.get(dbId)
    if (database) return database
    if (!this.#opening.has(dbId)) {
      this.#opening.set(dbId, start().finally(() => this.#opening.delete(dbId)))
    }
    return this.#opening.get(dbId)
  }

  async #start ({ name, key, encryptionKey }) {
    const dbId = key ?? await keyOfOwn(this.#store, name)
    const facts = this.#memory.database(dbId)
    const secret = encryptionKey ?? facts.encryptionKey
    const database = new Database({ name: name ?? facts.name, conflict: facts.conflict ?? null })
    await database.use(this.#session(database.name ? { name: database.name } : { key: dbId }, secret))
    this.#memory.note(database.id, { isOpen: true, ...(secret ? { encryptionKey: secret } : {}) })
    this.#watch(database)
    if (database.writable) this.#prepareWriting(database, facts)
    this.#open.set(database.id, database)
    this.emit('open', database)
    return database
  }

  #session ({ name, key }, secret) {
    return this.#store.get({
      ...(name ? { name } : { key: Buffer.from(key, 'hex') }),
      encryption: secret ? { key: Buffer.from(secret, 'hex') } : null
    })
  }

  #watch (database) {
    database.on('change', () => this.#tell(database))
    database.on('peer', () => {
      if (database.writable) this.#memory.note(database.id, { isFollowed: true })
      this.#tell(database)
    })
    database.on('conflict', conflict => this.#onConflict(database, conflict))
    database.on('mended', () => this.#setConflict(database, null))
  }

  #prepareWriting (database, facts) {
    if (isShorter(database, facts)) {
      log(`STORE_DAMAGED: ${database.name} has ${database.version} of ${facts.wasVersion} blocks (what is missing comes from a follower, if one has it)`)
    }
    const hold = new Hold(database)
    this.#holds.set(database.id, hold)
    if (facts.restored) hold.start(this.#holdMs, seen => this.#refill(database, seen))
    else if (facts.isFollowed && (this.#mayHaveLost || isShorter(database, facts))) hold.start(this.#holdMs)
    database.writer = new Writer(database, this.#wal, async () => {
      await hold.over()
      if (database.conflict) throw forked(database)
    }, bytes => requireRoom(this.#folder, bytes))
  }

  /** A restored database has what its followers have, else what the backup has, as a new fork. */
  async #refill (database, seen) {
    const { fork } = this.#memory.database(database.id).restored
    if (!seen) {
      const { records = [] } = this.#restore?.of(database.id) ?? {}
      log(`no follower has ${database.name}: its ${records.length} records come from the backup`)
      await refill(database, { fork, records })
      await this.#wal.sync()
    }
    this.#memory.note(database.id, { restored: null })
    this.#restore?.finish(database.id)
  }

  /** The library closes a forked log; it is opened again, to be read as far as it goes. */
  #onConflict (database, conflict) {
    log(`the log of ${database.id} was forked: its key was used to write in two places`)
    const { core } = database
    this.#setConflict(database, conflict)
    this.emit('conflict', database)
    core.once('close', () => this.#reopen(database).catch(error => log(`${database.id}:`, error)))
  }

  async #reopen (database) {
    const { name, encryptionKey } = this.#memory.database(database.id)
    await database.use(this.#session(name ? { name } : { key: database.id }, encryptionKey))
    this.#tell(database)
  }

  #setConflict (database, conflict) {
    database.conflict = conflict
    this.#memory.note(database.id, { conflict })
    this.#tell(database)
  }

  /** Many changes at once are told once. */
  #tell (database) {
    if (this.#changed.has(database)) return
    this.#changed.add(database)
    setImmediate(() => {
      this.#changed.delete(database)
      if (this.#open.has(database.id)) this.emit('state', database)
    })
  }
}

function isShorter ({ fork, version }, { wasFork = 0, wasVersion = 0 }) {
  return fork < wasFork || (fork === wasFork && version < wasVersion)
}

async function keyOfOwn (store, name) {
  const core = store.get({ name, active: false })
  await core.ready()
  const key = core.key.toString('hex')
  await core.close()
  return key
}

function forked (database) {
  return new HyperError('CONFLICT', `the log of ${database.id} was forked`, 'stop whatever else writes with its keys, then `atek repair`')
}
