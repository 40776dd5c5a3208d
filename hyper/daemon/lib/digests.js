/*
 * What is known of a folder and its drive from one push to the next: the digests of files, so that one which is as
 * it was is not read again, and the drive's entries, so that they are not looked for. It is the same file if its device, number, size, and times of change are: not only `mtime`, which
 * anybody can set back, but `ctime`, which the kernel alone sets. A file that changed just before it was read
 * may change once more within the same tick of the clock: its digest is not kept (as Git does with its index).
 *
 * What it does not see: a program that has the file mapped into its memory and goes on writing to a page that the
 * kernel has not written out since the push before.
 *
 * A cache: whatever is wrong with it, everything is read.
 */
import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { readIfThere, replaceFile } from './files.js'
import { log } from './log.js'

/** So many milliseconds a change has to be old: more than the coarsest clock of a file system. */
const SETTLED = 2000

export class Digests {
  #folder
  #file
  #before
  #now = {}
  #drive
  #ranges

  /** Those of the drive of that name, in the store's folder. */
  constructor (store, name) {
    this.#folder = join(store, 'digests')
    this.#file = join(this.#folder, createHash('sha256').update(name).digest('hex').slice(0, 32) + '.json')
    const { files = {}, drive = null, ranges = [] } = read(this.#file)
    this.#before = files
    this.#drive = drive
    this.#ranges = new Map(ranges)
  }

  /** Path → value of all entries that a drive has at this version, null where that is not known. */
  entries ({ key, version }) {
    const { key: knownKey, version: knownVersion, entries } = this.#drive ?? {}
    if (knownKey !== key.toString('hex') || knownVersion !== version) return null
    return new Map(entries)
  }

  /** The digest of a file that is as it was, or undefined. */
  find ({ path, identity }) {
    const kept = Object.hasOwn(this.#before, path) ? this.#before[path] : undefined
    if (kept?.[0] !== identity) return undefined
    this.#now[path] = kept
    return kept[1]
  }

  /** `began`: when reading it began, as Date.now() says. */
  note ({ path, identity, changedMs }, digest, began) {
    if (changedMs + SETTLED < began) this.#now[path] = [identity, digest]
  }

  /** Which blocks of content a version of the drive needs, null where nobody knows it yet. */
  ranges ({ key }, version) {
    return (this.#drive?.key === key.toString('hex') && this.#ranges.get(version)) || null
  }

  /** Keeps the digests that were found or noted, what the drive has now, and the ranges of its versions; not where the disk has no room. */
  save ({ key, version }, entries, ranges) {
    const drive = { key: key.toString('hex'), version, entries: [...entries] }
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
      replaceFile(this.#file, JSON.stringify({ files: this.#now, drive, ranges: [...ranges] }))
    } catch (error) {
      log('the digests of a push are not kept:', error)
    }
  }
}

function read (file) {
  try {
    const value = JSON.parse(readIfThere(file) ?? '{}')
    return value !== null && typeof value === 'object' ? value : {}
  } catch {
    return {}
  }
}
