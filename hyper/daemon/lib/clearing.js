/*
 * Content that no version of a drive needs which anybody can still name is cleared, and its room on the disk
 * given back: RocksDB marks what was cleared, and frees it when it writes its files anew.
 *
 * Only content: the lists of all versions stay, they are small, and a bee needs its old blocks.
 */
import RocksDB from 'rocksdb-native'

import { freeBytes, RESERVE } from './disk.js'
import { sizeOf } from './store.js'

/** Files are written anew when this part of the store was cleared, and at least so many bytes. */
const PART = 0.2
const LEAST = 2 * 1024 * 1024

/** Clears what none of these versions has. Returns about how many bytes that was. */
export async function clearContent (drive, versions) {
  const { core } = await drive.getBlobs()
  const needed = new Uint8Array(core.length)
  for (const version of versions) if (!(await mark(drive, version, needed))) return 0
  let cleared = 0
  for (const [start, end] of gaps(needed, core.core.bitfield)) {
    await core.clear(start, end)
    cleared += end - start
  }
  return core.length === 0 ? 0 : cleared * core.byteLength / core.length
}

/** False where a version's list is not whole, or has content that lies in many places. */
async function mark (drive, version, needed) {
  const snapshot = drive.checkout(version)
  await snapshot.ready()
  try {
    for await (const { value: { blob } } of snapshot.list('/', { wait: false })) {
      if (blob?.blockMap) return false
      if (blob) needed.fill(1, blob.blockOffset, blob.blockOffset + blob.blockLength)
    }
    return true
  } catch (error) {
    if (error.code === 'BLOCK_NOT_AVAILABLE') return false
    throw error
  } finally {
    await snapshot.close()
  }
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

  constructor (storage, folder) {
    this.#storage = storage
    this.#folder = folder
  }

  /** So many bytes more were cleared. Writes the files anew where that is worth it, and there is room to. */
  async cleared (bytes) {
    this.#bytes += bytes
    if (this.#bytes < LEAST) return
    const size = await sizeOf(this.#folder)
    const left = size - this.#bytes
    if (this.#bytes < PART * size || freeBytes(this.#folder) < left + RESERVE) return
    this.#bytes = 0
    await this.#storage.db.flush()
    await this.#storage.compact({
      blobGarbageCollectionPolicy: RocksDB.constants.garbageCollectionPolicy.FORCE,
      blobGarbageCollectionAgeCutoff: 1,
      bottommostLevelCompaction: RocksDB.constants.bottommostLevelCompaction.FORCE
    })
  }
}
