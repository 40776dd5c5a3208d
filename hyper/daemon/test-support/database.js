/*
 * A database without a daemon around it.
 */
import Corestore from 'corestore'

import { Database } from '../lib/database.js'
import { Writer } from '../lib/writer.js'
import { temporary } from './daemons.js'

export async function bare (t, { sync = async () => {} } = {}) {
  const store = new Corestore(temporary(t))
  t.after(() => store.close())
  const database = await new Database().use(store.get({ name: 'x' }))
  database.writer = new Writer(database, { sync }, async () => {})
  return database
}
