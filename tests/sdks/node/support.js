/** What the case files share: the SDK under test, a way to make users, and the checks that hold for every answer. */
"use strict";

const assert = require("node:assert/strict");
const runner = require("node:test");
const { setTimeout: sleep } = require("node:timers/promises");
const { default: Chatkit, ErrorResponse } = require("@pusher/chatkit-server");
const { recorded } = require("./recorder");

const OPTIONS = {
  instanceLocator: process.env.CHATKIT_INSTANCE_LOCATOR,
  key: process.env.CHATKIT_INSTANCE_KEY,
  host: process.env.CHATKIT_HOST,
  port: Number(process.env.CHATKIT_PORT),
};
const BASE_URL = `https://${OPTIONS.host}:${OPTIONS.port}`;
const INSTANCE = OPTIONS.instanceLocator.split(":")[2];
const CASE_MS = 10_000;
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

const sdk = new Chatkit(OPTIONS);
const chatkit = recorded(sdk);

/** One case. The name has to stand in one line with the call: `test_node_sdk.py` reads it there. */
function test(name, run) {
  return runner.test(name, { timeout: CASE_MS }, run);
}

/** No case, and so past the notes on what cases use. */
function reset() {
  return sdk.apiRequest({ method: "DELETE", path: "/resources" });
}

/** A second SDK object, with some options of its own. */
function chatkitWith(options) {
  return recorded(new Chatkit({ ...OPTIONS, ...options }));
}

async function makeUsers(...ids) {
  await chatkit.createUsers({ users: ids.map((id) => ({ id, name: `Name of ${id}` })) });
}

/** Makes a room of these members, of whom the first is its creator. */
async function makeRoom(...members) {
  await makeUsers(...members);
  return chatkit.createRoom({ creatorId: members[0], name: "a room", userIds: members });
}

/** Waits until the clock shows another second, the finest step that timestamps have. */
function nextSecond() {
  return sleep(1050 - (Date.now() % 1000));
}

/** The entity without its two times, which are checked here. */
function timeless({ created_at, updated_at, ...rest }) {
  assert.match(created_at, TIMESTAMP);
  assert.match(updated_at, TIMESTAMP);
  return rest;
}

/** The room as `timeless`, with its members in a fixed order: they are a set. */
function timelessRoom(room) {
  return { ...timeless(room), member_user_ids: [...room.member_user_ids].sort() };
}

function idsOf(entities) {
  return entities.map(({ id }) => id);
}

async function refused(promise, status, error) {
  await assert.rejects(promise, (reason) => {
    assert.ok(reason instanceof ErrorResponse, reason);
    assert.deepEqual({ status: reason.status, error: reason.error }, { status, error });
    assert.equal(typeof reason.error_description, "string");
    assert.equal(typeof reason.error_uri, "string");
    return true;
  });
}

module.exports = {
  BASE_URL,
  INSTANCE,
  OPTIONS,
  TIMESTAMP,
  chatkit,
  chatkitWith,
  idsOf,
  makeRoom,
  makeUsers,
  nextSecond,
  refused,
  reset,
  test,
  timeless,
  timelessRoom,
};
