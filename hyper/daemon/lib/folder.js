/*
 * A folder on this machine as a drive keeps it: regular files, executable or not, relative links that stay
 * inside, and folders that have nothing in them. Everything else is left out when it is read, and refused when
 * it comes from a drive. A name that a drive would change, or lose, is refused with what it is.
 */
import { isUtf8 } from 'node:buffer'
import { chmod, lstat, mkdir, readdir, readlink, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import Hyperdrive from 'hyperdrive'

import { HyperError } from './errors.js'

/** What one version of a drive may have. */
export const MOST_FILES = 100_000
export const MOST_BYTES = 2 * 1024 ** 3
/** Bytes of a path: others have to have room for it under a folder of theirs, and PATH_MAX is 4096. */
const LONGEST_PATH = 3584

/** [{path, link}, {path, isEmpty} or {path, size, executable, identity, changedMs}] in the order of their paths, which are relative. */
export async function readFolder (root, ignore) {
  const ignores = ignore.map(compile)
  const found = []
  await walk(root, '', found, path => ignores.some(one => one.test(path) || one.test(path.slice(path.lastIndexOf('/') + 1))))
  return found
}

async function walk (root, under, found, isIgnored) {
  const entries = await list(root, under)
  const names = entries.map(entry => [under + entry.name, entry]).filter(([path]) => !isIgnored(path))
  for (const [path, { name }] of names) if (!isUtf8(name) || !isStored(path)) throw unnameable(path)
  const before = found.length
  const files = new Map(await Promise.all(names.filter(([, entry]) => entry.isFile()).map(([path]) => describe(root, path))))
  for (const [path, entry] of names.sort(([one], [other]) => one < other ? -1 : 1)) {
    if (entry.isDirectory()) await walk(root, path + '/', found, isIgnored)
    else if (entry.isSymbolicLink()) await addLink(root, path, found)
    else if (files.get(path)) found.push(files.get(path))
    if (found.length > MOST_FILES) throw new HyperError('BAD_REQUEST', `more than ${MOST_FILES} files`)
  }
  if (found.length === before && under) found.push({ path: under.slice(0, -1), isEmpty: true })
}

async function list (root, under) {
  try {
    return await readdir(join(root, under), { withFileTypes: true, encoding: 'buffer' })
  } catch (error) {
    if (!under) throw error
    throw unreadable(under.slice(0, -1), error)
  }
}

/** Whether a drive keeps the name as it is. */
function isStored (path) {
  if (Buffer.byteLength(path) > LONGEST_PATH) return false
  try {
    return Hyperdrive.normalizePath('/' + path) === '/' + path
  } catch {
    return false
  }
}

function unnameable (path) {
  return new HyperError(
    'BAD_REQUEST', `a drive cannot keep the name ${JSON.stringify(path)}`,
    `rename it, or leave it out of the package: names are UTF-8, have no backslash, and at most ${LONGEST_PATH} bytes with their folders`
  )
}

function unreadable (path, error) {
  if (error.code === 'ENAMETOOLONG') return unnameable(path)
  return new HyperError(
    'BAD_REQUEST', `${JSON.stringify(path)} cannot be read: ${error.message}`, 'mend it, or leave it out of the package'
  )
}

async function addLink (root, path, found) {
  const target = await readlink(join(root, path), { encoding: 'buffer' }).catch(error => { throw unreadable(path, error) })
  const link = target.toString()
  if (!isUtf8(target)) throw unnameable(`${path} -> ${link}`)
  if (staysInside(path, link)) found.push({ path, link })
}

/** [path, what it is]; `identity` and `changedMs` tell whether it is the file that it was. */
async function describe (root, path) {
  try {
    const { dev, ino, size, mode, mtimeNs, ctimeNs } = await lstat(join(root, path), { bigint: true })
    return [path, {
      path,
      size: Number(size),
      executable: (mode & 0o100n) !== 0n,
      identity: [dev, ino, size, mtimeNs, ctimeNs].join(':'),
      changedMs: Number(ctimeNs / 1_000_000n)
    }]
  } catch (error) {
    throw unreadable(path, error)
  }
}

/** Creates a folder that has nothing in it, or takes it as it is. Raises BAD_REQUEST for any other. */
export async function makeEmpty (folder) {
  await mkdir(folder, { recursive: true, mode: 0o755 })
  if ((await readdir(folder)).length > 0) throw new HyperError('BAD_REQUEST', `${folder} is not empty`)
}

/** Where a file of a drive goes. Raises BAD_REQUEST for a path that would leave the folder. */
export function placeFor (folder, path) {
  const parts = path.split('/')
  const bad = parts.some(part => !part || part === '.' || part === '..' || part.includes('\0'))
  if (bad || Buffer.byteLength(path) > 4096) throw new HyperError('BAD_REQUEST', `${JSON.stringify(path)} is no path of a file`)
  return join(folder, path)
}

/** The folder of a file. Raises BAD_REQUEST where a link of the same drive is on the way. */
export async function makeParent (folder, place) {
  const parent = dirname(place)
  await mkdir(parent, { recursive: true, mode: 0o755 })
  for (let part = parent; part.length > folder.length; part = dirname(part)) {
    if ((await lstat(part)).isSymbolicLink()) throw new HyperError('BAD_REQUEST', `${place} lies behind a link`)
  }
}

export async function makeLink (place, path, link) {
  if (!staysInside(path, link)) throw new HyperError('BAD_REQUEST', `the link ${JSON.stringify(path)} leaves the folder`)
  await symlink(link, place)
}

export function setMode (place, executable) {
  return chmod(place, executable ? 0o755 : 0o644)
}

/**
 * Up first, then down: what follows a name is no `..`, which would lead elsewhere where the name is a link.
 */
function staysInside (path, link) {
  if (!link || link.startsWith('/') || link.includes('\0')) return false
  const parts = link.split('/').filter(part => part && part !== '.')
  const names = parts.slice(parts.findLastIndex(part => part === '..') + 1)
  const ups = parts.length - names.length
  const depth = path.split('/').length - 1
  return names.length > 0 && ups <= depth && parts.slice(0, ups).every(part => part === '..')
}

/** A pattern of the shell: *, ?, [ab], [!ab]; as Python's fnmatch, * is also about what has a slash. */
function compile (pattern) {
  if (typeof pattern !== 'string' || !pattern) throw new HyperError('BAD_REQUEST', 'ignore has patterns')
  const source = pattern.replace(/\[!?[^\]]+\]|[\\^$.|+(){}[\]*?]/g, found => {
    if (found === '*') return '.*'
    if (found === '?') return '.'
    if (found.length > 1) return found.replace(/\\/g, '\\\\').replace('[!', '[^')
    return '\\' + found
  })
  return new RegExp(`^${source}$`, 's')
}
