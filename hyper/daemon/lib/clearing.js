/*
 * Content that no version of a drive needs which anybody can still name is cleared, and its room on the disk
 * given back: RocksDB marks what was cleared, and frees it when it writes its files anew.
 *
 * Only content: the lists of all versions stay, they are small, and a bee needs its old blocks.
 */
import RocksDB from 'rocksdb-native'

import { freeBytes, RESERVE } from './disk.js'
import { log } from './log.js'
import { sizeOf } from './store.js'

/** Files are written anew when this part of the store was cleared, and at least so many bytes. */
const PART = 0.2
const LEAST = 2 * 1024 * 1024

/** Clears what is in none of these ranges of blocks, [start, end] each. Returns about how many bytes that was. */
export async function clearContent (drive, ranges) {
  const { core } = await drive.getBlobs()
  const needed = new Uint8Array(core.length)
  for (const [start, end] of ranges) needed.fill(1, start, end)
  let cleared = 0
  for (const [start, end] of gaps(needed, core.core.bitfield)) {
    await core.clear(start, end)
    cleared += end - start
  }
  return core.length === 0 ? 0 : cleared * core.byteLength / core.length
}

/** The ranges of a version's content; null where its list is not whole, or content lies in many places. */
export async function readRanges (drive, version) {
  const snapshot = drive.checkout(version)
  await snapshot.ready()
  const values = []
  try {
    for await (const { value } of snapshot.list('/', { wait: false })) values.push(value)
    return rangesOf(values)
  } catch (error) {
    if (error.code === 'BLOCK_NOT_AVAILABLE') return null
    throw error
  } finally {
    await snapshot.close()
  }
}

/** The same of its entries' values; what lies side by side is one range. */
export function rangesOf (values) {
  const blobs = [...values].map(({ blob }) => blob).filter(blob => blob)
  if (blobs.some(({ blockMap }) => blockMap)) return null
  const ranges = []
  for (const { blockOffset, blockLength } of blobs.sort((one, other) => one.blockOffset - other.blockOffset)) {
    const last = ranges.at(-1)
    if (last && blockOffset <= last[1]) last[1] = Math.max(last[1], blockOffset + blockLength)
    else if (blockLength) ranges.push([blockOffset, blockOffset + blockLength])
  }
  return ranges
}

/** [start, end] of blocks that are here and not needed. */
function * gaps (needed, bitfield) {
  for (let start = 0; start < needed.length; start++) {
    let end = start
    while (end < needed.length && !needed[end] && bitfield.get(end)) end++
    if (end > start) yield [start, end]
    start = end
  }
}

/** Gives back the room of what was cleared, now and then. */
export class Cleaner {
  #storage
  #folder
  #bytes = 0
  #isRunning = false

  constructor (storage, folder) {
    this.#storage = storage
    this.#folder = folder
  }

  /** So many bytes more were cleared. Nobody has to wait until their room is free. */
  cleared (bytes) {
    this.#bytes += bytes
    if (this.#bytes < LEAST || this.#isRunning) return
    this.#run().catch(error => log('what was cleared still takes its room:', error))
  }

  /** Again for what was cleared meanwhile. */
  async #run () {
    this.#isRunning = true
    try {
      while (await this.#rewrite());
    } finally {
      this.#isRunning = false
    }
  }

  /** Where that is worth it, and there is room to; else false. */
  async #rewrite () {
    if (this.#bytes < LEAST) return false
    const size = await sizeOf(this.#folder)
    const left = size - this.#bytes
    if (this.#bytes < PART * size || freeBytes(this.#folder) < left + RESERVE) return false
    this.#bytes = 0
    await this.#storage.db.flush()
    await this.#storage.compact({
      blobGarbageCollectionPolicy: RocksDB.constants.garbageCollectionPolicy.FORCE,
      blobGarbageCollectionAgeCutoff: 1,
      bottommostLevelCompaction: RocksDB.constants.bottommostLevelCompaction.FORCE
    })
    return true
  }
}
