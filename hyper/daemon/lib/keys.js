/*
 * Paths of records and their keys in the bee: the parts joined by a NUL, in UTF-8, as other Atek software
 * writes them. A prefix covers what lies under it, not the record of that very path.
 */
import { HyperError } from './errors.js'

const SEPARATOR = '\0'
/** Stands right after the separator: no key under a prefix reaches it. */
const AFTER_SEPARATOR = '\x01'

export function keyOf (path) {
  if (!Array.isArray(path) || path.length === 0) throw bad('a record needs a path')
  path.forEach(checkPart)
  return path.join(SEPARATOR)
}

export function pathOf (key) {
  return key.split(SEPARATOR)
}

/** What the keys of all records under a prefix begin with. */
export function startOf (prefix) {
  if (!Array.isArray(prefix)) throw bad('a prefix is a list of text')
  prefix.forEach(checkPart)
  return prefix.map(part => part + SEPARATOR).join('')
}

/** Where a bee has to look for what is under a prefix, within bounds that follow the prefix. */
export function rangeOf (prefix, { gt, gte, lt, lte } = {}) {
  const start = startOf(prefix)
  const range = {}
  const lower = highest(start, gt, gte)
  if (lower) range[lower.open ? 'gt' : 'gte'] = lower.key
  const upper = lowest(start, lt, lte) ?? (start ? { key: start.slice(0, -1) + AFTER_SEPARATOR, open: true } : null)
  if (upper) range[upper.open ? 'lt' : 'lte'] = upper.key
  return range
}

/** The stricter of two lower bounds; the prefix itself where there is none. */
function highest (start, open, closed) {
  if (open === undefined && closed === undefined) return start ? { key: start, open: false } : null
  if (closed === undefined || (open !== undefined && compare(open, closed) >= 0)) return { key: start + open, open: true }
  return { key: start + closed, open: false }
}

function lowest (start, open, closed) {
  if (open === undefined && closed === undefined) return null
  if (closed === undefined || (open !== undefined && compare(open, closed) <= 0)) return { key: start + open, open: true }
  return { key: start + closed, open: false }
}

function compare (one, other) {
  return Buffer.compare(Buffer.from(one), Buffer.from(other))
}

function checkPart (part) {
  if (typeof part !== 'string' || !part || part.includes(SEPARATOR) || /\p{Surrogate}/u.test(part)) {
    throw bad(`${JSON.stringify(part)} cannot be part of a record's path`)
  }
}

function bad (message) {
  return new HyperError('BAD_REQUEST', message)
}
