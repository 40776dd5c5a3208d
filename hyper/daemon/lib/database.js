/*
 * One database that is open here: our own, or somebody else's that is followed.
 *
 * Somebody else's is read only as far as all of its blocks are here; what a peer has beyond that is `known`.
 * So reading waits for no network, and there is no version of which only a part is here.
 */
import { EventEmitter } from 'node:events'

import Hyperbee from 'hyperbee'

import { keepSmallOnly } from './cache.js'
import { HyperError } from './errors.js'
import { View } from './view.js'

/** So often we look whether a forked log was repaired, in milliseconds. */
const LOOK_AGAIN = 250

export class Database extends EventEmitter {
  #core = null
  #isBee = false
  #shown = 0
  #shownFork = 0
  #looking = null

  constructor ({ name = '', conflict = null } = {}) {
    super()
    this.setMaxListeners(0)
    this.name = name
    this.conflict = conflict
    this.bee = null
    this.writer = null
  }

  /** Works with this session of the core from now on. */
  async use (core) {
    await core.ready()
    this.#core = core
    this.id = core.key.toString('hex')
    this.discoveryKey = core.discoveryKey
    this.bee = new Hyperbee(core, { keyEncoding: 'utf-8', valueEncoding: 'binary', extension: false })
    await this.bee.ready()
    keepSmallOnly(this.bee)
    if (this.conflict) this.#freeze()
    // In any order: in that of the blocks, it takes twice as long.
    core.download({ start: 0, end: -1 })
    this.#listen(core)
    return this
  }

  get core () {
    return this.#core
  }

  get writable () {
    return this.#core.core?.header.keyPair?.secretKey != null
  }

  get fork () {
    return this.#core.core.state.fork
  }

  /** How many blocks, from the first one on, are here without a gap. */
  get version () {
    const core = this.#core.core
    return Math.min(core.state.length, core.header.hints.contiguousLength)
  }

  /** All that was asked of a peer is here: nothing between what is signed and what is readable. */
  get isWhole () {
    const core = this.#core.core
    return core.header.hints.contiguousLength >= core.state.length
  }

  /** Peers that have told what they have. */
  get shownBy () {
    return this.#core.core.replicator.peers.filter(peer => peer.remoteSynced)
  }

  /** The length that some peer has shown, or what is here. */
  get known () {
    if (this.#shownFork !== this.fork) [this.#shownFork, this.#shown] = [this.fork, 0]
    for (const peer of this.#core.core.replicator.peers) {
      if (peer.remoteFork === this.fork) this.#shown = Math.max(this.#shown, peer.remoteLength)
    }
    return Math.max(this.#shown, this.#core.core.state.length)
  }

  get peers () {
    return this.#core.core.replicator.peers.length
  }

  get synced () {
    return this.writable || this.version > 0
  }

  describe () {
    return {
      dbId: this.id,
      name: this.name,
      writable: this.writable,
      fork: this.fork,
      version: this.version,
      known: this.known,
      peers: this.peers,
      synced: this.synced,
      conflict: this.conflict !== null
    }
  }

  /**
   * Itself at a version, or at the newest that is here; to be closed by whoever asked. Raises NOT_SYNCED while
   * nothing is here, DECODE for what is no bee.
   */
  async at (version = this.version) {
    if (this.#core.closing) throw this.#whyClosed()
    if (version > this.version) throw new HyperError('NOT_SYNCED', `version ${version} is not here`)
    if (this.version === 0 && !this.writable) throw new HyperError('NOT_SYNCED', 'nothing of it has arrived yet')
    if (!this.#isBee && this.version > 0) await this.#checkHeader()
    return new View(this.bee, version).settle()
  }

  /** Once `holds()`; raises TIMEOUT after so many milliseconds. */
  async until (holds, timeoutMs) {
    if (holds()) return
    await new Promise((resolve, reject) => {
      const check = () => holds() && finish(resolve)
      const end = () => finish(reject, this.#whyClosed())
      const timer = setTimeout(() => finish(reject, new HyperError('TIMEOUT', 'it did not arrive in time')), timeoutMs)
      const finish = (settle, value) => {
        clearTimeout(timer)
        this.off('change', check).off('peer', check).off('closed', end)
        settle(value)
      }
      this.on('change', check).on('peer', check).on('closed', end)
    })
  }

  /** What is here, or its beginning, goes on as a new fork of the log, which all who have an older one take. */
  async beginFork ({ length = this.#core.length, fork = this.fork + 1 } = {}) {
    this.#thaw()
    await this.#core.truncate(length, { fork })
  }

  async close () {
    clearInterval(this.#looking)
    await this.bee?.close()
    this.emit('closed')
  }

  #listen (core) {
    for (const name of ['append', 'download', 'peer-remove', 'remote-contiguous-length']) {
      core.on(name, () => this.emit('change'))
    }
    core.on('truncate', () => this.#onTruncate())
    core.on('peer-add', peer => this.emit('peer', peer))
    core.on('conflict', (length, fork) => this.emit('conflict', { length, fork }))
  }

  /** A log that was forked goes on where its writer repaired it. */
  #onTruncate () {
    if (this.conflict && this.fork > this.conflict.fork) {
      this.#thaw()
      this.emit('mended')
    }
    this.emit('change')
  }

  /** The library asks nobody for blocks of a forked log; we look for its repair, of which no event tells. */
  #freeze () {
    this.#core.core.header.frozen = true
    clearInterval(this.#looking)
    this.#looking = setInterval(() => {
      if (this.shownBy.some(peer => peer.remoteFork > this.fork)) this.#thaw()
    }, LOOK_AGAIN)
  }

  #thaw () {
    clearInterval(this.#looking)
    this.#core.core.header.frozen = false
    this.#core.core.replicator.updateAll()
  }

  async #checkHeader () {
    let header = null
    try {
      header = await this.bee.getHeader({ wait: false })
    } catch {}
    if (header?.protocol !== 'hyperbee') {
      throw new HyperError('DECODE', `${this.id} cannot be read: encrypted with another key, or no database`)
    }
    this.#isBee = true
  }

  #whyClosed () {
    if (this.conflict) return new HyperError('CONFLICT', `the log of ${this.id} was forked`)
    return new HyperError('NOT_FOUND', `database ${this.id} was closed`)
  }
}
