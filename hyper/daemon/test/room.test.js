import assert from 'node:assert/strict'
import { test } from 'node:test'

import { HyperError } from '../lib/errors.js'
import { Room } from '../lib/room.js'
import { temporary } from '../test-support/daemons.js'

const FULL = new Error('Batch was not applied', { cause: Object.assign(new Error('No space'), { code: 'ENOSPC' }) })

test('a store that broke is left once there is room', async t => {
  const left = new Promise(resolve => {
    const room = new Room(temporary(t), () => resolve(room))
    room.notice(FULL)
    room.notice(FULL)
    assert.equal(room.isBroken, true)
  })
  assert.equal((await left).isBroken, true)
})

test('other errors, and folders that are full, are no concern of the store', t => {
  const room = new Room(temporary(t), () => assert.fail())
  room.notice(new HyperError('NOT_FOUND', 'no such database'))
  room.notice(Object.assign(new Error('write'), { code: 'ENOSPC', syscall: 'write' }))
  assert.equal(room.isBroken, false)
})
