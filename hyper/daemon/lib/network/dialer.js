/*
 * Keeps a connection to one node whose address we know, over TCP: at once, and again after each loss, with
 * growing pauses that stay short enough for a node that was killed and comes back.
 */
import { connect } from 'node:net'

import SecretStream from '@hyperswarm/secret-stream'

import { log } from '../log.js'

/** Milliseconds. */
const FIRST_PAUSE = 100
const LONGEST_PAUSE = 2_000
const CONNECT_MS = 10_000
/** A connection that did not last so long was none: perhaps we are not let in. */
const LASTING = 3_000

export class Dialer {
  #peer
  #keyPair
  #connections
  #pause = FIRST_PAUSE
  #timer = null
  #stream = null
  #stopped = false
  #said = ''
  #up = 0

  constructor ({ peer, keyPair, connections }) {
    this.#peer = peer
    this.#keyPair = keyPair
    this.#connections = connections
    connections.on('down', this.#onDown).on('up', this.#onUp)
    this.#dial()
  }

  get peer () {
    return this.#peer
  }

  /** Tries now. */
  hurry () {
    this.#pause = FIRST_PAUSE
    if (this.#timer) this.#dial()
  }

  stop () {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#connections.off('down', this.#onDown).off('up', this.#onUp)
    this.#stream?.destroy()
  }

  #onUp = key => {
    if (key === this.#peer.key) this.#up = performance.now()
  }

  #onDown = key => {
    if (key !== this.#peer.key) return
    if (performance.now() - this.#up > LASTING) {
      this.#pause = FIRST_PAUSE
      this.#said = ''
    } else {
      this.#say('it ended the connection: perhaps it does not let us in')
    }
    this.#later()
  }

  #dial () {
    clearTimeout(this.#timer)
    this.#timer = null
    const { host, port, key } = this.#peer
    if (this.#stopped || this.#stream || this.#connections.has(key)) return
    const socket = connect({ host, port, noDelay: true })
    const stream = this.#stream = new SecretStream(true, socket, { keyPair: this.#keyPair })
    const timer = setTimeout(() => stream.destroy(new Error('no answer')), CONNECT_MS)
    let error = null
    stream.on('error', found => { error = found })
    stream.once('connect', () => {
      clearTimeout(timer)
      this.#stream = null
      this.#take(stream)
    })
    stream.once('close', () => {
      clearTimeout(timer)
      if (this.#stream === stream) this.#stream = null
      this.#say(error?.message ?? 'the connection was closed')
      this.#later()
    })
  }

  /** The key at that address has to be the one that we were told. */
  #take (stream) {
    if (stream.remotePublicKey.toString('hex') === this.#peer.key) return this.#connections.addTcp(stream)
    stream.destroy(new Error('it has another key than we were told'))
  }

  #later () {
    if (this.#stopped || this.#timer || this.#stream || this.#connections.has(this.#peer.key)) return
    this.#timer = setTimeout(() => this.#dial(), this.#pause * (0.5 + Math.random() / 2))
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE)
  }

  #say (why) {
    if (this.#stopped || why === this.#said || this.#connections.has(this.#peer.key)) return
    this.#said = why
    log(`no connection to ${this.#peer.host}:${this.#peer.port}: ${why}`)
  }
}
