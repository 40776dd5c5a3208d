// Listens on the socket that the node assigned, counts its visitors in the folder that outlives revisions, and
// answers only to the node's router: that shows the token which the node gave to both.
const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')

const file = path.join(process.env.ATEK_DATA_DIR, 'visits.json')
let visits = 0
try {
  visits = JSON.parse(fs.readFileSync(file, 'utf8')).visits
} catch {
  // The first start: nobody has been here yet.
}

const token = process.env.ATEK_ROUTER_TOKEN
const server = http.createServer((request, response) => {
  if (token && request.headers['atek-router-token'] !== token) return response.writeHead(403).end()
  if (request.headers['user-agent'] !== 'atek-probe') {
    visits += 1
    fs.writeFileSync(file, JSON.stringify({ visits }))
  }
  response.setHeader('Content-Type', 'text/plain; charset=utf-8')
  response.end(`${process.env.GREETING}. Visits: ${visits}\n`)
})

server.listen(process.env.ATEK_ASSIGNED_SOCKET_FILE, () => console.log('listening'))
process.on('SIGTERM', () => server.close(() => process.exit(0)))
