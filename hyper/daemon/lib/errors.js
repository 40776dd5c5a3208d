/*
 * What clients are told when something is not done: a code of hyper/port.py, a sentence, perhaps a hint.
 * The libraries' own errors are translated here, once, and nowhere else.
 */

export class HyperError extends Error {
  constructor(code, message, hint = '') {
    super(message)
    this.code = code
    this.hint = hint
  }
}

const FULL = 'free some space on it; what was acknowledged is not lost'

const BY_CODE = {
  BLOCK_NOT_AVAILABLE: ['NOT_SYNCED', 'a block of it is not here'],
  DECODING_ERROR: ['DECODE', 'it cannot be read: encrypted with another key, or no database'],
  REQUEST_TIMEOUT: ['TIMEOUT', 'no peer had it in time'],
  REQUEST_CANCELLED: ['NOT_FOUND', 'it was closed meanwhile'],
  SESSION_CLOSED: ['NOT_FOUND', 'it was closed meanwhile'],
  SESSION_NOT_WRITABLE: ['NOT_WRITABLE', 'it has another writer'],
  SNAPSHOT_NOT_AVAILABLE: ['NOT_FOUND', 'its log was cut meanwhile'],
  ENOENT: ['NOT_FOUND', 'no such file or folder']
}

/** Any error as a HyperError. */
export function translate (error) {
  if (error instanceof HyperError) return error
  if (isFull(error)) return new HyperError('NO_SPACE', 'the disk is full', FULL)
  const known = BY_CODE[error?.code]
  if (known) return new HyperError(known[0], known[1])
  return new HyperError('INTERNAL', error?.message || String(error))
}

/** The disk has no room: RocksDB tells it in words only, or as the cause of a batch that was not applied. */
export function isFull (error) {
  return saidBy(error, ({ code, message }) => code === 'ENOSPC' || code === 'EDQUOT' || /no space left|disk quota/i.test(message))
}

/** The store's files cannot be written, for whatever reason: from then on RocksDB writes nothing more. */
export function isBroken (error) {
  return isFull(error) || saidBy(error, ({ message }) => /IO error|Corruption:|Batch was not applied/i.test(message))
}

function saidBy (error, says) {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (says(each)) return true
  }
  return false
}
