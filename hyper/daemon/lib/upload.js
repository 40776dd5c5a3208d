/*
 * A drive is made to hold exactly what a folder has. Only what differs is written: a digest in each entry tells
 * what its content is, and content that the drive has already, under whatever name, is not written again.
 *
 * The digest is that of the bytes that were written, whatever happens to the file meanwhile.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { pipelinePromise, Transform } from 'streamx'

import { HyperError, translate } from './errors.js'

/** Files up to this size are read whole, and written together. */
const SMALL = 1024 * 1024
const TOGETHER = 8 * 1024 * 1024

/**
 * {isChanged, entries}: whether something was written, and path → value of all that the drive has now. `digests` are
 * those of the push before, and then of this one. `requireRoom(bytes)` raises where the disk has none for them.
 */
export async function upload (drive, folder, files, digests, requireRoom) {
  const there = digests.entries(drive) ?? await entriesOf(drive)
  return new Upload(folder, there, await drive.getBlobs(), drive.batch(), { digests, requireRoom }).run(files)
}

class Upload {
  #folder
  #there
  #blobs
  #few
  #batch
  #digests
  #requireRoom
  #known = new Map()
  #isChanged = false

  constructor (folder, there, blobs, batch, { digests, requireRoom }) {
    this.#folder = folder
    this.#there = there
    this.#blobs = blobs
    this.#few = blobs.batch()
    this.#batch = batch
    this.#digests = digests
    this.#requireRoom = requireRoom
    for (const { blob, metadata } of there.values()) if (blob && metadata?.sha256) this.#known.set(metadata.sha256, blob)
  }

  async run (files) {
    const left = new Set(this.#there.keys())
    for (const file of files) {
      left.delete('/' + file.path)
      await this.#put(file)
    }
    for (const key of left) {
      await this.#batch.del(key)
      this.#there.delete(key)
    }
    await this.#few.flush()
    await this.#batch.flush()
    return { isChanged: this.#isChanged || left.size > 0, entries: this.#there }
  }

  #put (file) {
    if (file.isEmpty) return this.#putEmpty(file)
    return file.link ? this.#putLink(file) : this.#putFile(file)
  }

  /** Drives have no folders: an entry without content stands for one that has nothing in it. */
  async #putEmpty ({ path }) {
    const there = this.#there.get('/' + path)
    if (there?.metadata?.folder) return
    await this.#note(path, { blob: await this.#few.put(Buffer.alloc(0)), metadata: { folder: true } })
  }

  async #putLink ({ path, link }) {
    if (this.#there.get('/' + path)?.linkname !== link) await this.#note(path, { linkname: link })
  }

  async #putFile (file) {
    const { path, executable } = file
    const there = this.#there.get('/' + path)
    const began = Date.now()
    let sha256 = this.#digests.find(file)
    let content = null
    if (sha256 === undefined || !this.#known.has(sha256)) {
      content = file.size <= SMALL ? await this.#read(path) : null
      sha256 = content ? digestOf(content) : await this.#digest(path)
      this.#digests.note(file, sha256, began)
    }
    if (there?.blob && there.metadata?.sha256 === sha256 && there.executable === executable) return
    const blob = this.#known.get(sha256)
    if (blob) return this.#note(path, { executable, blob, metadata: { sha256 } })
    this.#requireRoom(file.size + this.#few.bytes)
    const written = await (content ? this.#write(content, sha256) : this.#stream(path))
    this.#known.set(written.metadata.sha256, written.blob)
    await this.#note(path, { executable, ...written })
  }

  async #write (content, sha256) {
    const blob = await this.#few.put(content)
    if (this.#few.bytes >= TOGETHER) await this.#few.flush()
    return { blob, metadata: { sha256 } }
  }

  /** The digest is taken again: the file may be another one by now. */
  async #stream (path) {
    await this.#few.flush()
    const digest = createHash('sha256')
    const target = this.#blobs.createWriteStream()
    const look = new Transform({
      transform (chunk, done) {
        digest.update(chunk)
        done(null, chunk)
      }
    })
    await this.#reading(path, pipelinePromise(createReadStream(join(this.#folder, path)), look, target))
    return { blob: target.id, metadata: { sha256: digest.digest('hex') } }
  }

  async #digest (path) {
    const digest = createHash('sha256')
    await this.#reading(path, (async () => {
      for await (const chunk of createReadStream(join(this.#folder, path))) digest.update(chunk)
    })())
    return digest.digest('hex')
  }

  #read (path) {
    return this.#reading(path, readFile(join(this.#folder, path)))
  }

  /** Raises BAD_REQUEST, which names the file, where it cannot be read. */
  async #reading (path, work) {
    try {
      return await work
    } catch (error) {
      if (!['open', 'read'].includes(error.syscall)) throw error
      const why = translate(error)
      throw new HyperError('BAD_REQUEST', `${JSON.stringify(path)} cannot be read: ${why.message}`, 'mend it, or leave it out of the package')
    }
  }

  async #note (path, { executable = false, linkname = null, blob = null, metadata = null }) {
    const entry = { executable, linkname, blob, metadata }
    await this.#batch.putEntry('/' + path, entry)
    this.#there.set('/' + path, entry)
    this.#isChanged = true
  }
}

/** Path → value, of all that a drive has. */
async function entriesOf (drive) {
  const found = new Map()
  for await (const { key, value } of drive.list('/')) found.set(key, value)
  return found
}

function digestOf (content) {
  return createHash('sha256').update(content).digest('hex')
}
