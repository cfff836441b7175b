'use strict'

const assert = require('node:assert/strict')
const { CompressionTypes, Partitioners } = require('kafkajs')
const { Skip } = require('./cluster')
const { useCodecs } = require('./codecs')
const { read, readWhile } = require('./reading')
const { STEP_MS, numbered, noise, sameContent, sameRecords } = require('./records')

useCodecs()

const BATCH = 200 // records of one send

async function send(producer, topic, records, options = {}) {
  for (let i = 0; i < records.length; i += BATCH) {
    await producer.send({ topic, acks: -1, messages: records.slice(i, i + BATCH), ...options })
  }
}

async function total(cluster, topic) {
  const admin = await cluster.admin()
  return (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0)
}

async function roundTrip(cluster, records, { partitions = 3, producer: options, send: how } = {}) {
  const topic = await cluster.topic({ partitions })
  await send(await cluster.producer(options), topic, records, how)
  const got = await read(cluster, topic, records.length)
  sameRecords(records, got)
  assert.equal(await total(cluster, topic), records.length)
}

const codec = (name) => (cluster) => roundTrip(cluster, numbered(1000), { send: { compression: CompressionTypes[name] } })

const idempotence = (cluster) => roundTrip(cluster, numbered(5000), { producer: { idempotent: true } })

async function headers(cluster) {
  const topic = await cluster.topic()
  const sent = [
    { key: 'k', value: 'v', headers: { one: '1', twice: ['first', 'second'], empty: '', 'ünïcode': Buffer.from([0, 0xff, 0x80]) } },
    { key: 'k', value: 'without' },
  ]
  await send(await cluster.producer(), topic, sent)
  const [got, without] = await read(cluster, topic, 2)
  assert.deepEqual({ ...got.headers }, {
    one: Buffer.from('1'),
    twice: [Buffer.from('first'), Buffer.from('second')],
    empty: Buffer.alloc(0),
    'ünïcode': Buffer.from([0, 0xff, 0x80]),
  })
  assert.deepEqual({ ...without.headers }, {})
}

async function nullKeyValue(cluster) {
  const topic = await cluster.topic()
  const [text, empty] = [Buffer.from('text'), Buffer.alloc(0)]
  const sent = [[null, text], [text, null], [text, empty], [empty, text], [null, null], [empty, empty]].map(([key, value]) => ({ key, value }))
  await send(await cluster.producer(), topic, sent)
  const got = await read(cluster, topic, sent.length)
  sent.forEach((record, i) => sameContent(record, got[i]))
}

const typeOf = (error) => error.type ?? error.cause?.type ?? error.name

async function bigRecord(cluster) {
  const producer = await cluster.producer()
  const small = await cluster.topic({ configs: { 'max.message.bytes': '1048588' } })
  await send(producer, small, [noise(900 << 10)])
  await assert.rejects(send(producer, small, [noise(2 << 20)]), (error) => typeOf(error) === 'MESSAGE_TOO_LARGE' || assert.fail(error))
  const large = await cluster.topic({ configs: { 'max.message.bytes': String(4 << 20) } })
  await send(producer, large, [noise(2 << 20)])
  for (const [topic, bytes] of [[small, 900 << 10], [large, 2 << 20]]) sameContent(noise(bytes), (await read(cluster, topic, 1))[0])
}

// Where Java's client puts these keys: what its murmur2 makes of them, without the sign.
const JAVA_HASHES = {
  21: -973932308, foobar: -790332482, 'a-little-bit-long-string': -985981536, 'a-little-bit-longer-string': -1486304829,
  'lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8': -58897971, abc: 479470107,
}

async function partitioner(cluster) {
  const partitions = 7
  const topic = await cluster.topic({ partitions })
  const producer = await cluster.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  const keyed = Object.keys(JAVA_HASHES).map((key) => ({ key, value: `by key ${key}` }))
  const explicit = numbered(70).map((record, i) => ({ ...record, partition: (i * 3) % partitions }))
  await send(producer, topic, keyed)
  await send(producer, topic, explicit)
  for (const { partition, key, value } of await read(cluster, topic, keyed.length + explicit.length)) {
    const meant = explicit.find((record) => record.value.equals(value))
    assert.equal(partition, meant ? meant.partition : (JAVA_HASHES[key] & 0x7fffffff) % partitions, `where ${value} went`)
  }
}

async function firstRead(cluster, options) {
  let offset
  await readWhile(cluster, options, (record) => {
    offset = Number(record.offset)
    return false
  })
  return offset
}

async function offsets(cluster) {
  const topic = await cluster.topic()
  const admin = await cluster.admin()
  const records = numbered(300)
  await send(await cluster.producer(), topic, records)
  const [{ low, high }] = await admin.fetchTopicOffsets(topic)
  assert.deepEqual([low, high], ['0', '300'])
  const start = Number(records[0].timestamp)
  for (const [after, want] of [[-60_000, 0], [0, 0], [149 * STEP_MS, 149], [149 * STEP_MS + 1, 150], [299 * STEP_MS, 299], [300 * STEP_MS, 300]]) {
    const [{ offset }] = await admin.fetchTopicOffsetsByTimestamp(topic, start + after)
    assert.equal(Number(offset), want, `${after} ms after the first record`)
  }
  assert.equal(await firstRead(cluster, { topic }), 0)
  assert.equal(await firstRead(cluster, { topic, seek: 120 }), 120)
  await latestIsNew(cluster, topic)
}

// A consumer that starts at the latest offset reads nothing that was there before. When it has started is not to be seen, so
// records are sent until it reads one.
async function latestIsNew(cluster, topic) {
  const producer = await cluster.producer()
  let first
  const reading = firstRead(cluster, { topic, fromBeginning: false }).then((offset) => (first = offset))
  await cluster.until('a new record is read', async () => {
    await send(producer, topic, numbered(1))
    return first !== undefined
  })
  await reading
  assert.ok(first >= 300, `the first is ${first}`)
}

async function txnRefused(cluster) {
  const start = Date.now()
  let error
  try {
    const producer = await cluster.producer({ transactionalId: cluster.fresh('txn'), idempotent: true, maxInFlightRequests: 1 })
    await producer.transaction()
  } catch (e) {
    error = e
  }
  const ms = Date.now() - start
  if (!error) throw new Skip('this cluster serves transactions')
  assert.ok(ms < 30_000, `it took ${ms} ms: ${error.message}`)
  return `after ${(ms / 1000).toFixed(0)} s: ${error.name}: ${error.message}`
}

module.exports = {
  'codec-none': codec('None'),
  'codec-gzip': codec('GZIP'),
  'codec-snappy': codec('Snappy'),
  'codec-lz4': codec('LZ4'),
  'codec-zstd': codec('ZSTD'),
  headers,
  'null-key-value': nullKeyValue,
  'big-record': bigRecord,
  idempotence,
  partitioner,
  offsets,
  'txn-refused': txnRefused,
}
