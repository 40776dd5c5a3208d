/*
 * How one write of a batch becomes a block of its own.
 *
 * Hyperbee's batches leave out of their blocks what later ones of the same batch replace, so that no version
 * inside a batch can be read. Here each block is what a single put would have written: writes of several
 * clients share one append, and still every version is one that can be gone back to.
 *
 * This knows the inside of hyperbee 2.27 (Batch.blocks, BatchEntry.pendingIndex, Batch.appending); the tests
 * of the writer read every version of a batch.
 */
import messages from 'hyperbee/lib/messages.js'

const { Node, YoloIndex } = messages

/** Does one write of a batch, value null to delete; where that changes anything, its block is added to `blocks`. */
export async function put (batch, { key, value }, blocks) {
  const before = batch.length
  await (value === null ? batch.del(key) : batch.put(key, value))
  if (batch.length > before) blocks.push(newestBlock(batch))
}

/** The block of the batch's newest write; must be taken before the next write of the batch. */
function newestBlock (batch) {
  const { key, value, pendingIndex } = batch.blocks.get(batch.core.length + batch.length - 1)
  return Node.encode({ key, value, index: encodeIndex(pendingIndex) })
}

/** Appends these blocks in place of the batch's own. */
export async function appendBlocks (batch, blocks) {
  if (blocks.length > 0) batch.appending = blocks
  await batch.flush()
}

function encodeIndex (nodes) {
  const levels = nodes.map(({ value: node }) => ({
    keys: node.keys.map(key => key.seq),
    children: node.children.flatMap(child => [child.seq, child.offset])
  }))
  return YoloIndex.encode({ levels })
}
