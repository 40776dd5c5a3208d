// Embeds Node-RED: loopback only, flows and credentials in the data folder.
const http = require('node:http')
const RED = require('node-red')

const server = http.createServer((request, response) => app(request, response))
let app = (request, response) => {
  response.statusCode = 503
  response.end('Node-RED is starting\n')
}

RED.init(server, {
  uiHost: '127.0.0.1',
  uiPort: Number(process.env.PORT),
  httpAdminRoot: '/',
  httpNodeRoot: '/api',
  userDir: process.env.ATEK_DATA_DIR,
  logging: { console: { level: 'info' } },
  editorTheme: { tours: false }
})

const express = require('express')
const pages = express()
pages.use('/', RED.httpAdmin)
pages.use('/api', RED.httpNode)

RED.start().then(() => {
  app = pages
  server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('listening'))
})

process.on('SIGTERM', () => RED.stop().then(() => process.exit(0)))
