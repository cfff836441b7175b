// Reading a topic with a group of one.
'use strict'

// Reads until `each` says false; every record is passed with its partition.
async function readWhile(cluster, { topic, fromBeginning = true, seek, groupId = cluster.fresh('group') }, each) {
  const consumer = await cluster.consumer({ groupId })
  await consumer.subscribe({ topic, fromBeginning })
  let reading = true
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      if (reading) reading = each({ ...message, partition })
    },
  })
  if (seek !== undefined) consumer.seek({ topic, partition: 0, offset: String(seek) })
  await cluster.until(`enough of ${topic} is read`, () => !reading)
  await consumer.disconnect()
}

async function read(cluster, topic, count) {
  const records = []
  await readWhile(cluster, { topic }, (record) => records.push(record) < count)
  return records
}

module.exports = { read, readWhile }
