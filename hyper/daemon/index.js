/*
 * Hypercore for Atek: one process that has the store open, and a Unix socket where its owner's programs ask
 * it for everything. See README.md.
 */
import { Daemon } from './lib/daemon.js'
import { translate } from './lib/errors.js'
import { log, takeConsole } from './lib/log.js'
import { readSettings } from './lib/settings.js'

/** When closing takes longer, we leave all the same: the store is safe at every moment. Milliseconds. */
const CLOSING = 8_000

takeConsole()
process.on('uncaughtException', fail)
process.on('unhandledRejection', error => { if (!isGivenUp(error)) fail(error) })
process.umask(0o022)

let daemon = null
try {
  daemon = new Daemon(readSettings(process.env))
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, stop)
  await daemon.start()
  log('ready')
} catch (error) {
  fail(error)
}

async function stop () {
  setTimeout(() => process.exit(0), CLOSING).unref()
  await daemon.close()
  process.exit(0)
}

/** A call to another node that was given up while it asked the DHT: the library has nobody to tell. */
function isGivenUp (error) {
  return error?.code === 'REQUEST_DESTROYED'
}

function fail (error) {
  const { code, message, hint } = translate(error)
  log(`${code}: ${message}${hint ? ` (${hint})` : ''}`)
  if (code === 'INTERNAL') log(error)
  process.exit(1)
}
