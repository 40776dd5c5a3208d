/*
 * The log: lines on stderr. Standard output belongs to nobody; hypercore prints there on a conflict, and
 * that becomes a line of the log, too.
 */
import { format } from 'node:util'

export function log (...words) {
  process.stderr.write(format(...words) + '\n')
}

/** Whatever any library prints goes to the log. */
export function takeConsole () {
  for (const name of ['log', 'info', 'debug', 'warn', 'error', 'trace']) console[name] = log
}
