// Runs the tests of the npm package http-cache-tests against a client, as a browser would (that is what
// the package calls a private cache), and counts as the package's own pages do.
//
//   node runner.mjs PACKAGE --client urlsession --program CLIENT [--disk] [--results FILE]
//                           [--id TEST]... [--suite SUITE]... [--require KIND=NUMBER]...
//
// PACKAGE is the directory of the unpacked package. With --id or --suite only these tests run, and
// everything that is sent and received is shown.

import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import * as clients from './clients.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))
const { values: options, positionals } = commandLine()
const directory = path.resolve(positionals[0])
const load = file => import(pathToFileURL(path.join(directory, file)))
const { runTests, getResults } = await load('client/runner.mjs')
const { determineTestResult } = await load('lib/display.mjs')
const { default: suites } = await load('tests/index.mjs')

// Of a test's result, the pages show a symbol.
const OUTCOMES = new Map(Object.entries({
  '✅': 'pass',
  '⛔️': 'fail',
  '⚠️': 'not optimal',
  Y: 'yes',
  N: 'no',
  '🔹': 'setup failed',
  '⁉️': 'harness failed',
  '⚪️': 'dependency failed',
  '↻': 'retried',
  '-': 'not run'
}))
const KINDS = ['required', 'optimal', 'check']
const PASSED = new Set(['pass', 'yes'])

const chosen = options.id.length + options.suite.length > 0
const isChosen = (suite, test) => !chosen || options.suite.includes(suite.id) || options.id.includes(test.id)
const selected = suites.map(suite => ({ ...suite, tests: suite.tests.filter(test => isChosen(suite, test)) }))
for (const id of options.id) {
  if (!selected.some(suite => suite.tests.some(test => test.id === id))) die(`there is no test ${id}`)
}
for (const id of options.suite) {
  if (!suites.some(suite => suite.id === id)) die(`there is no suite ${id}`)
}
if (chosen) selected.forEach(suite => suite.tests.forEach(test => { test.dump = true }))

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'http-cache-tests.'))
process.on('exit', () => fs.rmSync(scratch, { recursive: true, force: true }))
const client = await connect(options.client)
const server = await serve()
let results
// All of them take 10 seconds.
const limit = setTimeout(() => die('no end after two minutes: a request has no answer'), 120_000)
try {
  // One after the other when somebody reads along.
  await runTests(selected, client.fetch, true, server.base, chosen ? 1 : 100)
  results = getResults()
  await client.close()
} finally {
  clearTimeout(limit)
  server.stop()
}
process.exitCode = report() ? 0 : 1

function commandLine () {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        client: { type: 'string', default: 'urlsession' },
        program: { type: 'string' },
        disk: { type: 'boolean', default: false },
        undici: { type: 'string' },
        results: { type: 'string' },
        id: { type: 'string', multiple: true, default: [] },
        suite: { type: 'string', multiple: true, default: [] },
        require: { type: 'string', multiple: true, default: [] }
      }
    })
  } catch (error) {
    return die(error.message)
  }
}

function die (message) {
  console.error(`http-cache-tests: ${message}`)
  process.exit(2)
}

function connect (name) {
  switch (name) {
    case 'urlsession': return clients.urlsession(options.program, options.disk ? path.join(scratch, 'cache') : undefined, chosen)
    case 'node': return clients.node()
    case 'undici': return clients.undici(options.undici)
    default: return die(`no client is called ${name}`)
  }
}

// The package's server, unchanged, in a process of its own.
async function serve () {
  const env = { ...process.env, npm_config_protocol: 'http', npm_config_port: '0', npm_config_pidfile: path.join(scratch, 'pid') }
  const child = spawn(process.execPath, ['--require', path.join(here, 'loopback.cjs'), 'server/server.mjs'],
    { cwd: directory, env, stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })
  const base = await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', code => reject(new Error(`the server ended (${code})`)))
    lines.on('line', line => {
      const address = /^Listening on (http:\S+)\/$/.exec(line)
      if (address) resolve(address[1])
      else if (chosen || !line.startsWith('SERVER WARNING')) console.log(line)
    })
  })
  return { base, stop: () => child.kill() }
}

// Says what came of it. Whether that is enough.
function report () {
  const counts = Object.fromEntries(KINDS.map(kind => [kind, { passed: 0, of: 0 }]))
  const rest = []
  for (const suite of suites) {
    for (const test of suite.tests) {
      if (!(test.id in results)) continue
      const kind = test.kind ?? 'required'
      // What a test depends on was not run where tests were chosen.
      const outcome = OUTCOMES.get(determineTestResult(suites, test.id, results, !chosen)[2])
      counts[kind].of += 1
      if (PASSED.has(outcome)) counts[kind].passed += 1
      else rest.push({ id: test.id, kind, outcome, suite: suite.id, message: results[test.id][1] ?? '' })
      if (chosen) console.log(`=== ${test.id} (${kind}): ${outcome}. ${results[test.id][1] ?? ''}`)
    }
  }
  rest.sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || (a.id < b.id ? -1 : 1))
  if (!chosen) {
    for (const { id, kind, outcome, message } of rest) {
      if (kind !== 'check') console.log(`${kind}: ${id}: ${outcome}${message && `: ${message.replace(/[0-9a-f-]{36}/g, 'UUID')}`}`)
    }
    console.log(KINDS.map(kind => `${kind} ${counts[kind].passed} of ${counts[kind].of}`).join(', '))
  }
  if (options.results) record(counts, rest)
  return options.require.every(wish => {
    const [kind, least] = wish.split('=')
    if (counts[kind].passed >= Number(least)) return true
    console.error(`http-cache-tests: ${counts[kind].passed} ${kind} tests pass, not ${least}`)
    return false
  })
}

// Without what differs from run to run, so that two runs with the same results give the same file.
function record (counts, rest) {
  const { version } = JSON.parse(fs.readFileSync(path.join(directory, 'package.json'), 'utf8'))
  const failed = kind => Object.fromEntries(rest.filter(test => test.kind === kind).map(({ id, outcome }) => [id, outcome]))
  const text = JSON.stringify({
    package: `http-cache-tests ${version}`,
    client: options.client,
    counts,
    not_passed: { required: failed('required'), optimal: failed('optimal') },
    // These ask how a cache behaves; there is no right answer.
    answered_no: failed('check')
  }, null, 2)
  fs.writeFileSync(options.results, text + '\n')
}
