/*
 * Makes writes last. The libraries sync nothing: what they wrote lies in the kernel until it finds the time.
 * A write is acknowledged only after the logs of RocksDB were synced; all that wait together share one sync.
 */
import { fdatasync, readdirSync, openSync, closeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { syncFolder } from './files.js'

const sync = promisify(fdatasync)

export class Wal {
  #folder
  #open = new Map()
  #running = null
  #next = null

  constructor (store) {
    this.#folder = join(store, 'db')
  }

  /** Returns once all is on the disk that was written before the call. */
  sync () {
    this.#next ??= this.#afterRunning()
    return this.#next
  }

  close () {
    for (const fd of this.#open.values()) closeSync(fd)
    this.#open.clear()
  }

  /** A sync that runs already may have begun before our write: the next one covers it. */
  async #afterRunning () {
    await this.#running?.catch(() => {})
    this.#next = null
    this.#running = this.#syncAll()
    await this.#running
  }

  async #syncAll () {
    this.#openNew()
    await Promise.all([...this.#open.values()].map(fd => sync(fd)))
  }

  /**
   * The log changes its file now and then; the one before still counts as long as it is there. When it is
   * gone, RocksDB has written and synced its content elsewhere.
   */
  #openNew () {
    const names = new Set(readdirSync(this.#folder).filter(name => name.endsWith('.log')))
    for (const [name, fd] of this.#open) {
      if (names.delete(name)) continue
      this.#open.delete(name)
      closeSync(fd)
    }
    for (const name of names) this.#tryOpen(name)
    if (names.size > 0) syncFolder(this.#folder)
  }

  #tryOpen (name) {
    try {
      this.#open.set(name, openSync(join(this.#folder, name), 'r'))
    } catch (error) {
      if (error.code !== 'ENOENT') throw error
    }
  }
}
