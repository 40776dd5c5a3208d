/*
 * Folders as versions of drives (Hyperdrive): a folder is put on a drive of ours, and another node gets it from
 * there, every block verified against the drive's key.
 *
 * A drive's log, too, may have lost its end when the machine went down during a put, and would fork when we
 * wrote on: such a name gets a new drive, with another key.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'

import Hyperdrive from 'hyperdrive'

import { clearContent, Cleaner, rangesOf, readRanges } from './clearing.js'
import { Digests } from './digests.js'
import { requireRoom } from './disk.js'
import { HyperError } from './errors.js'
import { makeEmpty, makeLink, makeParent, MOST_BYTES, MOST_FILES, placeFor, readFolder, setMode } from './folder.js'
import { log } from './log.js'
import { upload } from './upload.js'

/** So many versions of a drive stay whole, whoever names them: what was pushed last can be gone back from. */
const LAST = 3
/** Milliseconds between two looks for what has not arrived. */
const ASK_EVERY = 500

export class Drives {
  #store
  #folder
  #memory
  #wal
  #mayHaveLost
  #cleaner
  #getting = new Map()
  #last = Promise.resolve()

  /** `folder` is the store's. */
  constructor ({ store, folder, memory, wal, mayHaveLost }) {
    this.#store = store
    this.#folder = folder
    this.#memory = memory
    this.#wal = wal
    this.#mayHaveLost = mayHaveLost
    this.#cleaner = new Cleaner(store.storage, folder)
  }

  /**
   * The folder as it is now, on our drive of that name: {key, version}. One at a time.
   *
   * Of older versions the last two stay, and those that are `named`, as {key, version}; the content of others is cleared.
   * Nothing is where `named` is null.
   */
  put (name, folder, ignore, named = null) {
    const done = this.#last.then(() => this.#put(name, folder, ignore, named))
    this.#last = done.catch(() => {})
    return done
  }

  /**
   * Writes a version of a drive into an empty folder. Raises TIMEOUT; then nothing of it is left there. Of somebody
   * else's drive only what was got last stays in the store.
   */
  async get (key, version, folder, timeoutMs) {
    await makeEmpty(folder)
    if (!this.#getting.has(key)) this.#getting.set(key, [])
    this.#getting.get(key).push(version)
    try {
      await this.#get(key, version, folder, timeoutMs)
    } finally {
      const left = this.#getting.get(key)
      left.splice(left.indexOf(version), 1)
      if (left.length === 0) this.#getting.delete(key)
    }
  }

  async #get (key, version, folder, timeoutMs) {
    const drive = new Hyperdrive(this.#store.session(), Buffer.from(key, 'hex'))
    const work = fetch(drive, version, folder, bytes => requireRoom(this.#folder, bytes))
    const timer = setInterval(() => ask(drive), ASK_EVERY)
    try {
      await within(timeoutMs, work)
    } catch (error) {
      if (error.code === 'TIMEOUT') error.message += `: ${missing(drive, version)}`
      await drive.close()
      await work.catch(() => {})
      await rm(folder, { recursive: true, force: true })
      throw error
    } finally {
      clearInterval(timer)
    }
    if (!drive.core.writable && version > 1) {
      const needed = this.#getting.get(key).filter(each => each > 1)
      await this.#clear(drive, await Promise.all(needed.map(each => readRanges(drive, each))))
    }
    await drive.close()
  }

  /** Whether it is a version of a drive of ours whose content was cleared. */
  async isCleared (key, version) {
    const drive = new Hyperdrive(this.#store.session(), Buffer.from(key, 'hex'))
    try {
      await drive.ready()
      return drive.core.writable && version <= drive.version && !(await isHere(drive, version))
    } finally {
      await drive.close()
    }
  }

  async #put (name, folder, ignore, named) {
    const files = await readFolder(folder, ignore)
    const drive = new Hyperdrive(this.#store.namespace(this.#namespace(name)))
    try {
      await drive.ready()
      this.#memory.noteDrive(name, { isWriting: true })
      const digests = new Digests(this.#folder, name)
      const { isChanged, entries } = await upload(drive, folder, files, digests, bytes => requireRoom(this.#folder, bytes))
      if (isChanged) await this.#wal.sync()
      this.#memory.noteDrive(name, { isWriting: false })
      const key = drive.key.toString('hex')
      const { version } = drive
      const stay = this.#noteVersion(name, version, named?.filter(each => each.key === key))
      const ranges = new Map([[version, rangesOf(entries.values())]])
      for (const each of named ? stay : []) {
        if (!ranges.has(each)) ranges.set(each, digests.ranges(drive, each) ?? await readRanges(drive, each))
      }
      digests.save(drive, entries, ranges)
      if (named) await this.#clear(drive, [...ranges.values()])
      return { key, version }
    } finally {
      await drive.close()
    }
  }

  /** The versions that stay: the last of them, and those that are named. */
  #noteVersion (name, version, named = []) {
    const { versions = [] } = this.#memory.drive(name)
    const last = [...new Set([...versions, version])].sort((one, other) => one - other).slice(-LAST)
    if (last.join() !== versions.join()) this.#memory.noteDrive(name, { versions: last })
    return [...last, ...named.map(each => each.version).filter(each => each > 1 && each <= version)]
  }

  /** What was put or got is there, whether or not this succeeds. */
  async #clear (drive, ranges) {
    if (ranges.includes(null)) return
    try {
      this.#cleaner.cleared(await clearContent(drive, ranges.flat()))
    } catch (error) {
      log('nothing was cleared:', error)
    }
  }

  #namespace (name) {
    const { isWriting } = this.#memory.drive(name)
    if (isWriting && this.#mayHaveLost) this.#memory.noteDrive(name, { generation: randomUUID(), isWriting: false, versions: [] })
    return `atek drive/${this.#memory.drive(name).generation}/${name}`
  }
}

async function fetch (drive, version, folder, requireRoom) {
  await drive.ready()
  if (version <= 1) return
  await arrives(drive.core, version)
  await drive.core.download({ start: 0, end: version }).done()
  const snapshot = drive.checkout(version)
  await snapshot.ready()
  const entries = await list(snapshot)
  const blobs = await drive.getBlobs()
  requireRoom(missingBytes(blobs.core, entries))
  for (const { value: { blob } } of entries) {
    if (blob?.blockLength) blobs.core.download({ start: blob.blockOffset, end: blob.blockOffset + blob.blockLength })
  }
  for (const entry of entries) if (!entry.value.linkname) await writeFile(snapshot, entry, folder)
  for (const entry of entries) if (entry.value.linkname) await writeLink(entry, folder)
}

/** Bytes of content that have yet to come. */
function missingBytes ({ core: { bitfield } }, entries) {
  const blobs = entries.map(({ value }) => value.blob).filter(blob => blob?.blockLength && !bitfield.get(blob.blockOffset))
  return blobs.reduce((sum, { byteLength }) => sum + byteLength, 0)
}

/** Whether all content of a version is here. */
async function isHere (drive, version) {
  if (version <= 1) return true
  const snapshot = drive.checkout(version)
  await snapshot.ready()
  const entries = await list(snapshot)
  const { core: { bitfield } } = (await drive.getBlobs()).core
  const blobs = entries.map(({ value }) => value.blob).filter(blob => blob?.blockLength)
  return blobs.every(({ blockOffset, blockLength }) => bitfield.get(blockOffset) && bitfield.get(blockOffset + blockLength - 1))
}

/** Asks once more for the end of both logs: nobody else does when the peer is lost that was asked before. */
function ask (drive) {
  for (const core of [drive.core, drive.blobs?.core]) core?.update({ wait: true }).catch(() => {})
}

/** How much of the drive's list of files and of their content is here. Says the same as long as nothing moves. */
function missing (drive, version) {
  const { core, blobs } = drive
  const content = blobs ? `, ${progress(blobs.core)} of its content` : ''
  return `of version ${version}, ${progress(core)} of its list are here${content}; ${core.peers.length} peers have it open`
}

function progress (core) {
  const known = Math.max(core.length, ...core.peers.map(peer => peer.remoteLength))
  return `${core.contiguousLength} of ${known} blocks`
}

/** All entries, none of which is too much. */
async function list (snapshot) {
  const entries = []
  let bytes = 0
  for await (const entry of snapshot.list('/')) {
    entries.push(entry)
    bytes += entry.value.blob?.byteLength ?? 0
    if (entries.length > MOST_FILES || bytes > MOST_BYTES) throw new HyperError('BAD_REQUEST', 'the drive is too large')
  }
  return entries
}

function arrives (core, version) {
  return new Promise((resolve, reject) => {
    const check = () => core.length >= version && finish(resolve)
    const end = () => finish(reject, new HyperError('TIMEOUT', 'it did not arrive in time'))
    const finish = (settle, value) => {
      core.off('append', check).off('close', end)
      settle(value)
    }
    core.on('append', check).on('close', end)
    check()
  })
}

async function writeFile (snapshot, { key, value }, folder) {
  const place = placeFor(folder, key.slice(1))
  await makeParent(folder, place)
  if (value.metadata?.folder && !value.blob?.byteLength) return mkdir(place, { recursive: true, mode: 0o755 })
  const file = await open(place, 'wx')
  try {
    let left = value.blob?.byteLength ?? 0
    for await (const chunk of snapshot.createReadStream(key)) {
      left -= chunk.length
      if (left < 0) throw new HyperError('BAD_REQUEST', `${JSON.stringify(key)} is larger than it says`)
      await file.write(chunk)
    }
  } finally {
    await file.close()
  }
  await setMode(place, value.executable)
}

async function writeLink ({ key, value }, folder) {
  const path = key.slice(1)
  const place = placeFor(folder, path)
  await makeParent(folder, place)
  await makeLink(place, path, value.linkname)
}

async function within (ms, work) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new HyperError('TIMEOUT', 'it did not arrive in time')), ms)
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
