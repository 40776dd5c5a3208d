// Makes the calls on its stdin, one after another, and prints what each of them came to.
// A call is {api, method, params, token?}; a param {"undefined": true} is JavaScript's undefined.
// Without a token the client is the library's own, as an app imports it, with what its environment says.

import inspect from '@atek-cloud/inspect-api'
import { rpc } from '@atek-cloud/node-rpc'
import services from '@atek-cloud/services-api'
import { text } from 'node:stream/consumers'

const LIBRARIES = { 'atek.cloud/services-api': services, 'atek.cloud/inspect-api': inspect }

function clientFor ({ api, token }) {
  if (token === undefined) return LIBRARIES[api] ?? rpc(api)
  const client = rpc(api)
  client.$setAuthHeader(token)
  return client
}

async function outcome (call) {
  const params = call.params.map(each => each?.undefined ? undefined : each)
  try {
    const result = await clientFor(call)[call.method](...params)
    return result === undefined ? { undefined: true } : { result }
  } catch (error) {
    return { error: { name: error.name, code: error.code, message: error.message, data: error.data } }
  }
}

const outcomes = []
for (const call of JSON.parse(await text(process.stdin))) outcomes.push(await outcome(call))
console.log(JSON.stringify(outcomes))
