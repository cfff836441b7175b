// What the cases share: clients of the cluster that are closed at the end of a case, names, waiting.
'use strict'

const { execFile } = require('node:child_process')
const { setTimeout: pause } = require('node:timers/promises')
const { promisify } = require('node:util')
const { Kafka, logLevel } = require('kafkajs')

// Thrown when a case cannot be had from this library or this cluster.
class Skip extends Error {}

const LEAVE_LIMIT_MS = 5_000

async function askKiller(...words) {
  const [command, ...first] = process.env.KILL_LEADER.split(/\s+/)
  await promisify(execFile)(command, [...first, ...words])
}

// Brings back the nodes that were killed. On a busy machine a JVM may take longer than one try waits.
const reviveNodes = () => askKiller().catch(() => askKiller())

class Cluster {
  #open = []
  #names = 0
  waitingFor = () => ''

  constructor(name) {
    this.name = name
    this.kafka = new Kafka({
      clientId: 'skiff-compat',
      brokers: process.env.BOOTSTRAP.split(','),
      logLevel: process.env.KAFKAJS_LOG ? logLevel.DEBUG : logLevel.NOTHING,
    })
  }

  // A name for a topic or a group that no other case uses.
  fresh(what = 'topic') {
    return `${process.env.PREFIX}-${this.name}-${what}-${++this.#names}`
  }

  async #connected(client) {
    this.#open.push(client)
    await client.connect()
    return client
  }

  async admin() {
    this.adminClient ??= await this.#connected(this.kafka.admin())
    return this.adminClient
  }

  // It may meet a node that has not heard of a new topic yet: more tries than the five that are the default.
  producer(options = {}) {
    const retry = options.idempotent ? undefined : { retries: 15, maxRetryTime: 2_000 }
    return this.#connected(this.kafka.producer({ allowAutoTopicCreation: false, retry, ...options }))
  }

  // Heartbeats tell of a rebalance: the default of three seconds between them makes each take that long. A consumer that loses
  // its coordinator crashes and joins as a new member, which waits until the session of the old one is over.
  consumer(options) {
    const quick = { heartbeatInterval: 300, sessionTimeout: 8_000, maxWaitTimeInMs: 200 }
    return this.#connected(this.kafka.consumer({ ...quick, allowAutoTopicCreation: false, ...options }))
  }

  async topic({ partitions = 1, configs = {} } = {}) {
    const topic = this.fresh()
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    const admin = await this.admin()
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor: 3, configEntries }], waitForLeaders: true })
    return topic
  }

  // what: a text, or a function that makes it when it is asked for.
  async until(what, holds) {
    this.waitingFor = () => `waiting until ${typeof what === 'function' ? what() : what}`
    while (!(await holds())) await pause(10)
  }

  killLeader(topic, partition) {
    return askKiller(topic, String(partition))
  }

  async leave() {
    const closed = Promise.allSettled(this.#open.map((client) => client.disconnect()))
    await Promise.race([closed, pause(LEAVE_LIMIT_MS, undefined, { ref: false })])
  }
}

module.exports = { Cluster, Skip, reviveNodes }
