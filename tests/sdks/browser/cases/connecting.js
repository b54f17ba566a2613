/** Connecting and disconnecting: what a user is told about itself at first. */
import {
  TIMESTAMP,
  Record,
  asServer,
  asUser,
  assert,
  connect,
  cutLine,
  makeRoom,
  makeRoomOf,
  makeUsers,
  managerOf,
  openTab,
  refused,
  restoreLine,
  say,
  test,
  textOf,
  tokenProviderOf,
  tokenUrl,
} from "/support.js";

const CURSORS = "chatkit_cursors/v2";

test("connect: an existing user is told about itself, and is online", async () => {
  const user = { id: "alice", name: "Alice", avatar_url: "https://pictures.example/a", custom_data: { a: { b: 1 } } };
  await asServer("POST", "/users", user);
  const alice = await connect("alice");
  const { id, name, avatarURL, customData, rooms, users } = alice;
  assert.deepEqual(
    { id, name, avatar_url: avatarURL, custom_data: customData, rooms },
    { ...user, rooms: [] },
  );
  assert.match(alice.createdAt, TIMESTAMP);
  assert.match(alice.updatedAt, TIMESTAMP);
  assert.deepEqual(
    users.map((known) => [known.id, known.name, known.presence.state]),
    [["alice", "Alice", "online"]],
  );
});

test("connect: a user with nothing but a name has nothing more here", async () => {
  await makeUsers("alice");
  const { avatarURL, customData } = await connect("alice");
  assert.deepEqual([avatarURL, customData], [undefined, undefined]);
});

test("connect: rooms, unread counts and read cursors are there at once", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const quietId = await makeRoom(["bob", "alice"], { private: true, custom_data: { topic: "food" } });
  const first = await say("bob", roomId, "one");
  const last = await say("bob", roomId, "two");
  await asUser("alice", "PUT", `/cursors/0/rooms/${roomId}/users/alice`, { position: first }, CURSORS);
  const alice = await connect("alice");
  const known = Object.fromEntries(alice.rooms.map((room) => [room.id, room]));
  assert.hasAllKeys(known, [roomId, quietId]);
  const { created_at: sentAt } = await asServer("GET", `/rooms/${roomId}/messages/${last}`);
  const { name, isPrivate, createdByUserId, customData, unreadCount, lastMessageAt } = known[roomId];
  assert.deepEqual(
    [name, isPrivate, createdByUserId, customData, unreadCount, lastMessageAt],
    ["a room", false, "alice", undefined, 1, sentAt],
  );
  const quiet = known[quietId];
  assert.deepEqual(
    [quiet.isPrivate, quiet.customData, quiet.unreadCount, quiet.lastMessageAt],
    [true, { topic: "food" }, 0, undefined],
  );
  const cursor = alice.readCursor({ roomId });
  assert.deepEqual([cursor.position, cursor.type, cursor.user.id, cursor.room.id], [first, 0, "alice", roomId]);
  assert.isUndefined(alice.readCursor({ roomId: quietId }));
});

test("connect: nothing is reported that was so before", async () => {
  const roomId = await makeRoomOf("alice");
  await say("alice", roomId, "before");
  const record = new Record();
  const hook = (name) => record.hook(name, (room) => room.id ?? room.position);
  const hooks = ["onAddedToRoom", "onRemovedFromRoom", "onRoomUpdated", "onRoomDeleted", "onNewReadCursor"];
  await connect("alice", Object.fromEntries(hooks.map((name) => [name, hook(name)])));
  const marker = await makeRoom(["alice"]);
  await record.told("onAddedToRoom");
  assert.deepEqual(record.all, [["onAddedToRoom", marker]]);
});

test("connect: an unknown user is refused in so many words", async () => {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    await refused(connect(`nobody ${attempt}`), 404, "user does not exist");
  }
});

test("connect: a refusal of the token provider is reported", async () => {
  await makeUsers("alice");
  const tokenProvider = tokenProviderOf({ url: tokenUrl(window.SETTINGS.clusterUrl, "another-instance") });
  const failed = await managerOf("alice", { tokenProvider }).connect().catch((error) => error);
  assert.equal(failed.statusCode, 404);
});

test("connect: a token of another user is of no use", async () => {
  await makeUsers("alice", "bob");
  const tokenProvider = tokenProviderOf();
  tokenProvider.setUserId = () => {};
  tokenProvider.userId = "bob";
  await refused(managerOf("alice", { tokenProvider }).connect(), 401, "invalid_token_subject");
});

test("connect: given up after the time that was set, which does no harm", async () => {
  await makeUsers("alice");
  await cutLine();
  const failed = await managerOf("alice", { connectionTimeout: 300 }).connect().catch((error) => error);
  assert.match(failed.message, /timed out/);
  await restoreLine();
  assert.equal((await connect("alice")).name, "Name of alice");
});

test("connect: users with unusual ids", async () => {
  const ids = ["ann lee", "a/b", "1+1=2?&#", "Ünïcödé", "e\u0301", "ⓐⓑⓒ", "Жанна", "👩🏽‍🚀", "%41"];
  await makeUsers(...ids);
  const users = await Promise.all(ids.map((id) => connect(id)));
  assert.deepEqual(
    users.map(({ id, name, users: [{ presence }] }) => [id, name, presence.state]),
    ids.map((id) => [id, `Name of ${id}`, "online"]),
  );
});

test("connect: two pages of one user are both told", async () => {
  await makeUsers("alice");
  const record = new Record();
  const alice = await connect("alice", { onAddedToRoom: record.hook("added", ({ id }) => id) });
  const tab = await openTab();
  await tab.run(async () => {
    const { Record, connect } = await import("/support.js");
    window.record = new Record();
    window.alice = await connect("alice", { onAddedToRoom: window.record.hook("added", ({ id }) => id) });
  });
  const { id } = await alice.createRoom({ name: "for both" });
  assert.equal(await record.told("added"), id);
  assert.equal(await tab.run(() => window.record.told("added")), id);
  const other = await tab.run(async () => (await window.alice.createRoom({ name: "once more" })).id);
  assert.deepEqual(await record.times("added", 2), [id, other]);
});

test("connect: from a page with an origin of its own", async () => {
  assert.equal(window.origin, "null");
  await makeUsers("alice");
  const tab = await openTab("page-with-origin");
  const [origin, name] = await tab.run(async () => {
    const { connect } = await import("/support.js");
    return [window.origin, (await connect("alice")).name];
  });
  assert.match(origin, /^http:/);
  assert.equal(name, "Name of alice");
});

test("disconnect: nothing more is told, until connecting again", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const record = new Record();
  const manager = managerOf("alice");
  const join = async (name) => {
    const alice = await manager.connect({ onAddedToRoom: record.hook(`${name}: added`, ({ id }) => id) });
    await alice.subscribeToRoomMultipart({ roomId, hooks: { onMessage: record.hook(name, textOf) } });
  };
  await join("first");
  await say("bob", roomId, "one");
  await record.told("first");
  manager.disconnect();
  await say("bob", roomId, "two");
  const added = await makeRoom(["bob", "alice"]);
  await join("second");
  await say("bob", roomId, "three");
  await record.told("second", (text) => text === "three");
  assert.deepEqual(record.all, [
    ["first", "one"],
    ["second", "one"],
    ["second", "two"],
    ["second", "three"],
  ]);
  assert.include(manager.currentUser.rooms.map(({ id }) => id), added);
});

test("disconnect: of the current user is the same", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const record = new Record();
  const hooks = (name) => ({ onAddedToRoom: record.hook(`${name}: added`, ({ id }) => id) });
  const [alice, bob] = [await connect("alice", hooks("alice")), await connect("bob", hooks("bob"))];
  await alice.subscribeToRoomMultipart({ roomId, hooks: { onMessage: record.hook("alice", textOf) } });
  await bob.subscribeToRoomMultipart({ roomId, hooks: { onMessage: record.hook("bob", textOf) } });
  alice.disconnect();
  const added = await makeRoom(["bob", "alice"]);
  await say("bob", roomId, "one");
  await record.told("bob");
  await record.told("bob: added");
  assert.sameDeepMembers(record.all, [
    ["bob: added", added],
    ["bob", "one"],
  ]);
  // Its calls go on: it has only stopped to listen.
  assert.deepEqual((await alice.fetchMultipartMessages({ roomId })).map(textOf), ["one"]);
});

test("disconnect and connect: what changed meanwhile is there", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const leftId = await makeRoom(["bob", "alice"]);
  const manager = managerOf("alice");
  await manager.connect();
  manager.disconnect();
  await asServer("PUT", "/users/alice", { name: "Alice", custom_data: { mood: "good" } });
  await asServer("PUT", `/rooms/${roomId}`, { name: "renamed", private: true, custom_data: {} });
  await asServer("PUT", `/rooms/${leftId}/users/remove`, { user_ids: ["alice"] });
  const newId = await makeRoom(["bob", "alice"]);
  const alice = await manager.connect();
  assert.deepEqual([alice.name, alice.customData], ["Alice", { mood: "good" }]);
  assert.sameMembers(alice.rooms.map(({ id }) => id), [roomId, newId]);
  const room = alice.rooms.find(({ id }) => id === roomId);
  assert.deepEqual([room.name, room.isPrivate, room.customData], ["renamed", true, {}]);
});
