// The core tables of the original's server database, by its own library, as an administrator.

import adb from '@atek-cloud/adb-api'
import { databases, services, users, userSessions } from '@atek-cloud/adb-tables'

const failure = async promise => {
  try { await promise } catch (error) { return error.message }
}

const { serverDbId } = await adb.api.getConfig()
const db = adb.db(serverDbId)
const made = await adb.api.adminCreateDb({ alias: 'made', access: 'private', owner: { userKey: 'carol', serviceKey: 'app' } })
const carol = await users(db).create({ username: 'carol', hashedPassword: 'x', role: 'admin' })
const session = { sessionId: 's1', userKey: carol.key, username: 'carol' }
await userSessions(db).create(session)
const service = await services(db).create({
  id: 'app', owningUserKey: carol.key, sourceUrl: 'https://example.com/app.git', package: { sourceType: 'git' }
})
const entry = await databases(db).get(made.dbId)
await adb.api.adminEditDbConfig(made.dbId, { access: 'public' })
const edited = (await databases(db).get(made.dbId)).value.access
await adb.api.adminDeleteDb(made.dbId)

console.log(JSON.stringify({
  described: await db.describe(),
  entry,
  edited,
  gone: await failure(databases(db).get(made.dbId)),
  user: await users(db).get(carol.key),
  session: (await userSessions(db).get('s1')).value,
  service: (await services(db).get(service.key)).valid,
  invalid: await failure(users(db).create({ username: 'x' })),
  valid: (await databases(db).list()).records.map(each => each.valid),
  carols: (await adb.api.adminListDbsByOwningUser('carol')).length,
  system: (await adb.api.adminListDbsByOwningUser('system')).filter(each => each.isServerDb).length
}))
