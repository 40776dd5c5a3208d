/*
 * After the machine went down, the store may be older than what a follower has already seen: writing on from
 * there would fork the log. So writes to a database that somebody follows wait until one of the followers has
 * shown what it has and all of it is here, or until a time has passed without any.
 */

/** Peers tell what they have without an event of their own; we look so often, in milliseconds. */
const LOOK_AGAIN = 50

export class Hold {
  #database
  #ended = null
  #end = null

  constructor (database) {
    this.#database = database
  }

  get isHeld () {
    return this.#end !== null
  }

  /**
   * Holds writes from now on, for so many milliseconds, or longer while something still arrives. Then
   * `finish(seen)` is awaited, before writes go on; `seen`: all that a follower has is here.
   */
  start (ms, finish = async () => {}) {
    this.#ended = this.#wait(ms).then(finish).finally(() => { this.#end = null })
    this.#ended.catch(() => {})
  }

  /** Waits for no follower any longer. */
  release () {
    this.#end?.(false)
  }

  /** Returns once writing is allowed; raises what `finish` raised. */
  async over () {
    return this.#ended
  }

  async #wait (ms) {
    let seen = this.#database.version
    let timer
    const watch = setInterval(() => isSettled(this.#database) && this.#end(true), LOOK_AGAIN)
    const giveUp = () => {
      const isMoving = this.#database.version > seen
      seen = this.#database.version
      if (isMoving) timer = setTimeout(giveUp, ms)
      else this.#end(false)
    }
    try {
      return await new Promise(resolve => {
        this.#end = resolve
        timer = setTimeout(giveUp, ms)
      })
    } finally {
      clearTimeout(timer)
      clearInterval(watch)
    }
  }
}

function isSettled (database) {
  const peers = database.shownBy
  return peers.length > 0 && database.isWhole && peers.every(peer => !isAhead(peer, database))
}

function isAhead (peer, { fork, version }) {
  return peer.remoteFork > fork || (peer.remoteFork === fork && peer.remoteLength > version)
}
