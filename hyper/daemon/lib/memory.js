/*
 * What the daemon remembers beside the cores, in state.json of its store: the seed of its noise key, which
 * databases are open, their names and encryption keys, which of our own were ever followed and how long they
 * were, which logs were forked, and which drives there are. `generation` sets a restored store's drives apart from those of before.
 *
 * Small and seldom written; every change is on the disk when its method returns.
 */
import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'

import { readIfThere, replaceFile } from './files.js'
import { damaged } from './store.js'

export class Memory {
  #file
  #state

  constructor (folder) {
    this.#file = join(folder, 'state.json')
    this.#state = load(this.#file)
  }

  get noiseSeed () {
    return Buffer.from(this.#state.noiseSeed, 'hex')
  }

  get isNew () {
    return !this.#state.noiseSeed
  }

  /** For a store that has none yet: one of its own, or the one of a backup. */
  begin ({ noiseSeed = randomBytes(32).toString('hex'), generation = '' } = {}) {
    Object.assign(this.#state, { noiseSeed, generation })
    this.#save()
  }

  /** [dbId, what is known of it], of all databases ever seen here. */
  databases () {
    return Object.entries(this.#state.databases)
  }

  database (dbId) {
    return this.#state.databases[dbId] ?? {}
  }

  /** Adds to what is known of a database; writes only when that changes it. */
  note (dbId, facts) {
    const known = this.database(dbId)
    const changed = Object.entries(facts).filter(([name, value]) => known[name] !== value)
    if (changed.length === 0) return
    this.#state.databases[dbId] = { ...known, ...Object.fromEntries(changed) }
    this.#save()
  }

  /** Of one of our drives: {generation, isWriting}. */
  drive (name) {
    return this.#state.drives[name] ?? { generation: this.#state.generation, isWriting: false }
  }

  noteDrive (name, facts) {
    this.#state.drives[name] = { ...this.drive(name), ...facts }
    this.#save()
  }

  #save () {
    replaceFile(this.#file, JSON.stringify(this.#state, null, 1) + '\n')
  }
}

function load (file) {
  const text = readIfThere(file)
  if (text === null) return { noiseSeed: '', generation: '', databases: {}, drives: {} }
  try {
    const state = JSON.parse(text)
    if (typeof state.noiseSeed === 'string' && isObject(state.databases) && isObject(state.drives)) return state
  } catch {}
  throw damaged(dirname(file), `${file} is not what was written`)
}

function isObject (value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
