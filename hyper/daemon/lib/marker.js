/*
 * Did the last run end well, and could anything be lost since? The file `running` is there while a daemon
 * has the store open, and names the machine's boot: as long as the machine itself did not go down, the kernel
 * has kept all that was written, however the daemon ended.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'

import { readIfThere, replaceFile, syncFolder } from './files.js'

export class Marker {
  #file
  #folder

  constructor (folder) {
    this.#folder = folder
    this.#file = join(folder, 'running')
  }

  /** Marks the store as open. True when the run before may have lost what it wrote last. */
  start () {
    const before = readIfThere(this.#file)
    const boot = bootId()
    replaceFile(this.#file, boot + '\n')
    return before !== null && (boot === '' || before.trim() !== boot)
  }

  /** Everything is on the disk: the next run has nothing to fear. */
  finish () {
    rmSync(this.#file, { force: true })
    syncFolder(this.#folder)
  }
}

function bootId () {
  return (readIfThere('/proc/sys/kernel/random/boot_id') ?? '').trim()
}
