// Embeds Node-RED on the socket that the node assigned, flows and credentials in the data folder.
const http = require('node:http')
const RED = require('node-red')

const server = http.createServer((request, response) => app(request, response))
let app = (request, response) => {
  response.statusCode = 503
  response.end('Node-RED is starting\n')
}

RED.init(server, {
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
  server.listen(process.env.ATEK_ASSIGNED_SOCKET_FILE, () => console.log('listening'))
})

process.on('SIGTERM', () => RED.stop().then(() => process.exit(0)))
