/*
 * What a request's params may be. Each function returns the value of one of them, or raises BAD_REQUEST with
 * a sentence that names it; those that may be left out return undefined then.
 */
import { HyperError } from '../errors.js'
import { checkKey } from '../settings.js'

export function text (params, name) {
  const value = params[name]
  if (typeof value !== 'string' || !value) throw bad(name, 'text')
  return value
}

export function key (params, name) {
  return checkKey(params[name])
}

export function optionalKey (params, name) {
  return params[name] == null ? undefined : checkKey(params[name])
}

export function whole (params, name) {
  const value = params[name]
  if (!Number.isSafeInteger(value) || value < 0) throw bad(name, 'a whole number')
  return value
}

export function optionalWhole (params, name, otherwise = undefined) {
  return params[name] == null ? otherwise : whole(params, name)
}

export function optionalText (params, name) {
  if (params[name] == null) return undefined
  if (typeof params[name] !== 'string') throw bad(name, 'text')
  return params[name]
}

export function flag (params, name) {
  const value = params[name] ?? false
  if (typeof value !== 'boolean') throw bad(name, 'true or false')
  return value
}

export function list (params, name) {
  const value = params[name] ?? []
  if (!Array.isArray(value)) throw bad(name, 'a list')
  return value
}

export function keys (params, name) {
  return list(params, name).map(checkKey)
}

/** A JSON value as it goes into a block. */
export function value (params) {
  if (params.value === undefined) throw bad('value', 'JSON')
  return Buffer.from(JSON.stringify(params.value))
}

export function position (params, name) {
  const found = params[name]
  if (found == null) return undefined
  return { fork: whole(found, 'fork'), version: whole(found, 'version') }
}

function bad (name, what) {
  return new HyperError('BAD_REQUEST', `${name} has to be ${what}`)
}
