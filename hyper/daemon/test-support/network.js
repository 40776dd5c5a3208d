/*
 * A private DHT on loopback, for tests: never a public one.
 */
import { createServer } from 'node:net'

import HyperDHT from 'hyperdht'

import { Node } from './daemons.js'

// With two, a node could not tell what NAT it is behind, and one call in three was given up.
const DHT_NODES = 6

/** A DHT: the addresses of the nodes it is found by. */
export async function network (t, port = 0) {
  const first = HyperDHT.bootstrapper(port || await freePort(), '127.0.0.1')
  await first.ready()
  const bootstrap = [`127.0.0.1:${first.address().port}`]
  const nodes = [first]
  t.after(() => Promise.all(nodes.map(node => node.destroy())))
  while (nodes.length < DHT_NODES) {
    const node = new HyperDHT({ bootstrap, port: await freePort(), host: '127.0.0.1', ephemeral: false, firewalled: false })
    nodes.push(node)
    await node.fullyBootstrapped()
  }
  return bootstrap
}

export async function freePort () {
  const server = createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}

/** Two nodes on it, and their noise keys. */
export async function two (t, environment) {
  const nodes = [new Node(t, environment), new Node(t, environment)]
  for (const node of nodes) await node.start()
  const keys = await Promise.all(nodes.map(async ({ client }) => (await client.call('hello')).noiseKey))
  return { nodes, keys }
}
