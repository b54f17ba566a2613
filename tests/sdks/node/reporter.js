/** Writes one JSON object a line per case: `{"case": name, "error": text or null}`. */
"use strict";

const { inspect } = require("node:util");

module.exports = async function* reporter(source) {
  for await (const { type, data } of source) {
    if (type === "test:pass") yield line(data.name, null);
    if (type === "test:fail") yield line(data.name, account(data.details.error));
  }
};

function line(name, error) {
  return `${JSON.stringify({ case: name, error })}\n`;
}

/** The SDK rejects with plain objects, which the test runner keeps as the cause of an error of its own. */
function account(error) {
  return inspect(error.cause ?? error, { depth: 10 });
}
