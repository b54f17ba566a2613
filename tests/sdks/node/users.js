/** Users: create, read, list, update, delete. */
"use strict";

const assert = require("node:assert/strict");
const { chatkit, idsOf, makeUsers, nextSecond, refused, test, timeless } = require("./support");

const NOT_FOUND = "services/chatkit/not_found/user_not_found";
const CUSTOM_DATA = { email: "ham@example.com", age: 42, ratio: 0.5, nested: { list: [1, "two", null] } };
const UNUSUAL_IDS = ["with some spaces", "a/b/c", "one+one", "100%", "#hash?query&x=y", "Ⓐ ё e\u0301", "👩🏽‍🚀"];

test("users: create with every field", async () => {
  const user = await chatkit.createUser({
    id: "ham",
    name: "Hamilton Chapman",
    avatarURL: "https://example.com/ham.jpg",
    customData: CUSTOM_DATA,
  });
  assert.deepEqual(timeless(user), {
    id: "ham",
    name: "Hamilton Chapman",
    avatar_url: "https://example.com/ham.jpg",
    custom_data: CUSTOM_DATA,
  });
  assert.equal(user.created_at, user.updated_at);
});

test("users: create with id and name only leaves the other fields out", async () => {
  const user = await chatkit.createUser({ id: "ham", name: "Hamilton Chapman" });
  assert.deepEqual(timeless(user), { id: "ham", name: "Hamilton Chapman" });
});

test("users: create with a taken id is refused", async () => {
  await makeUsers("ham");
  const again = chatkit.createUser({ id: "ham", name: "Somebody else" });
  await refused(again, 400, "services/chatkit/user_already_exists");
});

test("users: create without a name is refused", async () => {
  const nameless = chatkit.createUser({ id: "ham" });
  await refused(nameless, 422, "services/chatkit/unprocessable_entity/validation_failed");
});

test("users: create a batch, answered in the order sent", async () => {
  const users = await chatkit.createUsers({
    users: [
      { id: "zoe", name: "Zoe", customData: CUSTOM_DATA },
      { id: "ann", name: "Ann", avatarURL: "https://example.com/ann.jpg" },
      { id: "may", name: "May" },
    ],
  });
  assert.deepEqual(users.map(timeless), [
    { id: "zoe", name: "Zoe", custom_data: CUSTOM_DATA },
    { id: "ann", name: "Ann", avatar_url: "https://example.com/ann.jpg" },
    { id: "may", name: "May" },
  ]);
});

test("users: get answers what create answered", async () => {
  const created = await chatkit.createUser({ id: "ham", name: "Ham", customData: CUSTOM_DATA });
  assert.deepEqual(await chatkit.getUser({ id: "ham" }), created);
});

test("users: ids of any characters come back unchanged", async () => {
  await makeUsers(...UNUSUAL_IDS);
  for (const id of UNUSUAL_IDS) assert.equal((await chatkit.getUser({ id })).id, id);
  const found = await chatkit.getUsersById({ userIds: UNUSUAL_IDS });
  assert.deepEqual(idsOf(found).sort(), [...UNUSUAL_IDS].sort());
});

test("users: get of an unknown id is 404", async () => {
  await refused(chatkit.getUser({ id: "nobody" }), 404, NOT_FOUND);
});

test("users: list in the order of creation, from a time and up to a limit", async () => {
  await makeUsers("zoe", "ann");
  await nextSecond();
  await makeUsers("may", "bob");
  const everybody = await chatkit.getUsers();
  assert.deepEqual(idsOf(everybody), ["zoe", "ann", "may", "bob"]);
  assert.deepEqual(idsOf(await chatkit.getUsers({ limit: 3 })), ["zoe", "ann", "may"]);
  const since = (user) => chatkit.getUsers({ fromTimestamp: user.created_at });
  assert.deepEqual(idsOf(await since(everybody[0])), ["zoe", "ann", "may", "bob"]);
  assert.deepEqual(idsOf(await since(everybody[2])), ["may", "bob"]);
});

test("users: by ids answers exactly those that exist", async () => {
  await makeUsers("zoe", "ann", "may");
  const found = await chatkit.getUsersById({ userIds: ["ann", "nobody", "zoe"] });
  assert.deepEqual(idsOf(found).sort(), ["ann", "zoe"]);
  assert.deepEqual(idsOf(await chatkit.getUsersById({ userIds: ["may"] })), ["may"]);
});

test("users: update replaces what is given", async () => {
  await chatkit.createUser({ id: "ham", name: "Ham", avatarURL: "https://example.com/1", customData: CUSTOM_DATA });
  const change = { name: "Hamilton", avatarURL: "https://example.com/2", customData: { only: "this" } };
  assert.equal(await chatkit.updateUser({ id: "ham", ...change }), undefined);
  assert.deepEqual(timeless(await chatkit.getUser({ id: "ham" })), {
    id: "ham",
    name: "Hamilton",
    avatar_url: "https://example.com/2",
    custom_data: { only: "this" },
  });
});

test("users: update keeps what is not given", async () => {
  const options = { id: "ham", name: "Ham", avatarURL: "https://example.com/1", customData: CUSTOM_DATA };
  const created = await chatkit.createUser(options);
  await chatkit.updateUser({ id: "ham" });
  assert.deepEqual(timeless(await chatkit.getUser({ id: "ham" })), timeless(created));
  await chatkit.updateUser({ id: "ham", name: "Hamilton" });
  assert.deepEqual(timeless(await chatkit.getUser({ id: "ham" })), { ...timeless(created), name: "Hamilton" });
});

test("users: update of an unknown id is 404", async () => {
  await refused(chatkit.updateUser({ id: "nobody", name: "Anybody" }), 404, NOT_FOUND);
});

test("users: update and delete with ids that the SDK leaves unencoded", async () => {
  for (const id of ["with spaces, #hash & 'quotes'", "one+one", "100%", "Zoë"]) {
    await makeUsers(id);
    await chatkit.updateUser({ id, name: "Renamed" });
    assert.equal((await chatkit.getUser({ id })).name, "Renamed");
    await chatkit.deleteUser({ userId: id });
    await refused(chatkit.getUser({ id }), 404, NOT_FOUND);
  }
});

test("users: delete, then 404 and off the list", async () => {
  await makeUsers("ham", "eve");
  assert.equal(await chatkit.deleteUser({ userId: "ham" }), undefined);
  await refused(chatkit.getUser({ id: "ham" }), 404, NOT_FOUND);
  await refused(chatkit.deleteUser({ userId: "ham" }), 404, NOT_FOUND);
  assert.deepEqual(idsOf(await chatkit.getUsers()), ["eve"]);
});
