/*
 * `node load.mjs PORT HOST CLIENTS SECONDS BYTES` asks again and again over kept connections; prints {p50, rate, bytes}:
 * milliseconds, requests a second, and bytes a second. With BYTES it asks for answers of that size.
 */
import http from 'node:http'

const [port, host, clients, seconds, bytes] = process.argv.slice(2)
const agent = new http.Agent({ keepAlive: true, maxSockets: Number(clients) })
const taken = []
let received = 0

function ask () {
  return new Promise((resolve, reject) => {
    const begin = performance.now()
    const headers = { host }
    http.get({ agent, host: '127.0.0.1', port, path: `/${Number(bytes) || ''}`, headers }, answer => {
      answer.on('data', chunk => { received += chunk.length }).on('end', () => {
        taken.push(performance.now() - begin)
        resolve()
      })
    }).on('error', reject)
  })
}

async function client (end) {
  while (performance.now() < end) await ask()
}

for (let warm = 0; warm < (Number(bytes) ? 1 : 50); warm++) await Promise.all(Array.from({ length: Number(clients) }, ask))
taken.length = received = 0
const begin = performance.now()
await Promise.all(Array.from({ length: Number(clients) }, () => client(begin + seconds * 1000)))
const passed = (performance.now() - begin) / 1000
taken.sort((one, other) => one - other)
console.log(JSON.stringify({ p50: taken[taken.length >> 1], rate: taken.length / passed, bytes: received / passed }))
process.exit()
