/*
 * The daemon's settings, from its environment. Wrong ones end it at once, with a sentence that names the
 * variable: nothing here is guessed.
 */
import { isIP } from 'node:net'

import { HyperError } from './errors.js'

const KEY = /^[0-9a-f]{64}$/

/** Reads the variables that README.md tells. Raises BAD_REQUEST. */
export function readSettings (environment) {
  return {
    store: required(environment, 'HYPER_STORE'),
    socket: required(environment, 'HYPER_SOCKET'),
    healthSocket: environment.ATEK_ASSIGNED_SOCKET_FILE || '',
    bootstrap: list(environment, 'HYPER_BOOTSTRAP').map(text => address('HYPER_BOOTSTRAP', text)),
    meetingPoint: optionalAddress(environment, 'HYPER_MEETING_POINT'),
    isPublic: environment.HYPER_PUBLIC === '1',
    listen: optionalAddress(environment, 'HYPER_LISTEN'),
    dht: optionalAddress(environment, 'HYPER_DHT') || { host: '127.0.0.1', port: 0 },
    peers: list(environment, 'HYPER_PEERS').map(checkPeer),
    knownOnly: environment.HYPER_KNOWN_ONLY !== '0',
    holdMs: whole(environment, 'HYPER_HOLD_MS', 10_000),
    restore: environment.HYPER_RESTORE || ''
  }
}

/** {host, port, key} as it came from a person or a client. Raises BAD_REQUEST. */
export function checkPeer (peer) {
  const { host, port, key } = peer ?? {}
  if (typeof host !== 'string' || !host) throw bad('a peer needs a host')
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw bad(`${port} is no port of a peer`)
  return { host, port, key: checkKey(key) }
}

/** A key as 64 hexadecimal digits. Raises BAD_REQUEST. */
export function checkKey (key) {
  const small = typeof key === 'string' ? key.toLowerCase() : ''
  if (!KEY.test(small)) throw bad(`${JSON.stringify(key)} is no key of 64 hexadecimal digits`)
  return small
}

/** {host, port} as text that `address` reads again. */
export function showAddress ({ host, port }) {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`
}

function address (name, text) {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text)
  const port = Number(match?.[3])
  if (!match || port > 65535) throw bad(`${name}: ${JSON.stringify(text)} is not host:port`)
  return { host: match[1] ?? match[2], port }
}

function optionalAddress (environment, name) {
  return environment[name] ? address(name, environment[name]) : null
}

function required (environment, name) {
  if (!environment[name]) throw bad(`${name} is not set`)
  return environment[name]
}

function list (environment, name) {
  if (!environment[name]) return []
  let value
  try {
    value = JSON.parse(environment[name])
  } catch {
    throw bad(`${name} is not JSON`)
  }
  if (!Array.isArray(value)) throw bad(`${name} is not a list`)
  return value
}

function whole (environment, name, otherwise) {
  const text = environment[name]
  if (!text) return otherwise
  if (!/^\d{1,9}$/.test(text)) throw bad(`${name} is not a number of milliseconds`)
  return Number(text)
}

function bad (message) {
  return new HyperError('BAD_REQUEST', message)
}
