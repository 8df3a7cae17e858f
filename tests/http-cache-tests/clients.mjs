// The clients that can be tested: each is an object with a `fetch` and a `close`. What the package's
// tests use of a response is its status, headers and text, so ours is no more than that: a `Response`
// of Node's own would refuse the status 999, which the server uses as a signal.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

// Our session, in a process of its own that is spoken to line by line (src/main.rs). Its cache is in memory,
// or in a directory.
export function urlsession (program, cache, log) {
  const child = spawn(program, cache === undefined ? [] : [cache], { stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting = new Map()
  let last = 0
  let over = null
  const end = (reason) => {
    over = reason
    for (const { reject } of waiting.values()) reject(new TypeError(reason))
    waiting.clear()
  }
  child.on('error', error => end(`${program}: ${error.message}`))
  const ended = new Promise(resolve => child.on('close', (code, signal) => {
    end(`the client ended (${signal ?? code})`)
    resolve(code)
  }))
  createInterface({ input: child.stdout, crlfDelay: Infinity }).on('line', line => {
    const answer = JSON.parse(line)
    const { resolve, reject } = waiting.get(answer.id)
    waiting.delete(answer.id)
    if (answer.error !== undefined) return reject(new TypeError(answer.error))
    if (log) console.log(`    (${answer.source}: ${answer.status} ${answer.url})\n`)
    resolve(response(answer))
  })
  return {
    fetch (url, init = {}) {
      return new Promise((resolve, reject) => {
        if (over !== null) return reject(new TypeError(over))
        const id = ++last
        waiting.set(id, { resolve, reject })
        const { method = 'GET', headers = [], body = null, cache = 'default', redirect = 'follow' } = init
        child.stdin.write(JSON.stringify({ id, method, url: String(url), headers, body, cache, redirect }) + '\n')
      })
    },
    async close () {
      child.stdin.end()
      const code = await ended
      if (code !== 0) throw new Error(over)
    }
  }
}

function response ({ status, headers, body }) {
  const fields = new Headers()
  for (const [name, value] of headers) fields.append(name, value)
  return {
    status,
    statusText: '',
    headers: fields,
    text: async () => Buffer.from(body, 'base64').toString('utf8')
  }
}

// Node's own, which has no cache.
export function node () {
  return { fetch: globalThis.fetch, close: async () => {} }
}

// undici with its cache interceptor, as a private cache. `directory` is where it is installed.
export async function undici (directory) {
  const require = createRequire(pathToFileURL(path.join(directory, 'package.json')))
  const { Agent, fetch, interceptors, cacheStores } = require('undici')
  const store = new cacheStores.MemoryCacheStore()
  const dispatcher = new Agent().compose(interceptors.cache({ store, type: 'private' }))
  return {
    fetch: (url, init) => fetch(url, { ...init, dispatcher }),
    close: () => dispatcher.close()
  }
}
