'use strict'

const assert = require('node:assert/strict')
const { setTimeout: pause } = require('node:timers/promises')
const { Crew, startStream } = require('./cases_group')
const { readWhile } = require('./reading')
const { numbered, sameRecords, sendByPartition } = require('./records')

const OFFSETS_TOPIC = '__consumer_offsets'

// The partition of __consumer_offsets that has a group: Java's hash of its name decides.
function coordinatorPartition(group, partitions) {
  let hash = 0
  for (let i = 0; i < group.length; i++) hash = (Math.imul(31, hash) + group.charCodeAt(i)) | 0
  return (hash & 0x7fffffff) % partitions
}

async function killCoordinator(cluster, group) {
  const admin = await cluster.admin()
  const { topics } = await admin.fetchTopicMetadata({ topics: [OFFSETS_TOPIC] })
  await cluster.killLeader(OFFSETS_TOPIC, coordinatorPartition(group, topics[0].partitions.length))
}

async function groupKilled(cluster) {
  const crew = new Crew(cluster, await cluster.topic({ partitions: 4, configs: { 'min.insync.replicas': '2' } }))
  const first = await crew.join('first')
  const second = await crew.join('second')
  await crew.shared({ first: 2, second: 2 })
  const endStream = await startStream(cluster, crew.topic)
  await crew.readsOn(400)
  await killCoordinator(cluster, crew.groupId)
  await crew.readsOn(1000)
  await crew.complete(await endStream())
  await crew.committedAll()
  await Promise.all([first.disconnect(), second.disconnect()])
}

const PARTITIONS = 3
const RECORDS = 20_000
const KILL_AFTER = RECORDS / 4
const BATCH = 250
const PACE_MS = 250 // between batches while the kill is on its way, so that it meets a stream

async function leaderKilled(cluster) {
  const topic = await cluster.topic({ partitions: PARTITIONS, configs: { 'min.insync.replicas': '2' } })
  const sent = numbered(RECORDS)
  const got = []
  const places = new Set()
  const reading = readWhile(cluster, { topic }, (record) => {
    got.push(record)
    return places.add(`${record.partition}-${record.offset}`).size < RECORDS
  })
  const producer = await cluster.producer({ idempotent: true })
  let killing = false
  let killed
  for (let i = 0; i < RECORDS; i += BATCH) {
    cluster.waitingFor = () => `${i} records were acknowledged, ${places.size} read`
    if (i === KILL_AFTER) {
      killing = true
      killed = cluster.killLeader(topic, 0).finally(() => (killing = false))
    }
    await Promise.all([sendByPartition(producer, topic, PARTITIONS, sent.slice(i, i + BATCH)), killing && pause(PACE_MS)])
  }
  assert.ok(!killing, 'the stream was over before the leader was killed')
  await Promise.all([killed, reading])
  sameRecords(sent, got)
  return 'each send names one partition, for kafkajs drops records when leaders change under a send to several'
}

module.exports = { 'group-killed': groupKilled, 'leader-killed': leaderKilled }
