/*
 * One client's watch of one database: it is told of every write after a position, in order, without gaps.
 *
 * It goes on only when the client has taken what was sent before, so a slow client costs no memory; and when
 * it has fallen too far behind, or the log was forked, it is told to read everything anew.
 */
import { setTimeout } from 'node:timers/promises'

import { startOf } from './keys.js'
import { history } from './reading.js'
import { translate } from './errors.js'
import { log } from './log.js'

const CHANGES_AT_ONCE = 256
export const FAR_BEHIND = 10_000
/** Writes elsewhere are not told; but the position is, after so many. */
const SILENT_BLOCKS = 1000
/** Milliseconds until we look again at a log that was being cut. */
const LOOK_AGAIN = 50

export class Watch {
  #database
  #prefix
  #connection
  #id
  #position
  #told
  #stopped = false
  #wake = () => {}
  #onChange = () => this.#wake()

  /** Watches from `since`, or from now on where that is impossible; then `reset` is true. */
  constructor ({ id, database, prefix, since, connection }) {
    startOf(prefix)
    this.#id = id
    this.#database = database
    this.#prefix = prefix
    this.#connection = connection
    this.reset = !since || !follows(database, since)
    this.#position = this.reset ? positionOf(database) : since
    this.#told = this.#position
  }

  get position () {
    return this.#position
  }

  get database () {
    return this.#database
  }

  start () {
    this.#database.on('change', this.#onChange).on('closed', this.#onChange)
    this.#run().catch(error => this.#fail(error))
  }

  stop () {
    this.#stopped = true
    this.#database.off('change', this.#onChange).off('closed', this.#onChange)
    this.#wake()
  }

  async #run () {
    while (!this.#stopped) {
      await this.#connection.drained()
      if (this.#stopped) return
      if (!follows(this.#database, this.#position)) this.#startAnew()
      else if (this.#database.version > this.#position.version && !this.#database.conflict) await this.#tellNext()
      else await this.#change()
    }
  }

  #startAnew () {
    this.#position = this.#told = positionOf(this.#database)
    this.#connection.notify('db.reset', { watchId: this.#id, ...this.#position })
  }

  async #tellNext () {
    const { fork, version } = this.#position
    const until = this.#database.version
    const page = await this.#read({ since: version, until, prefix: this.#prefix, limit: CHANGES_AT_ONCE })
    if (!page || page.fork !== fork || this.#database.fork !== fork) return
    this.#position = { fork, version: page.next ?? until }
    const silent = page.changes.length === 0 && !this.#isAllHere() && this.#position.version - this.#told.version < SILENT_BLOCKS
    if (silent || this.#stopped) return
    const { version: from } = this.#told
    this.#told = this.#position
    this.#connection.notify('db.changed', { watchId: this.#id, fork, from, to: this.#position.version, changes: page.changes })
  }

  /** Where nothing was, it is news that all has come, though nothing of it be under the prefix: the client may list it. */
  #isAllHere () {
    return this.#told.version === 0 && this.#position.version >= this.#database.known
  }

  /** Null while the log is being cut under our hands: then the next look finds another fork. */
  async #read (range) {
    try {
      return await history(this.#database, range)
    } catch (error) {
      if (['NOT_SYNCED', 'NOT_FOUND', 'CONFLICT'].includes(translate(error).code)) {
        await setTimeout(LOOK_AGAIN)
        return null
      }
      throw error
    }
  }

  #change () {
    return new Promise(resolve => { this.#wake = resolve })
  }

  #fail (error) {
    log(`a watch of ${this.#database.id} ended:`, error)
    this.#connection.close()
  }
}

function positionOf ({ fork, version }) {
  return { fork, version }
}

function follows (database, { fork, version }) {
  const behind = database.version - version
  return fork === database.fork && behind >= 0 && behind <= FAR_BEHIND
}
