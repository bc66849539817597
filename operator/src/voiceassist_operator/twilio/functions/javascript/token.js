'use strict';

// GET and POST /token: an access token for Sync. The relay decides; see forward.private.js.
const { forward } = require(Runtime.getFunctions().forward.path);

exports.handler = (context, event, callback) => {
  forward(context, event, '/token').then((response) => callback(null, response), callback);
};
