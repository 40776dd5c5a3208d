/*
 * What the store takes of its disk. RocksDB reserves the whole of its log before the first byte of it is written (1.1 times its
 * buffer of writes), and a buffer that is full becomes a file of its own before the log goes. Both are small
 * here, so that a small card is not taken up by what is not there yet; and no write is begun that could take the
 * last free bytes: after a write that failed RocksDB writes nothing more.
 */
import { statfsSync } from 'node:fs'

import { HyperError } from './errors.js'

/** Bytes of writes that RocksDB collects before it makes a file of them. */
export const WRITE_BUFFER = 4 * 1024 * 1024
/** Bytes that have to be free for it to write at all: a log, a full buffer, and a list of its files (4 MiB ahead). */
export const RESERVE = 12 * 1024 * 1024

/** Raises NO_SPACE unless so many bytes can be written on the folder's disk. */
export function requireRoom (folder, bytes = 0) {
  const needed = RESERVE + bytes
  const free = freeBytes(folder)
  if (free >= needed) return
  throw new HyperError(
    'NO_SPACE', `the disk is full: writing needs ${show(needed)} free beside the store, and ${show(free)} are`,
    'free some space on it; nothing is lost, what is there can be read, and writing goes on by itself'
  )
}

export function freeBytes (folder) {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

function show (bytes) {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}
