/*
 * A database at one version. All views of a bee share its cache, and none of them waits for the network.
 */
export class View {
  #bee
  #batch
  #options

  /** `version` counts blocks, the header among them: 1 is the empty database. */
  constructor (bee, version) {
    this.version = Math.max(1, version)
    this.#bee = bee
    this.#options = { checkout: this.version, update: false, wait: false }
    this.#batch = bee.batch(this.#options)
  }

  get (key) {
    return this.#batch.get(key)
  }

  /** The first `limit` records of a range, in the order of their keys unless reversed. */
  async * records (range, { reverse = false, limit }) {
    const iterator = this.#batch.createRangeIterator(range, { ...this.#options, reverse, limit })
    await iterator.open()
    for (let node = await iterator.next(); node !== null; node = await iterator.next()) yield node
  }

  /** What was written in blocks `gte` up to before `lt`, which has to be above it. */
  writes ({ gte, lt, reverse = false }) {
    return this.#bee.createHistoryStream({ ...this.#options, gte, lt, reverse })
  }

  /** What differs from an older version, as {left: now, right: then}. */
  async * differences (older, range) {
    const [now, then] = [this.version, Math.max(1, older)].map(version => this.#bee.checkout(version))
    try {
      await Promise.all([now.ready(), then.ready()])
      yield * now.createDiffStream(then, range, { wait: false })
    } finally {
      await Promise.all([now.close(), then.close()])
    }
  }

  close () {
    return this.#batch.close()
  }
}
