/*
 * What bees keep in memory of the blocks they read. Counted for all of them together; a large value is not
 * kept at all, so that the sum has an end: 32 MiB at the very worst.
 */
import Rache from 'rache'

const MOST_BLOCKS = 8192
const LARGEST_VALUE = 4096

export function makeCache () {
  return new Rache({ maxSize: MOST_BLOCKS })
}

/** A bee that is ready keeps no large values from now on. Knows the inside of hyperbee 2.27. */
export function keepSmallOnly (bee) {
  const cache = bee._nodeCache
  const set = cache.set.bind(cache)
  cache.set = (seq, block) => {
    if ((block.value?.byteLength ?? 0) <= LARGEST_VALUE) set(seq, block)
  }
}
