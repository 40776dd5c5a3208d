/*
 * What can be asked of a database: one record, a page of them, what was written when, and what differs.
 *
 * Answers come in pages, so that no client has to hold, and no connection to carry, more than a page at once.
 * A record whose value cannot be read is there, with `undecodable` (why) in place of its value.
 */
import { keyOf, pathOf, rangeOf, startOf } from './keys.js'
import { decode } from './values.js'

export const PAGE_RECORDS = 500
export const PAGE_BYTES = 1024 * 1024
/** So many blocks are looked at, at most, for one page of a history. */
const PAGE_BLOCKS = 5000

/** The record, or null. */
export async function get (database, path, version) {
  const key = keyOf(path)
  return reading(database, version, async view => {
    const node = await view.get(key)
    return node && recordOf(node)
  })
}

/** A page of the records under a prefix: {records, version, fork, next?}. */
export async function list (database, prefix, { limit = Infinity, reverse = false, version, ...bounds }) {
  const start = startOf(prefix)
  const range = rangeOf(prefix, bounds)
  return reading(database, version, async view => {
    const page = new Page(Math.min(limit, PAGE_RECORDS))
    const records = []
    let next
    for await (const node of view.records(range, { reverse, limit: PAGE_RECORDS + 1 })) {
      if (page.isFull) {
        if (records.length < limit) next = lastKey(records).slice(start.length)
        break
      }
      page.add(node)
      records.push(recordOf(node))
    }
    return { records, version: view.version, fork: database.fork, ...(next === undefined ? {} : { next }) }
  })
}

/**
 * A page of what was written in blocks `since` up to before `until`: {changes, version, fork, next?}, where
 * `next` is the block to go on from (as `since`, or as `until` when reversed).
 */
export async function history (database, { since = 0, until = Infinity, prefix = [], limit = 1000, reverse = false }) {
  const start = startOf(prefix)
  return reading(database, undefined, async view => {
    const gte = Math.max(1, since)
    const lt = Math.min(until, view.version)
    const answer = { changes: [], version: view.version, fork: database.fork }
    if (gte >= lt || limit < 1) return answer
    const page = new Page(Math.min(limit, PAGE_RECORDS))
    let looked = 0
    for await (const node of view.writes({ gte, lt, reverse })) {
      if (page.isFull || looked === PAGE_BLOCKS) {
        answer.next = reverse ? node.seq + 1 : node.seq
        break
      }
      looked++
      if (node.type === 'broken' || !node.key.startsWith(start)) continue
      page.add(node)
      answer.changes.push(changeOf(node))
    }
    return answer
  })
}

/**
 * A page of what differs under a prefix between two versions: {changes: [{left, right}], version, next?}, left
 * being the older one. The page after it is asked for with `right` as this version and `gt` as `next`.
 */
export async function diff (database, { left, right, prefix = [], gt }) {
  const start = startOf(prefix)
  const range = rangeOf(prefix, { gt })
  return reading(database, right, async view => {
    const page = new Page(PAGE_RECORDS)
    const answer = { changes: [], version: view.version }
    let last
    for await (const { left: now, right: then } of view.differences(Math.min(left, view.version), range)) {
      if (page.isFull) {
        answer.next = last.slice(start.length)
        break
      }
      for (const node of [then, now]) if (node) page.add(node)
      answer.changes.push({ left: then && recordOf(then), right: now && recordOf(now) })
      last = (now ?? then).key
    }
    return answer
  })
}

/** What a page may still take: so many records, so many bytes. */
class Page {
  #left
  #bytes = PAGE_BYTES

  constructor (records) {
    this.#left = records
  }

  get isFull () {
    return this.#left <= 0 || this.#bytes <= 0
  }

  add ({ key, value }) {
    this.#left--
    this.#bytes -= key.length + (value?.length ?? 0)
  }
}

async function reading (database, version, read) {
  const view = await database.at(version)
  try {
    return await read(view)
  } finally {
    await view.close()
  }
}

function recordOf ({ key, seq, value }) {
  return { path: pathOf(key), seq, ...decode(value) }
}

function changeOf (node) {
  if (node.type === 'del') return { path: pathOf(node.key), seq: node.seq, deleted: true }
  return recordOf(node)
}

function lastKey (records) {
  return records.at(-1).path.join('\0')
}
