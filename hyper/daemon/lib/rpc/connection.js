/*
 * One client: JSON objects, a line each, both ways.
 *
 * Nothing is read from a client that does not take its answers, and none of its requests is begun while many
 * of them are under way: so its haste, or its sleep, costs a bounded amount of memory. The first line that is
 * no JSON ends the connection: what speaks HTTP to us gets no second try.
 */
import { HyperError, translate } from '../errors.js'
import { log } from '../log.js'

const LONGEST_LINE = 24 * 1024 * 1024
const MOST_REQUESTS = 512
const NEWLINE = 0x0a

/** What a method returns that has to begin something right after its answer was sent. */
export class AndThen {
  constructor (result, begin) {
    this.result = result
    this.begin = begin
  }
}

export class Connection {
  #socket
  #call
  #parts = []
  #length = 0
  #running = 0
  #queue = []
  #corked = false
  #drained = null
  #closers = new Set()

  /** `call(method, params, connection)` returns a method's result, or raises. */
  constructor (socket, call) {
    this.#socket = socket
    this.#call = call
    this.closed = false
    socket.on('data', chunk => this.#take(chunk))
    socket.on('drain', () => this.#onDrain())
    socket.on('error', () => {})
    socket.on('close', () => this.#onClose())
  }

  notify (method, params) {
    this.#send({ jsonrpc: '2.0', method, params })
  }

  /** Once the client has taken all but a little of what it was sent. */
  async drained () {
    while (this.#socket.writableNeedDrain && !this.closed) {
      this.#drained ??= withResolver()
      await this.#drained.promise
    }
  }

  /** Called once, when the connection ends. */
  onClose (close) {
    this.#closers.add(close)
  }

  close () {
    this.#socket.destroy()
  }

  #take (chunk) {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1 && !this.closed; end = chunk.indexOf(NEWLINE, start)) {
      this.#parts.push(chunk.subarray(start, end))
      start = end + 1
      this.#line(Buffer.concat(this.#parts))
      this.#parts = []
      this.#length = 0
    }
    if (start === chunk.length) return
    this.#parts.push(chunk.subarray(start))
    this.#length += chunk.length - start
    if (this.#length > LONGEST_LINE) this.close()
  }

  #line (line) {
    if (this.closed || this.#socket.destroyed) return
    let request
    try {
      request = JSON.parse(line)
    } catch {
      return this.close()
    }
    this.#queue.push(request)
    this.#next()
  }

  #next () {
    while (this.#queue.length > 0 && this.#running < MOST_REQUESTS) this.#answer(this.#queue.shift())
    this.#pauseOrResume()
  }

  async #answer (request) {
    this.#running++
    try {
      this.#reply(request, await this.#perform(request))
    } catch (error) {
      this.#reply(request, null, translate(error))
      if (!(error instanceof HyperError)) log(`${request?.method}:`, error)
    }
    this.#running--
    if (!this.closed) this.#next()
  }

  async #perform (request) {
    const { method, params = {} } = request ?? {}
    if (typeof method !== 'string') throw new HyperError('BAD_REQUEST', 'no JSON-RPC request')
    if (params === null || typeof params !== 'object' || Array.isArray(params)) {
      throw new HyperError('BAD_REQUEST', 'params have names')
    }
    return this.#call(method, params, this)
  }

  #reply (request, result, error) {
    const id = request?.id
    const then = result instanceof AndThen ? result : null
    if (error) {
      const { code, hint, message } = error
      this.#send({ jsonrpc: '2.0', id: id ?? null, error: { code: -32000, message, data: hint ? { code, hint } : { code } } })
    } else if (id !== undefined) {
      this.#send({ jsonrpc: '2.0', id, result: then ? then.result : result })
    }
    if (then && !this.closed) then.begin()
  }

  /** What is sent within one turn leaves together. */
  #send (message) {
    if (this.closed || this.#socket.destroyed) return
    if (!this.#corked) {
      this.#corked = true
      this.#socket.cork()
      setImmediate(() => {
        this.#corked = false
        this.#socket.uncork()
      })
    }
    this.#socket.write(JSON.stringify(message) + '\n')
    this.#pauseOrResume()
  }

  #pauseOrResume () {
    const busy = this.#socket.writableNeedDrain || this.#running >= MOST_REQUESTS
    if (busy === this.#socket.isPaused()) return
    if (busy) this.#socket.pause()
    else this.#socket.resume()
  }

  #onDrain () {
    this.#drained?.resolve()
    this.#drained = null
    this.#pauseOrResume()
  }

  #onClose () {
    this.closed = true
    this.#queue = []
    this.#onDrain()
    for (const close of this.#closers) close()
  }
}

function withResolver () {
  const out = {}
  out.promise = new Promise(resolve => { out.resolve = resolve })
  return out
}
