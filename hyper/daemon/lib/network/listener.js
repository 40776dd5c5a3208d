/*
 * Takes connections of other nodes over TCP. Who they are is proven by the handshake; strangers are dropped
 * right after it, and those who do not finish it in time, too.
 */
import { createServer } from 'node:net'

import SecretStream from '@hyperswarm/secret-stream'

import { showAddress } from '../settings.js'

const HANDSHAKE_MS = 10_000
/** So many may be in the middle of a handshake. */
const MOST_PENDING = 64

export class Listener {
  #server
  #keyPair
  #firewall
  #onStream
  #pending = new Set()

  /** `onStream(stream)` gets those that we let in. */
  constructor ({ keyPair, firewall, onStream }) {
    this.#keyPair = keyPair
    this.#firewall = firewall
    this.#onStream = onStream
    this.#server = createServer(socket => this.#greet(socket))
  }

  async listen ({ host, port }) {
    await new Promise((resolve, reject) => this.#server.once('error', reject).listen(port, host, resolve))
    this.#server.on('error', () => {})
  }

  get address () {
    const { address: host, port } = this.#server.address()
    return showAddress({ host, port })
  }

  async close () {
    const closed = new Promise(resolve => this.#server.close(resolve))
    for (const stream of this.#pending) stream.destroy()
    await closed
  }

  #greet (socket) {
    socket.setNoDelay(true)
    if (this.#pending.size >= MOST_PENDING) return socket.destroy()
    const stream = new SecretStream(false, socket, { keyPair: this.#keyPair })
    this.#pending.add(stream)
    const timer = setTimeout(() => stream.destroy(), HANDSHAKE_MS)
    stream.on('error', () => {})
    stream.once('close', () => this.#forget(stream, timer))
    stream.once('connect', () => {
      this.#forget(stream, timer)
      if (this.#firewall.lets(stream.remotePublicKey.toString('hex'))) this.#onStream(stream)
      else stream.destroy()
    })
  }

  #forget (stream, timer) {
    clearTimeout(timer)
    this.#pending.delete(stream)
  }
}
