/*
 * What bees keep in memory of the blocks they read. Counted for all of them together, and small: a large value
 * is not kept at all, and a key is kept without the block that it came in. So the sum has an end: 32 MiB at the
 * very worst. Knows the inside of hyperbee 2.27.
 */
import Rache from 'rache'

const MOST_BLOCKS = 8192
const LARGEST_BLOCK = 4096

export function makeCache () {
  return new Rache({ maxSize: MOST_BLOCKS })
}

/** A bee that is ready keeps only what is small from now on. */
export function keepSmallOnly (bee) {
  keep(bee._nodeCache, block => (block.value?.byteLength ?? 0) <= LARGEST_BLOCK ? block : null)
  keep(bee._keyCache, key => key.buffer.byteLength <= LARGEST_BLOCK ? key : Buffer.from(key))
}

function keep (cache, choose) {
  const set = cache.set.bind(cache)
  cache.set = (seq, found) => {
    const kept = choose(found)
    if (kept !== null) set(seq, kept)
  }
}
