// Records as they are sent and read, and what makes them the same. Each has a value of its own, which tells it from the others.
'use strict'

const assert = require('node:assert/strict')

const STEP_MS = 100 // between the times of two records

// With keys that repeat, values that compress and times that grow.
function numbered(count, from = 0) {
  const start = Date.now() - 3_600_000
  return Array.from({ length: count }, (_, n) => {
    const i = from + n
    return { key: Buffer.from(`key-${i % 37}`), value: Buffer.from(`record ${i} says ${i} times nothing new`), timestamp: String(start + n * STEP_MS) }
  })
}

// A record that no codec makes smaller.
function noise(bytes) {
  const value = Buffer.alloc(bytes)
  let state = bytes
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    value[i] = state >>> 24
  }
  return { key: Buffer.from('big'), value }
}

function sameContent(sent, got) {
  const of = ({ key, value, headers = {} }) => ({ key, value, headers: { ...headers } })
  assert.deepEqual(of(got), of(sent))
  if (sent.timestamp) assert.equal(got.timestamp, sent.timestamp)
}

// Each that was sent is at one offset, and what was sent first comes first in its partition. That kafkajs, which reads as
// a group only, reads an offset again after a rebalance is within what a group promises.
function sameRecords(sent, got) {
  const index = new Map(sent.map((record, i) => [String(record.value), i]))
  const places = new Map()
  for (const record of got) places.set(`${record.partition}-${record.offset}`, record)
  assert.equal(places.size, sent.length, `${sent.length} records were sent, ${places.size} are there`)
  const last = new Map()
  const inOrder = [...places.values()].sort((a, b) => a.partition - b.partition || Number(a.offset) - Number(b.offset))
  for (const record of inOrder) {
    const i = index.get(String(record.value))
    assert.notEqual(i, undefined, `was not sent: ${record.value}`)
    assert.ok(i > (last.get(record.partition) ?? -1), `partition ${record.partition}: record ${i} after ${last.get(record.partition)}`)
    last.set(record.partition, i)
    sameContent(sent[i], record)
  }
}

// A send of kafkajs 2.2.4 that meets a change of leaders drops records, and succeeds: what it sends again to a broker that has
// answered for other partitions counts as answered. So what is sent while nodes die is sent partition by partition.
async function sendByPartition(producer, topic, partitions, records) {
  const parts = Array.from({ length: partitions }, () => [])
  for (const record of records) {
    const partition = record.key.at(-1) % partitions // the same for each of a key's
    parts[partition].push({ ...record, partition })
  }
  await Promise.all(parts.filter((part) => part.length > 0).map((messages) => producer.send({ topic, acks: -1, messages })))
}

module.exports = { STEP_MS, numbered, noise, sameContent, sameRecords, sendByPartition }
