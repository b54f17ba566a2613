/** The line breaks under the SDK's socket: what happened meanwhile is told afterwards, once and in order. */
import {
  Record,
  asServer,
  asUser,
  assert,
  connect,
  cutLine,
  makeRoom,
  makeRoomOf,
  makeUsers,
  restoreLine,
  say,
  test,
  textOf,
} from "/support.js";

const CURSORS = "chatkit_cursors/v2";

/** Cuts the SDK's line for as long as `task` takes. */
async function whileCut(task) {
  await cutLine();
  await task();
  await restoreLine();
}

test("resume: messages sent meanwhile come once and in order, in both dialects", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  await say("bob", roomId, "before");
  const [alice, other] = await Promise.all([connect("alice"), connect("alice")]);
  const record = new Record();
  const hooks = (name) => ({ onMessage: record.hook(name, textOf) });
  await alice.subscribeToRoomMultipart({ roomId, hooks: hooks("parts") });
  await other.subscribeToRoom({ roomId, hooks: hooks("text") });
  const expected = ["before"];
  const send = async (text) => {
    await say("bob", roomId, text);
    expected.push(text);
  };
  for (const round of ["first", "second"]) {
    await send(`${round}: live`);
    await record.told("parts", (text) => text === `${round}: live`);
    await record.told("text", (text) => text === `${round}: live`);
    await whileCut(async () => {
      for (const count of ["one", "two", "three"]) await send(`${round}: ${count}`);
    });
    await send(`${round}: last`);
    await record.told("parts", (text) => text === `${round}: last`);
    await record.told("text", (text) => text === `${round}: last`);
  }
  assert.deepEqual(record.of("parts"), expected);
  assert.deepEqual(record.of("text"), expected);
});

test("resume: of a room that was empty, nothing is missed", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const alice = await connect("alice");
  const record = new Record();
  await alice.subscribeToRoomMultipart({ roomId, hooks: { onMessage: record.hook("message", textOf) } });
  await whileCut(() => say("bob", roomId, "one"));
  await say("bob", roomId, "last");
  await record.told("message", (text) => text === "last");
  assert.deepEqual(record.of("message"), ["one", "last"]);
});

test("resume: what was sent after typing and a deletion is not lost", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const deleted = await say("bob", roomId, "one");
  const alice = await connect("alice", {});
  const record = new Record();
  const hooks = {
    onMessage: record.hook("message", textOf),
    onMessageDeleted: record.hook("deleted", (id) => id),
    onUserStartedTyping: record.hook("typing"),
  };
  await alice.subscribeToRoomMultipart({ roomId, hooks });
  await say("bob", roomId, "two");
  await asServer("DELETE", `/rooms/${roomId}/messages/${deleted}`);
  await record.told("deleted");
  await asUser("bob", "POST", `/rooms/${roomId}/typing_indicators`);
  await record.told("typing");
  await whileCut(() => say("bob", roomId, "three"));
  await record.told("message", (text) => text === "three");
  assert.deepEqual(record.of("message"), ["one", "two", "three"]);
});

test("resume: rooms, unread counts and read cursors are brought up to date", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const leftId = await makeRoom(["bob", "alice"]);
  const record = new Record();
  const alice = await connect("alice", {
    onAddedToRoom: record.hook("added", ({ id }) => id),
    onRemovedFromRoom: record.hook("removed", ({ id }) => id),
    onRoomUpdated: record.hook("updated", ({ id, name, unreadCount }) => [id, name, unreadCount]),
    onNewReadCursor: record.hook("cursor", ({ position }) => position),
  });
  let newId;
  await whileCut(async () => {
    newId = await makeRoom(["bob", "alice"]);
    await asServer("PUT", `/rooms/${leftId}/users/remove`, { user_ids: ["alice"] });
    await asServer("PUT", `/rooms/${roomId}`, { name: "renamed" });
    const position = await say("bob", roomId, "read");
    await say("bob", roomId, "not read");
    await asUser("alice", "PUT", `/cursors/0/rooms/${roomId}/users/alice`, { position }, CURSORS);
  });
  assert.equal(await record.told("added"), newId);
  assert.equal(await record.told("removed"), leftId);
  assert.deepEqual(await record.told("updated"), [roomId, "renamed", 1]);
  assert.equal(alice.readCursor({ roomId }).position, await record.told("cursor"));
  const nextId = await makeRoom(["bob", "alice"]);
  await record.told("added", (id) => id === nextId);
  assert.deepEqual(record.of("added"), [newId, nextId]);
});

test("resume: who came and went, and cursors of others", async () => {
  await makeUsers("alice", "bob", "carol");
  const roomId = await makeRoom(["alice", "bob"]);
  const alice = await connect("alice");
  const record = new Record();
  const hooks = {
    onUserJoined: record.hook("joined", ({ id }) => id),
    onUserLeft: record.hook("left", ({ id }) => id),
    onNewReadCursor: record.hook("cursor", ({ userId, position }) => [userId, position]),
  };
  const room = await alice.subscribeToRoomMultipart({ roomId, hooks });
  await whileCut(async () => {
    await asUser("carol", "POST", `/users/carol/rooms/${roomId}/join`);
    await asUser("carol", "PUT", `/cursors/0/rooms/${roomId}/users/carol`, { position: 42 }, CURSORS);
    await asUser("bob", "POST", `/users/bob/rooms/${roomId}/leave`);
  });
  assert.equal(await record.told("joined"), "carol");
  assert.equal(await record.told("left"), "bob");
  assert.deepEqual(await record.told("cursor"), ["carol", 42]);
  await asUser("bob", "POST", `/users/bob/rooms/${roomId}/join`);
  await record.told("joined", (id) => id === "bob");
  assert.deepEqual(record.of("joined"), ["carol", "bob"]);
  assert.sameMembers(room.userIds, ["alice", "bob", "carol"]);
});

test("resume: presence and typing go on", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const record = new Record();
  const bobs = (states, { id }) => id === "bob" && states.current;
  const alice = await connect("alice", { onPresenceChanged: record.hook("presence", bobs) });
  const onUserStartedTyping = record.hook("typing", ({ id }) => id);
  const onMessage = record.hook("message", textOf);
  await alice.subscribeToRoomMultipart({ roomId, hooks: { onMessage, onUserStartedTyping } });
  await record.told("presence", (state) => state === "offline");
  await whileCut(() => say("bob", roomId, "we are back when you read this"));
  await record.told("message");
  const bob = await connect("bob");
  await record.told("presence", (state) => state === "online");
  await bob.isTypingIn({ roomId });
  assert.equal(await record.told("typing"), "bob");
});
