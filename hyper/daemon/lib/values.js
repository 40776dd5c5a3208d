/*
 * Values of records: JSON text in bytes, of whoever wrote it.
 *
 * What is none, or what would end whoever reads it, concerns that record alone: it is told by a sentence in
 * place of the value, and everything else is read on.
 */
import { isUtf8 } from 'node:buffer'

/** Levels of lists and tables within each other; parsers of clients take no more than 1000. */
const DEEPEST = 500
/** Lists, tables and items of them: a value of 14 MiB could otherwise fill this program's memory. */
const MOST_PARTS = 1_000_000

const [QUOTE, BACKSLASH, COMMA] = Buffer.from('"\\,')
const OPENING = new Set(Buffer.from('[{'))
const CLOSING = new Set(Buffer.from(']}'))

/** {value}, or {undecodable: why}. */
export function decode (bytes) {
  const why = objection(bytes)
  if (why) return { undecodable: why }
  const text = bytes.toString()
  let value
  try {
    value = JSON.parse(text)
  } catch {
    return { undecodable: 'it is no JSON' }
  }
  if (/\\u[dD][89a-fA-F]/.test(text) && !isWellFormed(value)) return { undecodable: 'it has halves of characters' }
  return { value }
}

function objection (bytes) {
  if (!isUtf8(bytes)) return 'it is no UTF-8'
  if (bytes.length <= DEEPEST) return ''
  let depth = 0
  let parts = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) at = endOfText(bytes, at)
    else if (byte === COMMA) parts++
    else if (OPENING.has(byte) && (parts++, ++depth) > DEEPEST) return 'it is nested too deeply'
    else if (CLOSING.has(byte)) depth--
    if (parts > MOST_PARTS) return `it has more than ${MOST_PARTS} parts`
  }
  return ''
}

function endOfText (bytes, at) {
  for (at++; at < bytes.length && bytes[at] !== QUOTE; at++) {
    if (bytes[at] === BACKSLASH) at++
  }
  return at
}

function isWellFormed (value) {
  if (typeof value === 'string') return value.isWellFormed()
  if (value === null || typeof value !== 'object') return true
  if (Array.isArray(value)) return value.every(isWellFormed)
  return Object.entries(value).every(([key, item]) => key.isWellFormed() && isWellFormed(item))
}
