/*
 * A database at one version. All views of a bee share its cache, and none of them waits for the network.
 */
import { isBroken, translate } from './errors.js'

/** So many blocks at the end of a log are looked at for one that is a bee's. */
const MOST_BROKEN = 1000

export class View {
  #bee
  #batch
  #options

  /** `version` counts blocks, the header among them: 1 is the empty database. */
  constructor (bee, version) {
    this.version = Math.max(1, version)
    this.#bee = bee
    this.#readAt(this.version)
  }

  /**
   * Reads the records as they were before blocks at its end that are none of a bee: whoever wrote them
   * by hand takes nothing away by it.
   */
  async settle () {
    await this.#batch.ready()
    const least = Math.max(1, this.version - MOST_BROKEN)
    for (let version = this.version; version > least; version--) {
      if (await this.#block(version - 1)) {
        if (version < this.version) {
          await this.#batch.close()
          this.#readAt(version)
        }
        return this
      }
    }
    return this
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
  async * writes ({ gte, lt, reverse = false }) {
    for (let done = 0; done < lt - gte; done++) {
      const seq = reverse ? lt - 1 - done : gte + done
      const block = await this.#block(seq)
      if (!block) yield { type: 'broken', seq }
      else yield { type: block.isDeletion() ? 'del' : 'put', ...block.final(this.#batch.encoding) }
    }
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

  /** Null for a block that is none of a bee. */
  async #block (seq) {
    try {
      const block = await this.#batch.getBlock(seq)
      block.getTreeNode(0)
      return block
    } catch (error) {
      if (!['DECODE', 'INTERNAL'].includes(translate(error).code) || isBroken(error)) throw error
      return null
    }
  }

  #readAt (version) {
    this.#options = { checkout: version, update: false, wait: false }
    this.#batch = this.#bee.batch(this.#options)
  }

  close () {
    return this.#batch.close()
  }
}
