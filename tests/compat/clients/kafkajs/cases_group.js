'use strict'

const assert = require('node:assert/strict')
const { Skip } = require('./cluster')
const { numbered, sameRecords, sendByPartition } = require('./records')

const PARTITIONS = 4

// The members of one group: who has which partitions, and what was read by all of them together.
class Crew {
  read = []
  has = {}

  constructor(cluster, topic) {
    Object.assign(this, { cluster, topic, groupId: cluster.fresh('group') })
  }

  async join(name) {
    const consumer = await this.cluster.consumer({ groupId: this.groupId })
    this.has[name] = []
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      this.has[name] = payload.memberAssignment[this.topic] ?? []
    })
    await consumer.subscribe({ topic: this.topic, fromBeginning: true })
    await consumer.run({ eachMessage: async ({ partition, message }) => void this.read.push({ ...message, partition }) })
    return consumer
  }

  shared(counts) {
    const wanted = JSON.stringify(counts)
    return this.cluster.until(`members have so many partitions: ${wanted}`, () =>
      Object.entries(counts).every(([name, count]) => this.has[name].length === count))
  }

  readsOn(count) {
    const goal = this.read.length + count
    return this.cluster.until(`${goal} records are read`, () => this.read.length >= goal)
  }

  async committed() {
    const admin = await this.cluster.admin()
    const [{ partitions }] = await admin.fetchOffsets({ groupId: this.groupId, topics: [this.topic] })
    return Object.fromEntries(partitions.map(({ partition, offset }) => [partition, Number(offset)]))
  }

  async complete(sent) {
    const places = () => new Set(this.read.map(({ partition, offset }) => `${partition}-${offset}`)).size
    await this.cluster.until(
      () => `${sent.length} records are read; ${places()} were`,
      () => this.read.length >= sent.length && places() >= sent.length,
    )
    sameRecords(sent, this.read)
  }

  // Whether the group's offsets are the ends of the partitions; they are committed a moment after the records were read.
  async committedAll() {
    const admin = await this.cluster.admin()
    const ends = Object.fromEntries((await admin.fetchTopicOffsets(this.topic)).map(({ partition, high }) => [partition, Number(high)]))
    await this.cluster.until(`the group's offsets are ${JSON.stringify(ends)}`, async () => {
      const offsets = await this.committed()
      return Object.entries(ends).every(([partition, end]) => offsets[partition] === end)
    })
  }
}

// Sends records, some at a time, until it is told to stop; then gives what was sent.
async function startStream(cluster, topic) {
  const producer = await cluster.producer({ idempotent: true })
  const sent = []
  let stopped = false
  const over = (async () => {
    while (!stopped) {
      const some = numbered(40, sent.length)
      await sendByPartition(producer, topic, PARTITIONS, some)
      sent.push(...some)
      await new Promise((resume) => setTimeout(resume, 50)) // the pace, 800 records a second at most
    }
    return sent
  })()
  over.catch(() => {}) // whoever ends the stream is told
  return () => {
    stopped = true
    return over
  }
}

async function group(cluster) {
  const crew = new Crew(cluster, await cluster.topic({ partitions: PARTITIONS }))
  const first = await crew.join('first')
  await crew.shared({ first: 4 })
  const endStream = await startStream(cluster, crew.topic)
  await crew.readsOn(400)
  const second = await crew.join('second')
  await crew.shared({ first: 2, second: 2 })
  await crew.readsOn(400)
  await second.disconnect()
  await crew.shared({ first: 4 })
  await crew.readsOn(400)
  await first.disconnect()
  const sent = await endStream()
  await crew.join('third')
  await crew.complete(sent)
  assert.equal(crew.read.length, sent.length, `${crew.read.length - sent.length} records were read twice`)
  await crew.committedAll()
}

const cannot = (reason) => async () => {
  throw new Skip(reason)
}

module.exports = {
  Crew,
  startStream,
  cases: {
    group,
    'group-cooperative': cannot('kafkajs has no incremental rebalance'),
    'group-static': cannot('kafkajs has no group.instance.id'),
  },
}
