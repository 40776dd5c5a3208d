/*
 * The store's folder: opened by one daemon at a time, and never a copy of another one that still lives.
 */
import { mkdirSync, chmodSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

import Corestore from 'corestore'
import Storage from 'hypercore-storage'

import { makeCache } from './cache.js'
import { WRITE_BUFFER } from './disk.js'
import { HyperError, isFull } from './errors.js'

/**
 * Opens the corestore in a folder, which only its owner may enter. Raises STORE_LOCKED, STORE_COPIED,
 * STORE_DAMAGED, STORE_UNWRITABLE.
 */
export async function openStore (folder, primaryKey = null) {
  let store
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    chmodSync(folder, 0o700)
    const storage = new Storage(folder, { writeBufferSize: WRITE_BUFFER })
    store = new Corestore(storage, { globalCache: makeCache(), ...(primaryKey ? { primaryKey, unsafe: true } : {}) })
    await store.ready()
  } catch (error) {
    throw whyNotOpened(error, folder)
  }
  return store
}

/** The bytes that its files take. */
export async function sizeOf (folder) {
  let sum = 0
  for (const name of await readdir(folder, { recursive: true })) {
    const found = await stat(join(folder, name)).catch(() => null)
    if (found?.isFile()) sum += found.size
  }
  return sum
}

function whyNotOpened (error, folder) {
  const message = error.message || ''
  if (/could not be locked|lock hold|resource temporarily unavailable/i.test(message)) {
    return new HyperError('STORE_LOCKED', `another daemon has the store ${folder} open`)
  }
  if (error.code === 'DEVICE_FILE' || /device file/i.test(message)) {
    return new HyperError(
      'STORE_COPIED', `the store ${folder} is a copy: two of them would write the same logs`,
      'restore a backup instead of copying the folder'
    )
  }
  if (['EACCES', 'EPERM', 'EROFS'].includes(error.code) || /permission denied|read-only/i.test(message)) {
    return new HyperError('STORE_UNWRITABLE', `the store ${folder} cannot be written`, 'mend its permissions')
  }
  // RocksDB's complaints about its own files have this code; a full disk is told by its words.
  if (error.code === 'EIO' && !isFull(error)) return damaged(folder, message)
  return error
}

/** What a store is whose files are not as they were written. */
export function damaged (folder, why) {
  return new HyperError(
    'STORE_DAMAGED', `the store ${folder} is damaged: ${why.replace(/\s+/g, ' ')}`,
    '`atek restore` a backup into a new home; without one move the folder away, and the node gets new keys, by which others follow it anew'
  )
}
