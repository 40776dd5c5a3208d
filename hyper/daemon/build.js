/*
 * Removes what this machine cannot run from node_modules: other platforms' prebuilds, and those of Bare. Of
 * 200 MB some 20 are left. Only after that are the packages what the daemon needs, and nothing else.
 */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const HERE = `${process.platform}-${process.arch}`
const modules = fileURLToPath(new URL('node_modules', import.meta.url))

for (const entry of readdirSync(modules, { recursive: true, withFileTypes: true })) {
  const path = join(entry.parentPath ?? entry.path, entry.name)
  const isForeign = entry.isDirectory() && /(^|\/)prebuilds$/.test(entry.parentPath ?? entry.path) && entry.name !== HERE
  if (isForeign || (entry.isFile() && entry.name.endsWith('.bare'))) rmSync(path, { recursive: true, force: true })
}
