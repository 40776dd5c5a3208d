/*
 * Where the programs of this machine come to a tunnel that goes out: a Unix socket for its owner, or a port of
 * loopback, at both of its addresses. What comes to a port is a browser, so one that cannot be served is told so
 * in HTTP.
 */
import { createServer } from 'node:net'

import { HyperError } from '../errors.js'
import { listenAt } from '../rpc/server.js'

const BODY = 'The home cannot be reached at the moment. It is tried again every second: reload the page.\n'
const AWAY = 'HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 2\r\n' +
  `Connection: close\r\nContent-Length: ${Buffer.byteLength(BODY)}\r\n\r\n${BODY}`

/** So that nothing is lost of what a program says before there is a way for it. */
const OPTIONS = { allowHalfOpen: true, pauseOnConnect: true, noDelay: true }

/** `onSocket(socket, away)` gets each connection. Raises IN_USE. */
export async function openDoors ({ socket, port }, onSocket) {
  if (socket !== undefined) {
    const server = createServer(OPTIONS, each => onSocket(each))
    await listenAt(server, socket)
    return new Doors([server], null)
  }
  const first = createServer(OPTIONS, each => onSocket(each, sayAway))
  await listenOn(first, port, '127.0.0.1')
  const second = createServer(OPTIONS, each => onSocket(each, sayAway))
  const chosen = first.address().port
  const isThere = await listenOn(second, chosen, '::1').then(() => true, () => false)
  return new Doors(isThere ? [first, second] : [first], chosen)
}

class Doors {
  #servers

  constructor (servers, port) {
    this.#servers = servers
    this.port = port
  }

  async close () {
    await Promise.all(this.#servers.map(server => new Promise(resolve => server.close(resolve))))
  }
}

async function listenOn (server, port, host) {
  try {
    await new Promise((resolve, reject) => server.once('error', reject).listen({ port, host }, resolve))
  } catch (error) {
    if (error.code !== 'EADDRINUSE') throw error
    throw new HyperError('IN_USE', `another program has port ${port} of ${host}`, 'choose another port')
  }
  server.on('error', () => {})
}

function sayAway (socket) {
  socket.end(AWAY, () => socket.destroy())
}
