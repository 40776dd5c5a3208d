/*
 * Real daemons for tests: processes of their own, with stores in temporary folders, and clients of them.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('../index.js', import.meta.url))
/** Nothing in these tests takes so long, on however slow a machine. Milliseconds. */
const PATIENCE = 60_000

/** A folder that goes with the test. */
export function temporary (t) {
  const folder = mkdtempSync(join(tmpdir(), 'hyper-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A node: its store stays between runs of its daemon. */
export class Node {
  constructor (t, environment = {}) {
    // Before the folder goes, which is asked for next.
    t.after(() => this.kill())
    this.folder = temporary(t)
    this.store = join(this.folder, 'store')
    this.socket = join(this.folder, 's')
    this.environment = environment
    this.process = null
    this.log = ''
  }

  /** Starts the daemon and connects to it. */
  async start (environment = {}) {
    await this.run(environment)
    this.client = await connectTo(this.socket)
    return this.client
  }

  /** Starts the daemon; returns once it is ready, or raises what it said at its end. */
  async run (environment = {}) {
    this.log = ''
    const child = this.process = spawn(process.execPath, ['--max-old-space-size=96', '--max-semi-space-size=2', PROGRAM], {
      env: {
        PATH: process.env.PATH,
        HYPER_STORE: this.store,
        HYPER_SOCKET: this.socket,
        HYPER_BOOTSTRAP: '[]',
        ...this.environment,
        ...environment
      },
      stdio: ['ignore', 'ignore', 'pipe']
    })
    child.ended = new Promise(resolve => child.once('exit', resolve))
    child.stderr.setEncoding('utf8').on('data', text => { this.log += text })
    await until(() => {
      if (child.exitCode !== null || child.signalCode) throw new Error(this.log)
      return /^ready$/m.test(this.log)
    }, child.stderr, 'data')
  }

  /** A second connection to the daemon. */
  connect () {
    return connectTo(this.socket)
  }

  kill (signal = 'SIGKILL') {
    this.client?.close()
    if (!this.process || this.process.exitCode !== null) return this.process?.ended
    this.process.kill(signal)
    return this.process.ended
  }

  stop () {
    return this.kill('SIGTERM')
  }
}

export class Client {
  #socket
  #waiting = new Map()
  #last = 0
  #rest = ''

  constructor (socket) {
    this.#socket = socket
    this.notes = []
    this.closed = new Promise(resolve => socket.once('close', resolve))
    socket.setEncoding('utf8').on('data', text => this.#take(text)).on('error', () => {})
    socket.once('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('closed'))
      this.#waiting.clear()
    })
  }

  get socket () {
    return this.#socket
  }

  call (method, params = {}) {
    const id = ++this.#last
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    this.#socket.write(JSON.stringify({ jsonrpc: '2.0', id, method, params }) + '\n')
    return answer
  }

  /** The code with which a call fails. */
  async fails (method, params) {
    try {
      await this.call(method, params)
    } catch (error) {
      return error.code
    }
    throw new Error(`${method} did not fail`)
  }

  /** The first notification, from before or to come, that is of this method and passes. */
  async note (method, passes = () => true) {
    const find = () => this.notes.find(note => note.method === method && passes(note.params))
    await until(find, this.#socket, 'note')
    return find().params
  }

  close () {
    this.#socket.destroy()
  }

  #take (text) {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()
    for (const line of lines) this.#message(JSON.parse(line))
  }

  #message (message) {
    if (message.method) {
      this.notes.push(message)
      this.#socket.emit('note')
      return
    }
    const { resolve, reject } = this.#waiting.get(message.id)
    this.#waiting.delete(message.id)
    if (!message.error) return resolve(message.result)
    reject(Object.assign(new Error(message.error.message), message.error.data))
  }
}

export async function connectTo (path) {
  const socket = connect(path)
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return new Client(socket)
}

/** Once `holds()` is true, looked at again whenever the emitter tells, and now and then. */
export function until (holds, emitter, event) {
  return new Promise((resolve, reject) => {
    const finish = (settle, value) => {
      clearInterval(interval)
      clearTimeout(timer)
      emitter?.off(event, check)
      settle(value)
    }
    const check = () => {
      try {
        if (holds()) finish(resolve)
      } catch (error) {
        finish(reject, error)
      }
    }
    const interval = setInterval(check, 100)
    const timer = setTimeout(() => finish(reject, new Error('it did not happen')), PATIENCE)
    emitter?.on(event, check)
    check()
  })
}

/** Asks again until the answer passes. */
export async function eventually (ask, passes) {
  const end = Date.now() + PATIENCE
  for (;;) {
    const answer = await ask()
    if (passes(answer)) return answer
    if (Date.now() > end) throw new Error(`still ${JSON.stringify(answer)}`)
    await new Promise(resolve => setTimeout(resolve, 30))
  }
}

/** Two nodes, the second of which connects to the first over TCP. */
export async function pair (t, environment = {}) {
  const [one, other] = [new Node(t, { HYPER_LISTEN: '127.0.0.1:0', ...environment }), new Node(t, environment)]
  await one.start()
  await other.start()
  await introduce(one, other)
  return [one, other]
}

/** The second connects to the first, which lets it in; both find each other again after restarts. */
export async function introduce (one, other) {
  const { noiseKey, address } = await one.client.call('hello')
  const { noiseKey: otherKey } = await other.client.call('hello')
  const [host, port] = address.split(':')
  await one.client.call('net.allow', { keys: [otherKey] })
  await other.client.call('net.addPeer', { host, port: Number(port), key: noiseKey })
  one.environment = { ...one.environment, HYPER_LISTEN: address, HYPER_KNOWN_ONLY: '0' }
  other.environment = { ...other.environment, HYPER_PEERS: JSON.stringify([{ host, port: Number(port), key: noiseKey }]) }
}
