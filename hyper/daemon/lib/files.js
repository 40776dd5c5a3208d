/*
 * Files that are whole or not there: written beside, synced, renamed.
 */
import { constants, openSync, writeSync, fsyncSync, closeSync, renameSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** Replaces a file; on the disk when it returns. Only the owner may read it. */
export function replaceFile (file, content) {
  const beside = file + '.new'
  const fd = openSync(beside, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600)
  try {
    writeSync(fd, content)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(beside, file)
  syncFolder(dirname(file))
}

/** The names in a folder, as they are now, are on the disk when it returns. */
export function syncFolder (folder) {
  const fd = openSync(folder, constants.O_RDONLY)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** The file's text, null when there is none. */
export function readIfThere (file) {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return null
    throw error
  }
}
