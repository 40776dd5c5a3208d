// Makes the calls on its stdin with the original's libraries, one after another, as pages in a browser would:
// each is made by somebody whose cookies are kept apart from others', and says nothing else of who it is.
// A call is {api, method, params, by}. It prints what each came to.

import services from '@atek-cloud/services-api'
import sessions from '@atek-cloud/user-sessions-api'
import users from '@atek-cloud/users-api'
import http from 'node:http'
import { text } from 'node:stream/consumers'

const LIBRARIES = {
  'atek.cloud/services-api': services,
  'atek.cloud/user-sessions-api': sessions,
  'atek.cloud/users-api': users
}
const port = Number(process.env.ATEK_HOST_PORT)
const jars = {}
let somebody = ''

// What a browser does and the library, which is for programs, does not: cookies, and no token.
const browser = http.createServer((request, response) => {
  const { authorization, ...headers } = request.headers
  if (jars[somebody]) headers.cookie = jars[somebody]
  const onwards = http.request({ port, path: request.url, method: request.method, headers }, answer => {
    for (const cookie of answer.headers['set-cookie'] ?? []) {
      const gone = /max-age=0/i.test(cookie)
      jars[somebody] = gone ? undefined : cookie.split(';')[0]
    }
    response.writeHead(answer.statusCode, answer.headers)
    answer.pipe(response)
  })
  request.pipe(onwards)
})
await new Promise(resolve => browser.listen(0, '127.0.0.1', resolve))

async function outcome ({ api, method, params, by }) {
  const library = LIBRARIES[api]
  library.$setEndpoint({ port: browser.address().port, hostname: '127.0.0.1' })
  somebody = by
  try {
    const result = await library[method](...params)
    return result === undefined ? { undefined: true } : { result }
  } catch (error) {
    return { error: { name: error.name, code: error.code, message: error.message, data: error.data } }
  }
}

const outcomes = []
for (const call of JSON.parse(await text(process.stdin))) outcomes.push(await outcome(call))
console.log(JSON.stringify(outcomes))
browser.close()
browser.closeAllConnections()
