'use strict';

// Loaded into every Node process of a test: notes each address that is dialled, and says which port is listened on.
const { appendFileSync } = require('node:fs');
const dgram = require('node:dgram');
const net = require('node:net');

const [DIALLED, LISTENING] = RECORDS;

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function recorded(...given) {
  const first = Array.isArray(given[0]) ? given[0][0] : given[0];
  const told = first !== null && typeof first === 'object' ? first : { port: first, host: given[1] };
  appendFileSync(DIALLED, `${told.path || `${told.host || 'localhost'}:${told.port}`}\n`);
  return connect.apply(this, given);
};

const send = dgram.Socket.prototype.send;
dgram.Socket.prototype.send = function recorded(...given) {
  appendFileSync(DIALLED, 'udp\n');
  return send.apply(this, given);
};

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function recorded(...given) {
  this.once('listening', () => {
    const { port } = this.address();
    if (port) appendFileSync(LISTENING, `${port}\n`);
  });
  return listen.apply(this, given);
};
