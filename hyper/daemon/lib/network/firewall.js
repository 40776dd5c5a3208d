/*
 * Whom we let in: the nodes that we know. Their keys are proven before this is asked.
 */
export class Firewall {
  #knownOnly
  #peers = new Set()
  #allowed = new Set()

  constructor (knownOnly) {
    this.#knownOnly = knownOnly
  }

  /** Only these, beside the configured peers. */
  allow (keys) {
    this.#allowed = new Set(keys)
  }

  addPeer (key) {
    this.#peers.add(key)
  }

  removePeer (key) {
    this.#peers.delete(key)
  }

  /** Everybody that we know by key. */
  known () {
    return new Set([...this.#peers, ...this.#allowed])
  }

  lets (key) {
    return !this.#knownOnly || this.#peers.has(key) || this.#allowed.has(key)
  }
}
