/*
 * After the machine went down, the store may be older than what a follower has already seen: writing on from
 * there would fork the log. So writes to a database that somebody follows wait until one of the followers has
 * shown what it has and all of it is here, or until a time has passed without any.
 */

/** Peers tell what they have without an event of their own; we look so often, in milliseconds. */
const LOOK_AGAIN = 50

export class Hold {
  #database
  #promise = null
  #release = null
  #timers = []

  constructor (database) {
    this.#database = database
  }

  get isHeld () {
    return this.#promise !== null
  }

  /** Holds writes from now on, for so many milliseconds at most. */
  start (ms) {
    this.#promise = new Promise(resolve => { this.#release = resolve })
    this.#timers = [
      setTimeout(() => this.release(false), ms),
      setInterval(() => isSettled(this.#database) && this.release(true), LOOK_AGAIN)
    ]
  }

  /** Lets writes go on. `seen`: a follower showed what it has, and we have it, too. */
  release (seen = false) {
    clearTimeout(this.#timers[0])
    clearInterval(this.#timers[1])
    this.#promise = null
    this.#release?.(seen)
  }

  /** Returns once writing is allowed. */
  async over () {
    return this.#promise
  }
}

function isSettled (database) {
  const peers = database.shownBy
  return peers.length > 0 && database.isWhole && peers.every(peer => !isAhead(peer, database))
}

function isAhead (peer, { fork, version }) {
  return peer.remoteFork > fork || (peer.remoteFork === fork && peer.remoteLength > version)
}
