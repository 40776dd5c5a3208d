/*
 * The end of a tunnel that goes out to one node. Each connection of a program is a stream of its own, which
 * costs a handshake and nothing else: streams to one node share the way to it.
 *
 * The library takes 18 s to notice that a node is gone, and does not look for it again. So one stream more, the
 * lifeline, carries a sign of life every half a second; when nothing at all came back for a while, everything that
 * went to that node is cut, and it is dialled anew every second until it answers. Programs that connect meanwhile wait
 * for a while. The data's own streams cannot tell alone: one whose reader has stopped is as silent as one that is dead.
 * But what they carry is a sign of life, too: on a full line the lifeline waits like everybody else.
 */
import { cut, join } from './join.js'
import { CARRIED, LIFELINE } from './kinds.js'

/** Milliseconds. */
const SIGN_EVERY = 500
/** So many signs in a row without anything: not a time, since a process that was kept waiting has heard nobody. */
const MOST_SILENT = 5
/** Where there is reason to ask. */
const ANSWER = 1_000
/** From one attempt to the next; each may go on beside later ones, since finding a way may take seconds. */
const TRY_EVERY = 1_000
/** Where a node was away for so long, nobody needs it this second. */
const LONG_AWAY = 300_000
const TRY_SELDOM = 10_000
const MOST_ATTEMPTS = 6
const LONGEST_ATTEMPT = 12_000
/** So long a program waits for the node. */
const HOLD = 10_000
const MOST_WAITING = 256
/** Of ways for one connection, while the node answers. */
const MOST_TRIES = 3

export class Calling {
  #dht
  #keyPair
  #key
  #onChange
  #line = null
  #heard = 0
  #attempts = new Set()
  #streams = new Set()
  #waiting = new Set()
  #timer = null
  #awaySince = performance.now()
  #isClosed = false

  /** `dht()` is the DHT node of the moment; `onChange(isUp)` hears whether the other node answers. */
  constructor ({ dht, keyPair, key, onChange }) {
    this.#dht = dht
    this.#keyPair = keyPair
    this.#key = key
    this.#onChange = onChange
    this.#try()
  }

  get isUp () {
    return this.#line !== null
  }

  /** Carries a program's connection; `away(socket)` is what happens to it where the node does not answer. */
  carry (socket, away = cut) {
    socket.on('error', () => {})
    if (this.#line) return this.#carry(socket)
    if (this.#waiting.size >= MOST_WAITING) return away(socket)
    const waiter = { socket, timer: setTimeout(() => this.#leave(waiter, away), HOLD) }
    this.#waiting.add(waiter)
    socket.once('close', () => this.#leave(waiter, () => {}))
    this.hurry()
  }

  /** Tries now: something may have changed. */
  hurry () {
    if (!this.#line && !this.#isClosed && this.#attempts.size === 0) this.#try()
  }

  /** The network is another one: what went over the old one is looked at at once. */
  check () {
    const line = this.#line
    if (!line) return this.#try()
    const asked = performance.now()
    line.write(LIFELINE)
    setTimeout(() => { if (this.#heard < asked) line.destroy() }, ANSWER).unref()
  }

  close () {
    this.#isClosed = true
    clearTimeout(this.#timer)
    for (const waiter of this.#waiting) this.#leave(waiter, cut)
    for (const stream of this.#attempts) stream.destroy()
    this.#line?.destroy()
    this.#cutAll()
  }

  #hear = () => { this.#heard = performance.now() }

  #connect () {
    const stream = this.#dht().connect(Buffer.from(this.#key, 'hex'), {
      keyPair: this.#keyPair, reusableSocket: true
    })
    stream.on('error', () => {})
    return stream
  }

  /** Nothing is taken of the socket before there is a way, so that another can be tried: the first may be an old one. */
  #carry (socket, tries = MOST_TRIES) {
    const stream = this.#connect()
    let isConnected = false
    const giveUp = () => stream.destroy()
    this.#streams.add(stream)
    socket.once('close', giveUp)
    stream.once('connect', () => {
      isConnected = true
      socket.off('close', giveUp)
      for (const sign of ['data', 'drain']) stream.on(sign, this.#hear)
      stream.pause()
      stream.write(CARRIED)
      join(stream, socket)
    })
    stream.once('close', () => {
      this.#streams.delete(stream)
      if (isConnected) return
      socket.off('close', giveUp)
      this.#carryAgain(socket, tries - 1)
    })
  }

  #carryAgain (socket, tries) {
    if (socket.destroyed || this.#isClosed || tries === 0) return cut(socket)
    if (this.#line) this.#carry(socket, tries)
    else this.carry(socket)
  }

  #leave (waiter, then) {
    clearTimeout(waiter.timer)
    if (this.#waiting.delete(waiter)) then(waiter.socket)
  }

  // -- dialling

  #try () {
    clearTimeout(this.#timer)
    if (this.#isClosed || this.#line) return
    const isLong = performance.now() - this.#awaySince > LONG_AWAY
    this.#timer = setTimeout(() => this.#try(), isLong ? TRY_SELDOM : TRY_EVERY)
    if (this.#attempts.size < MOST_ATTEMPTS) this.#attempt()
  }

  #attempt () {
    const stream = this.#connect()
    this.#attempts.add(stream)
    const timer = setTimeout(() => stream.destroy(), LONGEST_ATTEMPT)
    stream.once('close', () => {
      clearTimeout(timer)
      this.#attempts.delete(stream)
    })
    stream.once('connect', () => {
      clearTimeout(timer)
      this.#attempts.delete(stream)
      if (this.#line || this.#isClosed) stream.destroy()
      else this.#hold(stream)
    })
  }

  // -- the lifeline

  #hold (stream) {
    let silent = 0
    let asked = this.#heard = performance.now()
    this.#line = stream
    clearTimeout(this.#timer)
    for (const attempt of this.#attempts) attempt.destroy()
    const sign = setInterval(() => {
      silent = this.#heard < asked ? silent + 1 : 0
      if (silent >= MOST_SILENT) return stream.destroy()
      asked = performance.now()
      stream.write(LIFELINE)
    }, SIGN_EVERY)
    stream.on('data', this.#hear)
    // Whoever ends it is not there any more.
    stream.once('end', () => stream.destroy())
    stream.once('close', () => {
      clearInterval(sign)
      this.#lost(stream)
    })
    stream.write(LIFELINE)
    this.#onChange(true)
    for (const waiter of [...this.#waiting]) this.#leave(waiter, socket => this.#carry(socket))
  }

  #lost (stream) {
    if (this.#line !== stream) return
    this.#line = null
    this.#awaySince = performance.now()
    this.#cutAll()
    this.#onChange(false)
    this.#try()
  }

  #cutAll () {
    for (const stream of this.#streams) stream.destroy()
  }
}
