/*
 * The end of a tunnel that others come to. Who they are is proven before anything is read of them; those that
 * are not in the list get no connection at all, and those that are taken off it lose theirs at once.
 *
 * The socket behind gets a line of JSON before all else, {noiseKey, secret}: who calls, and what only this
 * daemon and its client know, so that no other program of this machine can say who calls.
 */
import { connect } from 'node:net'

import { join } from './join.js'
import { CARRIED, LIFELINE } from './kinds.js'

/** Who says nothing for so long after connecting has no business here, in milliseconds. */
const PATIENCE = 10_000
/** Of one node, at a time: a browser has six for each host. */
const MOST_STREAMS = 512

export class Listening {
  #keyPair
  #socket
  #secret
  #allowed
  #server = null
  #callers = new Map()

  /** `allow` are keys in hexadecimal digits, null for everybody. */
  constructor ({ keyPair, socket, secret, allow }) {
    this.#keyPair = keyPair
    this.#socket = socket
    this.#secret = secret
    this.#allowed = allow && new Set(allow)
  }

  get key () {
    return this.#keyPair.publicKey.toString('hex')
  }

  /** Those that have been here: {noiseKey, streams, seenMs}, `seenMs` being how long ago they were heard of. */
  callers () {
    const now = performance.now()
    return [...this.#callers].map(([noiseKey, { streams, seen }]) => ({
      noiseKey, streams: streams.size, seenMs: streams.size > 0 ? 0 : Math.round(now - seen)
    }))
  }

  /** Begins on this DHT node, or goes on there instead of one that is gone. */
  async start (dht) {
    this.#server = dht.createServer({
      firewall: key => !this.#lets(key.toString('hex')), reusableSocket: true
    }, stream => this.#take(stream))
    await this.#server.listen(this.#keyPair)
  }

  /** Only these from now on. */
  allow (keys) {
    this.#allowed = new Set(keys)
    for (const [key, { streams }] of this.#callers) {
      if (!this.#lets(key)) streams.forEach(stream => stream.destroy())
    }
  }

  async close () {
    for (const { streams } of this.#callers.values()) streams.forEach(stream => stream.destroy())
    await this.#server?.close()
  }

  #lets (key) {
    return this.#allowed === null || this.#allowed.has(key)
  }

  /** Asked once more: it may have been taken off the list while its handshake was under way. */
  #take (stream) {
    stream.on('error', () => {})
    const key = stream.remotePublicKey.toString('hex')
    const caller = this.#callers.get(key) ?? { streams: new Set(), seen: 0 }
    if (!this.#lets(key) || caller.streams.size >= MOST_STREAMS) return stream.destroy()
    this.#callers.set(key, caller)
    caller.streams.add(stream)
    const timer = setTimeout(() => stream.destroy(), PATIENCE)
    stream.once('close', () => {
      clearTimeout(timer)
      caller.seen = performance.now()
      caller.streams.delete(stream)
    })
    stream.once('data', chunk => {
      clearTimeout(timer)
      this.#begin(stream, key, chunk)
    })
  }

  #begin (stream, key, chunk) {
    const kind = chunk.subarray(0, 1)
    if (kind.equals(LIFELINE)) return echo(stream, chunk.subarray(1))
    if (!kind.equals(CARRIED)) return stream.destroy()
    const target = connect({ path: this.#socket, allowHalfOpen: true })
    target.write(JSON.stringify({ noiseKey: key, secret: this.#secret }) + '\n')
    if (chunk.length > 1) target.write(chunk.subarray(1))
    join(stream, target)
  }
}

function echo (stream, first) {
  const answer = chunk => { if (!stream.write(chunk)) stream.destroy() }
  if (first.length > 0) answer(first)
  stream.on('data', answer)
  stream.once('end', () => stream.end())
}
