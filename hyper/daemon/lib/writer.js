/*
 * Writes to one database of our own. All that wait go into one append and one sync, in the order in which
 * they came; each of them succeeds or fails for itself, and is acknowledged once it is on the disk.
 */
import { appendBlocks, put } from './block.js'
import { HyperError } from './errors.js'

/** So many writes, or bytes, at most in one append. */
const MOST_WRITES = 1024
const MOST_BYTES = 8 * 1024 * 1024
/** Blocks may be 15 MiB; the bee's index needs some of it. */
const LARGEST = 14 * 1024 * 1024

export class Writer {
  #database
  #wal
  #mayWrite
  #requireRoom
  #waiting = []
  #running = false

  /**
   * `mayWrite` returns once writing is allowed, or raises why it is not; `requireRoom(bytes)` raises where the disk has
   * none for them.
   */
  constructor (database, wal, mayWrite, requireRoom = () => {}) {
    this.#database = database
    this.#wal = wal
    this.#mayWrite = mayWrite
    this.#requireRoom = requireRoom
  }

  /**
   * Does some writes, all or none: [{key, value}], with value null to delete; values are JSON text in bytes.
   * `ifSeq` compares the first one's record, `ifVersion` the database. Returns {seq, version}: the block of
   * the last write, and the version after all of them.
   */
  write (ops, { ifSeq, ifVersion } = {}) {
    const bytes = ops.reduce((sum, op) => sum + size(op), 0)
    const { promise, resolve, reject } = withResolvers()
    this.#waiting.push({ ops, ifSeq, ifVersion, bytes, resolve, reject })
    if (!this.#running) this.#run()
    return promise
  }

  async #run () {
    this.#running = true
    while (this.#waiting.length > 0) await this.#writeGroup()
    this.#running = false
  }

  async #writeGroup () {
    let group = []
    try {
      await this.#mayWrite()
      group = this.#take()
      this.#requireRoom(group.reduce((sum, { bytes }) => sum + bytes, 0))
      const done = await this.#append(group)
      await this.#wal.sync()
      for (const [write, result] of done) write.resolve(result)
    } catch (error) {
      for (const write of group.length > 0 ? group : this.#waiting.splice(0)) write.reject(error)
    }
  }

  #take () {
    let count = 0
    let bytes = 0
    while (count < this.#waiting.length && count < MOST_WRITES && (count === 0 || bytes < MOST_BYTES)) {
      bytes += this.#waiting[count++].bytes
    }
    return this.#waiting.splice(0, count)
  }

  /** Returns [write, its result] of those that were appended; the others were told why not. */
  async #append (group) {
    const batch = this.#database.bee.batch({ update: false })
    const blocks = []
    const done = []
    try {
      await batch.lock()
      await batch.getRoot(true)
      for (const write of group) {
        if (!(await this.#compares(batch, write))) continue
        for (const op of write.ops) await put(batch, op, blocks)
        done.push([write, { seq: batch.version - 1, version: batch.version }])
      }
      await appendBlocks(batch, blocks)
    } catch (error) {
      await batch.close()
      throw error
    }
    return done
  }

  async #compares (batch, { ops, ifSeq, ifVersion, reject }) {
    if (ifVersion !== undefined && batch.version !== ifVersion) {
      reject(new HyperError('CAS_FAILED', `the database is at version ${batch.version}, not ${ifVersion}`))
      return false
    }
    if (ifSeq === undefined) return true
    const found = (await batch.get(ops[0].key))?.seq ?? 0
    if (found === ifSeq) return true
    reject(new HyperError('CAS_FAILED', `the record was written in block ${found}, not ${ifSeq}`))
    return false
  }
}

function size ({ key, value }) {
  const bytes = Buffer.byteLength(key) + (value?.length ?? 0)
  if (bytes > LARGEST) throw new HyperError('BAD_REQUEST', `a record of ${bytes} bytes is too large`)
  return bytes
}

function withResolvers () {
  const out = {}
  out.promise = new Promise((resolve, reject) => Object.assign(out, { resolve, reject }))
  return out
}
