'use strict';

// POST /stream: start, stop, pause and resume a call's stream. The relay decides; see forward.private.js.
const { forward } = require(Runtime.getFunctions().forward.path);

exports.handler = (context, event, callback) => {
  forward(context, event, '/stream').then((response) => callback(null, response), callback);
};
