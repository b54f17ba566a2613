/**
 * Runs every case in a page of its own, in one headless Chromium.
 *
 * Arguments: the Chromium to run, the report to write and, if not all cases shall run, a part of their names. The report is
 * one JSON object a line: `{"case": name, "error": text or null}`. The last one, if all ran, is about what they have used.
 * The browser finds the cluster's host at a forwarder here, which leads to the server under test.
 */
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { inspect } = require("node:util");
const { chromium } = require("playwright-core");
const { Forwarder, HOST } = require("./forwarder");
const { servePages } = require("./pages");
const { unused } = require("./unused");

const [, , EXECUTABLE, REPORT, PART = ""] = process.argv;
const { CHATKIT_INSTANCE_LOCATOR, CHATKIT_SERVER_TOKEN, CHATKIT_ALICE_TOKEN, CHATKIT_PORT } = process.env;
const CASE_MS = 60_000;
const SURFACE = "surface: every public member and every hook has been used";
const CLUSTER_HOST = `${CHATKIT_INSTANCE_LOCATOR.split(":")[1]}.pusherplatform.io`;
const SETTINGS = {
  locator: CHATKIT_INSTANCE_LOCATOR,
  serverToken: CHATKIT_SERVER_TOKEN,
  aliceToken: CHATKIT_ALICE_TOKEN,
  clusterUrl: `https://${CLUSTER_HOST}`,
  // Past the forwarder: what an application's own server does goes on while the line is cut.
  serverUrl: `https://localhost:${CHATKIT_PORT}`,
};
const SCRIPTS = fs.readdirSync(path.join(__dirname, "cases")).sort();

function launch(forwarderPort) {
  return chromium.launch({
    executablePath: EXECUTABLE,
    timeout: CASE_MS,
    args: [
      "--no-sandbox", // CI runs as root
      "--disable-dev-shm-usage", // containers have little of it
      "--ignore-certificate-errors", // the server's CA is not in the browser's store
      `--host-resolver-rules=MAP ${CLUSTER_HOST}:443 ${HOST}:${forwarderPort}`,
    ],
  });
}

/** One tab for all cases, since a new one costs much more than a new page in it, and the tabs that a case adds. */
class Stage {
  #context;
  #forwarder;
  #url;
  #tabs = [];
  /** What the case's pages wrote to their consoles. */
  console = [];
  /** Errors in them that nobody caught. */
  uncaught = [];

  constructor(context, forwarder, url) {
    this.#context = context;
    this.#forwarder = forwarder;
    this.#url = url;
  }

  /** Lets scripts in the pages ask for what only the driver can do. */
  async prepare() {
    this.#context.setDefaultTimeout(CASE_MS);
    const calls = {
      cut: () => this.#forwarder.cut(),
      restore: () => this.#forwarder.restore(),
      openTab: async (name) => {
        await this.#open(await this.#newTab(), name);
        return this.#tabs.length - 1;
      },
      runInTab: (tab, source) => this.#tabs[tab].evaluate(source),
      closeTab: (tab) => this.#tabs[tab].close(),
    };
    await this.#context.exposeFunction("callDriver", (name, ...args) => calls[name](...args));
    await this.#context.addInitScript((settings) => Object.assign(window, { SETTINGS: settings }), SETTINGS);
    await this.#newTab();
  }

  /** A new page, with which all of the last case's connections end. */
  async begin() {
    this.#forwarder.restore();
    const [first, ...others] = this.#tabs;
    for (const tab of others) await tab.close();
    this.#tabs = [first];
    await this.#open(first, "page");
    this.console = [];
    this.uncaught = [];
    return first;
  }

  async #newTab() {
    const tab = await this.#context.newPage();
    tab.on("console", (message) => this.console.push(message.text()));
    tab.on("pageerror", (error) => this.uncaught.push(`not caught: ${inspect(error)}`));
    this.#tabs.push(tab);
    return tab;
  }

  #open(tab, name = "page") {
    return tab.goto(`${this.#url}/${name}`);
  }
}

/** Pairs of a script and the name of a case in it. */
async function allCases(stage) {
  const page = await stage.begin();
  return page.evaluate(async (scripts) => {
    const found = new Map();
    const { cases } = await import("/support.js");
    for (const script of scripts) {
      await import(`/${script}`);
      for (const name of cases.keys()) if (!found.has(name)) found.set(name, script);
    }
    return [...found].map(([name, script]) => [script, name]);
  }, SCRIPTS);
}

/** What the cases have used of the SDK, and what they could have. */
class Surface {
  #used = new Set();
  #members = new Set();

  add({ used, members }) {
    for (const each of used) this.#used.add(each);
    for (const each of members) this.#members.add(each);
  }

  error() {
    const names = unused(this.#members, this.#used);
    return names.length ? `no case has used ${names.join(", ")}` : null;
  }
}

/** Runs one case, and returns what went wrong, null if nothing did. */
async function errorOf(stage, script, name, surface) {
  const page = await stage.begin();
  const running = page.evaluate(
    async ([url, wanted]) => {
      await import(url);
      return (await import("/support.js")).outcomeOf(wanted);
    },
    [`/${script}`, name],
  );
  running.catch(() => {}); // of a case that came too late
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(async () => {
      const heard = page.evaluate(async () => (await import("/support.js")).heardSoFar());
      resolve(`not done after ${CASE_MS / 1000} s; the hooks told: ${await heard.catch(inspect)}`);
    }, CASE_MS);
  });
  const noted = (outcome) => (surface.add(outcome), outcome.error);
  const error = await Promise.race([running.then(noted), late]);
  clearTimeout(timer);
  const wrong = error === null ? stage.uncaught : [error, ...stage.uncaught];
  return wrong.length ? [...wrong, ...stage.console].join("\n") : null;
}

function report(name, error) {
  fs.appendFileSync(REPORT, `${JSON.stringify({ case: name, error })}\n`);
}

async function main() {
  const forwarder = new Forwarder(Number(CHATKIT_PORT));
  const browser = await launch(await forwarder.listen());
  const { server, url } = await servePages(SCRIPTS);
  const stage = new Stage(await browser.newContext(), forwarder, url);
  await stage.prepare();
  const cases = await allCases(stage);
  const surface = new Surface();
  for (const [script, name] of cases.filter(([, each]) => each.includes(PART))) {
    report(name, await errorOf(stage, script, name, surface).catch(inspect));
  }
  if (!PART) report(SURFACE, surface.error());
  await browser.close();
  forwarder.close();
  server.close();
}

main();
