/*
 * HTTP over a bare stream of HyperDHT, and nothing else: `node bare.mjs LIBRARIES PORT` serves what listens at that
 * port of loopback by a key, and prints the port of loopback where another process reaches it by that key.
 */
import { fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'

const [libraries, port, role, key, bootstrap] = process.argv.slice(2)
const HyperDHT = createRequire(`${libraries}/`)('hyperdht')

function join (one, other) {
  for (const stream of [one, other]) stream.on('error', () => {})
  one.pipe(other).pipe(one)
}

if (role === 'caller') {
  const dht = new HyperDHT({ bootstrap: [bootstrap], host: '127.0.0.1' })
  const server = createServer({ noDelay: true }, socket => join(socket, dht.connect(Buffer.from(key, 'hex'))))
  server.listen(0, '127.0.0.1', () => process.send(server.address().port))
} else {
  const meeting = await new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
  const dht = HyperDHT.bootstrapper(meeting, '127.0.0.1', { host: '127.0.0.1' })
  const pair = HyperDHT.keyPair()
  await dht.createServer(stream => join(stream, connect({ port: Number(port), host: '127.0.0.1', noDelay: true }))).listen(pair)
  const words = [libraries, port, 'caller', pair.publicKey.toString('hex'), `127.0.0.1:${meeting}`]
  const caller = fork(fileURLToPath(import.meta.url), words)
  caller.once('message', at => console.log(at))
  process.on('SIGTERM', () => {
    caller.kill()
    process.exit()
  })
}
