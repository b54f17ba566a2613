/** What the cases share, inside the page: ways to connect and to prepare, and a record of what hooks told. */
import { assert, config } from "/chai.js";
import { noted, watched } from "/surface.js";

config.truncateThreshold = 0; // an account of a failed case tells everything

const { locator, serverToken, aliceToken, clusterUrl, serverUrl } = window.SETTINGS;
const INSTANCE = locator.split(":")[2];
const CONNECTION_MS = 60_000;

export const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** Case → what it does. */
export const cases = new Map();

const records = [];
/** User → its token, to come. */
const tokens = new Map();

/** One case. The name has to stand in one line with the call: `test_browser_sdk.py` reads it there. */
export function test(name, run) {
  cases.set(name, run);
}

/** Runs a case on an emptied instance. Returns an account of what went wrong, null if nothing did, and what it used. */
export async function outcomeOf(name) {
  const error = await errorOf(name);
  return { error, ...noted() };
}

async function errorOf(name) {
  try {
    await asServer("DELETE", "/resources");
    await cases.get(name)();
    return null;
  } catch (error) {
    return error instanceof Error ? error.stack : `rejected with ${JSON.stringify(error)}`;
  }
}

/** What the hooks told, for the account of a case that waits in vain. */
export function heardSoFar() {
  return JSON.stringify(records.map((record) => record.all));
}

/** What hooks told, in the order in which they did. */
export class Record {
  /** Pairs of a hook's name and what it told. */
  all = [];
  #waiting = [];

  constructor() {
    records.push(this);
  }

  /** A hook that notes `pick` of its arguments: at that time, since the SDK goes on changing its objects. */
  hook(name, pick = () => null) {
    return (...args) => {
      this.all.push([name, pick(...args)]);
      this.#waiting = this.#waiting.filter((check) => !check());
    };
  }

  /** What the hook of this name told so far. */
  of(name) {
    return this.all.filter(([told]) => told === name).map(([, value]) => value);
  }

  /** Waits until the hook of this name has told something for which `check` holds, and returns that. */
  async told(name, check = () => true) {
    await this.#until(() => this.of(name).some(check));
    return this.of(name).find(check);
  }

  /** Waits until the hook of this name was called `count` times, and returns what it told then. */
  async times(name, count) {
    await this.#until(() => this.of(name).length >= count);
    return this.of(name);
  }

  #until(condition) {
    return new Promise((resolve) => {
      const check = () => condition() && (resolve(), true);
      if (!check()) this.#waiting.push(check);
    });
  }
}

/** The SDK's token provider for the instance's own endpoint. */
export function tokenProviderOf(options) {
  return new Chatkit.TokenProvider({ url: tokenUrl(), ...options });
}

/** The SDK's chat manager for this user, with the instance's own token provider. */
export function managerOf(userId, options) {
  const tokenProvider = tokenProviderOf();
  const connectionTimeout = CONNECTION_MS;
  const whole = { instanceLocator: locator, tokenProvider, userId, connectionTimeout, ...options };
  return watched(new Chatkit.ChatManager(whole));
}

/** Connects, and returns the SDK's current user. */
export function connect(userId, hooks) {
  return managerOf(userId).connect(hooks);
}

/** Connects as alice with a server's token, which lets her update and delete rooms. */
export function connectWithPermission(hooks) {
  const tokenProvider = { fetchToken: () => Promise.resolve(aliceToken) };
  return managerOf("alice", { tokenProvider }).connect(hooks);
}

export function tokenUrl(base = clusterUrl, instance = INSTANCE) {
  return `${base}/services/chatkit_token_provider/v1/${instance}/token`;
}

/** What an application's own server asks for, with its own token. Returns the parsed answer, null if it is empty. */
export function asServer(method, path, body, service = "chatkit/v6") {
  return request(method, path, body, service, serverToken);
}

/** The same with a user's token, on a connection that has nothing to do with the SDK's. */
export async function asUser(userId, method, path, body, service = "chatkit/v6") {
  if (!tokens.has(userId)) tokens.set(userId, tokenOf(userId));
  return request(method, path, body, service, await tokens.get(userId));
}

async function tokenOf(userId) {
  const url = `${tokenUrl(serverUrl)}?user_id=${encodeURIComponent(userId)}`;
  const answer = await fetch(url, { method: "POST", body: new URLSearchParams({ grant_type: "client_credentials" }) });
  return (await answer.json()).access_token;
}

async function request(method, path, body, service, token) {
  const answer = await fetch(`${serverUrl}/services/${service}/${INSTANCE}${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  assert.isTrue(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

export async function makeUsers(...ids) {
  await asServer("POST", "/batch_users", { users: ids.map((id) => ({ id, name: `Name of ${id}` })) });
}

/** Makes a room of these members, who must exist, and of whom the first is its creator; returns its id. */
export async function makeRoom([creator, ...members], fields) {
  const room = await asUser(creator, "POST", "/rooms", { name: "a room", user_ids: members, ...fields });
  return room.id;
}

/** Makes users and a room of them all, and returns its id. */
export async function makeRoomOf(...ids) {
  await makeUsers(...ids);
  return makeRoom(ids);
}

/** Sends a text past the SDK, and returns the message's id. */
export async function say(userId, roomId, content) {
  const body = { parts: [{ type: "text/plain", content }] };
  return (await asUser(userId, "POST", `/rooms/${encodeURIComponent(roomId)}/messages`, body)).message_id;
}

/** The text of a message in either dialect. */
export function textOf({ text, parts }) {
  return parts ? parts[0].payload.content : text;
}

/** What a room looks like at this time, since the SDK goes on changing it. */
export function propertiesOf({ id, name, isPrivate, createdByUserId, customData, unreadCount }) {
  return { id, name, isPrivate, createdByUserId, customData, unreadCount };
}

export function idsOf(entities) {
  return entities.map(({ id }) => id).sort();
}

/** Checks that the SDK rejects with the server's answer of this status, whose error or description holds `words`. */
export async function refused(promise, statusCode, words) {
  const reason = await promise.then(
    () => assert.fail(`fulfilled, instead of refused with ${statusCode} ${words}`),
    (error) => error,
  );
  assert.equal(reason.statusCode, statusCode, JSON.stringify(reason));
  const { error, error_description } = reason.info;
  assert.include(`${error}: ${error_description}`, words);
}

/** Drops every connection that the SDK has; the next ones get no answer before `restoreLine`. */
export function cutLine() {
  return window.callDriver("cut");
}

export function restoreLine() {
  return window.callDriver("restore");
}

/** Another page with the SDK. `run` calls a function there that uses nothing from outside but its arguments. */
export async function openTab(name) {
  const tab = await window.callDriver("openTab", name);
  return {
    run: (task, ...args) => window.callDriver("runInTab", tab, `(${task})(...${JSON.stringify(args)})`),
    close: () => window.callDriver("closeTab", tab),
  };
}

export { assert, watched };
