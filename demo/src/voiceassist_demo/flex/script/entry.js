// Makes of the npm packages what Twilio's own page has as globals: Flex UI with the React and Redux that its plugins share.
const React = require("react");
const ReactDOM = require("react-dom");

window.React = React;
window.ReactDOM = ReactDOM;
window.Redux = require("redux");
window.ReactRedux = require("react-redux");
window.Twilio = window.Twilio || {};
window.Twilio.Flex = require("@twilio/flex-ui");
