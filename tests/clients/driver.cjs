// Runs pieces of JavaScript that a test sends, one a line as {id, code, args}, with Twilio's clients at hand; answers {id, value} or
// {id, error}, and tells what happens as {said: [...]}. Every host of Twilio is led to the stand-in's port: clients use their own addresses.
'use strict'

const tls = require('node:tls')
const readline = require('node:readline')
const { createRequire } = require('node:module')

const port = Number(process.env.EDGE_PORT)
const packages = createRequire(`${process.env.PACKAGES}/x.js`)
const connect = tls.connect
tls.connect = (options, ...rest) => {
  const host = options.servername || options.host || ''
  if (!/\.twilio\.com$/.test(host)) throw new Error(`nobody but the stand-in may be asked: ${host}`)
  return connect({ ...options, host: '127.0.0.1', port, servername: host }, ...rest)
}

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const plain = (error) => ({ name: error?.name, message: String(error?.message ?? error), status: error?.status, code: error?.code })

const world = {
  Client: packages('twilio-sync').Client,
  OldClient: packages('twilio-sync-2').Client,
  taskrouter: () => packages('twilio-taskrouter'),
  say: (...words) => tell({ said: words }),
  sleep: (ms) => new Promise((done) => setTimeout(done, ms)),
  failure: (promise) => promise.then(() => null, plain),
  // A client whose events are told, and what it opens, with its events told.
  open(token, options = {}, Client = world.Client) {
    const client = new Client(token, { Sync: { enableSessionStorage: false }, ...options })
    for (const name of ['connectionStateChanged', 'connectionError', 'tokenAboutToExpire', 'tokenExpired']) {
      client.on(name, (about) => world.say(name, about ?? null))
    }
    return client
  },
  watch(found, name) {
    const events = ['itemAdded', 'itemUpdated', 'itemRemoved', 'removed', 'failure', 'updated', 'messagePublished', '_subscriptionStateChanged']
    for (const event of events) {
      found.on(event, (about) => {
        const { item, message } = about ?? {}
        const shown = about instanceof Error ? plain(about) : item ? [item.key, item.data] : message ? message.data : about?.data ?? about?.key ?? about
        world.say(name, event, shown ?? null)
      })
    }
    return found
  },
}
globalThis.world = world

const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor
readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, code, args } = JSON.parse(line)
  try {
    const value = await new AsyncFunction('args', 'world', `const { Client, OldClient, open, watch, say, sleep, failure } = world; ${code}`)(args, world)
    tell({ id, value: value ?? null })
  } catch (error) {
    tell({ id, error: plain(error) })
  }
}).on('close', () => process.exit(0))
process.on('unhandledRejection', (error) => tell({ said: ['unhandled', plain(error)] }))
