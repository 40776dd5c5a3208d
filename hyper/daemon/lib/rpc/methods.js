/*
 * The methods that clients call: params checked, the right module asked, its answer given back.
 */
import { HyperError } from '../errors.js'
import { keyOf } from '../keys.js'
import * as reading from '../reading.js'
import { checkPeer } from '../settings.js'
import { AndThen } from './connection.js'
import { flag, key, keys, list, optionalKey, optionalText, optionalWhole, position, text, value, whole } from './params.js'

/** How long `db.sync` and reads wait at most where nothing is said, in milliseconds. */
const PATIENCE = 30_000

/** A function (method, params, connection) → result, for all methods. `failed` is told every error. */
export function makeCall (daemon, failed) {
  const methods = { ...general(daemon), ...databases(daemon), ...records(daemon), ...drives(daemon), ...network(daemon) }
  return async (method, params, connection) => {
    if (!Object.hasOwn(methods, method)) throw new HyperError('BAD_REQUEST', `no method ${JSON.stringify(method)}`)
    try {
      return await methods[method](params, connection)
    } catch (error) {
      failed(error)
      throw error
    }
  }
}

function general (daemon) {
  return {
    hello: () => daemon.status(),
    status: () => daemon.status(),
    'key.export': () => daemon.exportKeys()
  }
}

function databases ({ databases, watchers }) {
  return {
    async 'db.create' (params, connection) {
      const database = await databases.create(text(params, 'name'), optionalKey(params, 'encryptionKey'))
      watchers.follow(connection, database)
      return database.describe()
    },
    async 'db.open' (params, connection) {
      const database = await databases.open(key(params, 'dbId'), optionalKey(params, 'encryptionKey'))
      watchers.follow(connection, database)
      return database.describe()
    },
    async 'db.close' (params) {
      await databases.close(key(params, 'dbId'))
      return {}
    },
    'db.info': params => databases.get(key(params, 'dbId')).describe(),
    async 'db.sync' (params) {
      const database = databases.get(key(params, 'dbId'))
      await database.until(() => isSynced(database), optionalWhole(params, 'timeoutMs', PATIENCE))
      return database.describe()
    },
    async 'db.repair' (params) {
      return (await databases.repair(key(params, 'dbId'))).describe()
    },
    'db.history': params => reading.history(databases.get(key(params, 'dbId')), {
      since: optionalWhole(params, 'since'),
      until: optionalWhole(params, 'until'),
      prefix: list(params, 'prefix'),
      limit: optionalWhole(params, 'limit'),
      reverse: flag(params, 'reverse')
    }),
    'db.diff': params => reading.diff(databases.get(key(params, 'dbId')), {
      left: whole(params, 'left'),
      right: optionalWhole(params, 'right'),
      prefix: list(params, 'prefix'),
      gt: optionalText(params, 'gt')
    }),
    'db.watch' (params, connection) {
      const database = databases.get(key(params, 'dbId'))
      const { id, watch } = watchers.watch(connection, database, list(params, 'prefix'), position(params, 'since'))
      return new AndThen({ watchId: id, ...watch.position, reset: watch.reset }, () => watch.start())
    },
    'db.unwatch' (params, connection) {
      watchers.unwatch(connection, text(params, 'watchId'))
      return {}
    }
  }
}

function records ({ databases }) {
  return {
    async 'rec.get' (params) {
      const database = databases.get(key(params, 'dbId'))
      const version = optionalWhole(params, 'version')
      const timeoutMs = optionalWhole(params, 'timeoutMs', 0)
      if (timeoutMs > 0) await database.until(() => database.version >= (version ?? 1), timeoutMs)
      return reading.get(database, list(params, 'path'), version)
    },
    'rec.list': params => reading.list(databases.get(key(params, 'dbId')), list(params, 'prefix'), {
      gt: optionalText(params, 'gt'),
      gte: optionalText(params, 'gte'),
      lt: optionalText(params, 'lt'),
      lte: optionalText(params, 'lte'),
      limit: optionalWhole(params, 'limit'),
      reverse: flag(params, 'reverse'),
      version: optionalWhole(params, 'version')
    }),
    'rec.put' (params) {
      const op = { key: keyOf(params.path), value: value(params) }
      return databases.getWritable(key(params, 'dbId')).writer.write([op], { ifSeq: optionalWhole(params, 'ifSeq') })
    },
    async 'rec.del' (params) {
      const op = { key: keyOf(params.path), value: null }
      const { writer } = databases.getWritable(key(params, 'dbId'))
      const { version } = await writer.write([op], { ifSeq: optionalWhole(params, 'ifSeq') })
      return { version }
    },
    async 'rec.batch' (params) {
      const ops = list(params, 'ops').map(op => ({ key: keyOf(op?.path), value: op.deleted === true ? null : value(op) }))
      const { writer } = databases.getWritable(key(params, 'dbId'))
      const { version } = await writer.write(ops, { ifVersion: optionalWhole(params, 'ifVersion') })
      return { version }
    }
  }
}

function drives ({ drives }) {
  return {
    'drive.put': params => drives.put(
      text(params, 'name'), text(params, 'folder'), list(params, 'ignore'),
      params.named == null ? null : list(params, 'named').map(each => ({ key: key(each ?? {}, 'key'), version: whole(each, 'version') }))
    ),
    async 'drive.isCleared' (params) {
      return { cleared: await drives.isCleared(key(params, 'key'), whole(params, 'version')) }
    },
    async 'drive.get' (params) {
      const patience = optionalWhole(params, 'timeoutMs', PATIENCE)
      await drives.get(key(params, 'key'), whole(params, 'version'), text(params, 'folder'), patience)
      return {}
    }
  }
}

function network ({ network, tunnels }) {
  return {
    'net.allow' (params) {
      network.allow(keys(params, 'keys'))
      return {}
    },
    'net.addPeer' (params) {
      network.addPeer(checkPeer(params))
      return {}
    },
    'net.removePeer' (params) {
      network.removePeer(key(params, 'key'))
      return {}
    },
    async 'net.refresh' () {
      network.refresh()
      return {}
    },
    'tunnel.listen': (params, connection) => tunnels.listen({
      socket: text(params, 'socket'),
      allow: params.allow === null ? null : keys(params, 'allow'),
      secret: optionalText(params, 'secret'),
      seed: optionalKey(params, 'seed')
    }, connection),
    'tunnel.connect': (params, connection) => tunnels.connect({
      ...(params.seed == null ? { noiseKey: key(params, 'noiseKey') } : { seed: key(params, 'seed') }),
      ...(params.port == null ? { socket: text(params, 'socket') } : { port: whole(params, 'port') })
    }, connection),
    'tunnel.allow' (params) {
      tunnels.allow(text(params, 'id'), keys(params, 'allow'))
      return {}
    },
    'tunnel.info': params => tunnels.info(text(params, 'id')),
    async 'tunnel.close' (params) {
      await tunnels.close(text(params, 'id'))
      return {}
    }
  }
}

function isSynced (database) {
  return database.writable || (database.version > 0 && database.version >= database.known)
}
