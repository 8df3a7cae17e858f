// Loaded before the package's server, which would listen on every address of the machine.
'use strict'
const { Server } = require('node:net')
const listen = Server.prototype.listen
Server.prototype.listen = function (port) {
  return listen.call(this, Number(port), '127.0.0.1')
}

// The runner holds the other end: however it ends, nothing stays behind.
process.stdin.resume().on('close', () => process.exit())
