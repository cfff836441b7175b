// The cases of the client matrix, run through kafkajs. The report is TAP: "ok - CASE", "ok - CASE: note", "not ok - CASE: reason", "ok - CASE # SKIP reason".
'use strict'

const { Cluster, Skip, reviveNodes } = require('./cluster')

// Shorter than what a case may take by the matrix's rules, so that one that hangs is reported and the others still run.
const CASE_LIMIT_MS = 55_000

const killing = require('./cases_failover')
const cases = {
  ...require('./cases_records'),
  ...require('./cases_group').cases,
  ...require('./cases_admin'),
  ...killing,
}

const oneLine = (text) => String(text).replace(/\s+/g, ' ').trim()

const why = (error) => oneLine([error.message, ...(error.errors ?? []).map((e) => e.message)].join('; '))

async function limited(run, cluster) {
  let timer
  const hung = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not over after ${CASE_LIMIT_MS / 1000} s; ${cluster.waitingFor()}`)), CASE_LIMIT_MS)
  })
  try {
    return await Promise.race([run(cluster), hung])
  } finally {
    clearTimeout(timer)
    await cluster.leave()
  }
}

async function report(name, run) {
  try {
    if (name in killing) await reviveNodes() // the time they take is not the case's
    const note = await limited(run, new Cluster(name))
    console.log(`ok - ${name}${note ? `: ${oneLine(note)}` : ''}`)
    return true
  } catch (error) {
    if (error instanceof Skip) console.log(`ok - ${name} # SKIP ${error.message}`)
    else console.log(`not ok - ${name}: ${why(error)}`)
    return error instanceof Skip
  }
}

async function main(names) {
  if (names[0] === 'version') {
    console.log(`kafkajs ${require('kafkajs/package.json').version}`)
    return
  }
  let good = true
  for (const [name, run] of Object.entries(cases)) {
    if (names.length === 0 || names.includes(name)) good = (await report(name, run)) && good
  }
  process.exit(good ? 0 : 1) // what a case that hung left behind does not keep us
}

// kafkajs may throw from a socket's own events, for instance when it disconnects from a node that has died.
process.on('uncaughtException', (error) => console.error(error))

main(process.argv.slice(2))
