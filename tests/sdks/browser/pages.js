/** Serves the page, the SDK and the cases to the browser, and nothing else. */
"use strict";

const fs = require("node:fs/promises");
const http = require("node:http");
const path = require("node:path");
const { HOST } = require("./forwarder");

const HTML = "text/html";
const SCRIPT = "text/javascript";
/** Takes its origin away from a page, so that requests say `Origin: null`, as those of the SDK's own suites do. */
const SANDBOX = { "Content-Security-Policy": "sandbox allow-scripts" };

/** URL path → file, media type, further headers. */
function files() {
  const here = (name) => path.join(__dirname, name);
  return {
    "/page": [here("page.html"), HTML, SANDBOX],
    "/page-with-origin": [here("page.html"), HTML, {}],
    "/chatkit.js": [require.resolve("@pusher/chatkit-client"), SCRIPT, {}],
    "/chatkit-v2.js": [require.resolve("chatkit-client-v2"), SCRIPT, {}],
    "/chatkit-v3.js": [require.resolve("chatkit-client-v3"), SCRIPT, {}],
    "/chatkit-v4.js": [require.resolve("chatkit-client-v4"), SCRIPT, {}],
    "/chai.js": [require.resolve("chai"), SCRIPT, {}],
    "/support.js": [here("support.js"), SCRIPT, {}],
    "/surface.js": [here("surface.js"), SCRIPT, {}],
  };
}

/** Starts the server, and returns it with its base URL. `scripts` are the names of the case files. */
async function servePages(scripts) {
  const known = files();
  for (const name of scripts) known[`/${name}`] = [path.join(__dirname, "cases", name), SCRIPT, {}];
  const server = http.createServer(async (request, response) => {
    const file = known[request.url];
    if (!file) return response.writeHead(404).end();
    const [name, type, headers] = file;
    // Without an origin of its own, a page loads modules only from where everybody may.
    const usual = { "Access-Control-Allow-Origin": "*", "Content-Type": `${type}; charset=utf-8` };
    return response.writeHead(200, { ...usual, ...headers }).end(await fs.readFile(name));
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, HOST, resolve));
  return { server, url: `http://${HOST}:${server.address().port}` };
}

module.exports = { servePages };
