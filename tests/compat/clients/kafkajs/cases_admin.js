'use strict'

const assert = require('node:assert/strict')
const { ConfigResourceTypes } = require('kafkajs')
const { numbered } = require('./records')

// The names of Kafka's errors in what kafkajs throws.
const typesOf = (error) => [error, ...(error.errors ?? [])].map((e) => e.type ?? e.cause?.type).filter(Boolean)

async function fails(promise, type, what) {
  await assert.rejects(promise, (error) => typesOf(error).includes(type) || assert.fail(`${what}: ${error.name} ${typesOf(error)} ${error.message}`), what)
}

const partitionsOf = async (admin, topic) => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions

async function describing(cluster, admin, topic) {
  const { brokers, controller, clusterId } = await admin.describeCluster()
  assert.equal(brokers.length, 3)
  assert.ok(controller >= 0)
  assert.ok(clusterId)
  assert.ok((await admin.listTopics()).includes(topic))
  const partitions = await partitionsOf(admin, topic)
  assert.equal(partitions.length, 2)
  for (const { leader, replicas, isr } of partitions) assert.ok(leader >= 0 && replicas.length === 3 && isr.length === 3)
}

async function configOf(admin, topic, key) {
  const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }] })
  return resources[0].configEntries.find(({ configName }) => configName === key).configValue
}

async function configuring(cluster, admin, topic) {
  const becomes = (key, value) => cluster.until(`${key} is ${value}`, async () => (await configOf(admin, topic, key)) === value)
  await becomes('retention.ms', '86400000')
  // The old call, the only one that kafkajs has, sets all of a topic's configs.
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'max.message.bytes', value: '2000000' }] }],
  })
  await becomes('max.message.bytes', '2000000')
  await becomes('retention.ms', '604800000')
  const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: ConfigResourceTypes.BROKER, name: '1' }] })
  assert.ok(resources[0].configEntries.length > 10)
}

async function changing(cluster, admin, topic) {
  await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
  await cluster.until('four partitions are known', async () => (await partitionsOf(admin, topic)).length === 4)
  const producer = await cluster.producer()
  await producer.send({ topic, acks: -1, messages: numbered(10).map((record) => ({ ...record, partition: 0 })) })
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] })
  const { low } = (await admin.fetchTopicOffsets(topic)).find(({ partition }) => partition === 0)
  assert.equal(low, '4')
}

async function groups(cluster, admin, topic) {
  const groupId = cluster.fresh('group')
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '7' }] })
  assert.ok((await admin.listGroups()).groups.some((group) => group.groupId === groupId))
  const described = await admin.describeGroups([groupId])
  assert.equal(described.groups[0].state, 'Empty')
  const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
  assert.equal(partitions.find(({ partition }) => partition === 0).offset, '7')
  await admin.deleteGroups([groupId])
  assert.ok(!(await admin.listGroups()).groups.some((group) => group.groupId === groupId))
}

async function refusals(cluster, admin, topic) {
  const create = (options) => admin.createTopics({ topics: [{ numPartitions: 1, replicationFactor: 3, ...options }] })
  assert.equal(await create({ topic }), false, 'kafkajs says false for a topic that exists')
  await fails(create({ topic: cluster.fresh(), numPartitions: 0 }), 'INVALID_PARTITIONS', 'no partitions')
  await fails(create({ topic: cluster.fresh(), replicationFactor: 9 }), 'INVALID_REPLICATION_FACTOR', 'nine replicas')
  await fails(create({ topic: cluster.fresh(), configEntries: [{ name: 'retention.ms', value: 'soon' }] }), 'INVALID_CONFIG', 'a bad config')
  await fails(admin.deleteTopics({ topics: [cluster.fresh()] }), 'UNKNOWN_TOPIC_OR_PARTITION', 'an unknown topic')
  await fails(admin.createPartitions({ topicPartitions: [{ topic, count: 1 }] }), 'INVALID_PARTITIONS', 'fewer partitions')
}

async function admin(cluster) {
  const client = await cluster.admin()
  const topic = cluster.fresh()
  await client.createTopics({
    waitForLeaders: true,
    topics: [{ topic, numPartitions: 2, replicationFactor: 3, configEntries: [{ name: 'retention.ms', value: '86400000' }] }],
  })
  await describing(cluster, client, topic)
  await configuring(cluster, client, topic)
  await changing(cluster, client, topic)
  await groups(cluster, client, topic)
  await refusals(cluster, client, topic)
  await client.deleteTopics({ topics: [topic] })
  await cluster.until('the topic is gone', async () => !(await client.listTopics()).includes(topic))
}

module.exports = { admin }
