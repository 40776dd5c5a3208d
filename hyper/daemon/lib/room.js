/*
 * After a failed write RocksDB takes no other one until it is opened anew, however much room there is by then.
 * So a daemon whose store broke goes on answering what it can read, and makes way for its successor as soon as
 * that one can write.
 */
import { freeBytes, RESERVE } from './disk.js'
import { isBroken, isFull } from './errors.js'
import { log } from './log.js'

/** How often we look, in milliseconds. */
const PAUSE = 500

export class Room {
  #folder
  #leave
  #timer = null

  /** `leave` ends this process without a mark that all was well. */
  constructor (folder, leave) {
    this.#folder = folder
    this.#leave = leave
  }

  /** True while nothing can be written. */
  get isBroken () {
    return this.#timer !== null
  }

  /** What went wrong with a call; most of it is no concern of ours. */
  notice (error) {
    if (this.isBroken || isOfAFolder(error) || !isBroken(error)) return
    log(isFull(error) ? 'the disk is full; nothing is written until there is room' : 'the store cannot be written')
    this.#timer = setInterval(() => this.#look(), PAUSE)
  }

  close () {
    clearInterval(this.#timer)
  }

  #look () {
    if (freeBytes(this.#folder) < RESERVE) return
    log('there is room to write: this daemon ends, so that another one opens the store')
    this.close()
    this.#leave()
  }
}

/** A folder that a drive goes to may be full, on a disk of its own; the store's files are not written by Node. */
function isOfAFolder ({ syscall }) {
  return syscall !== undefined && syscall !== 'fdatasync'
}
