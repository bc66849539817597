'use strict';

// POST /feedback: what agents think of a suggestion, and when it was painted. The relay decides; see forward.private.js.
const { forward } = require(Runtime.getFunctions().forward.path);

exports.handler = (context, event, callback) => {
  forward(context, event, '/feedback').then((response) => callback(null, response), callback);
};
