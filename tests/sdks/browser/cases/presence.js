/** Who is online, and who is typing. */
import { Record, assert, connect, makeRoomOf, managerOf, openTab, test } from "/support.js";

/** Connects a user who is in a room, and notes how the presence of the other one changes. */
async function watch(userId, otherId, roomId, record) {
  const hooks = (name) => {
    const note = record.hook(name, (states) => states);
    return { onPresenceChanged: (states, user) => user.id === otherId && note(states) };
  };
  const user = await connect(userId, hooks("presence"));
  await user.subscribeToRoomMultipart({ roomId, hooks: hooks("room: presence") });
  return user;
}

/** Safely less than the time after which the server takes a user for gone. */
const SHORT_MS = 2000;

const OFFLINE_FIRST = { current: "offline", previous: "unknown" };
const ONLINE_FIRST = { current: "online", previous: "unknown" };
const CAME = { current: "online", previous: "offline" };
const WENT = { current: "offline", previous: "online" };

test("onPresenceChanged: offline, online when connecting, offline after disconnecting", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const record = new Record();
  const bob = await watch("bob", "alice", roomId, record);
  await record.times("presence", 1);
  const manager = managerOf("alice");
  await manager.connect();
  await record.times("presence", 2);
  assert.equal(bob.users.find(({ id }) => id === "alice").presence.state, "online");
  manager.disconnect();
  await record.times("presence", 3);
  assert.deepEqual(record.of("presence"), [OFFLINE_FIRST, CAME, WENT]);
  assert.deepEqual((await record.times("room: presence", 2)).slice(-2), [CAME, WENT]);
  assert.equal(bob.users.find(({ id }) => id === "alice").presence.state, "offline");
});

test("onPresenceChanged: a user stays online until its last page is closed", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const tab = await openTab();
  await tab.run(async () => {
    const { connect } = await import("/support.js");
    await connect("alice");
  });
  const record = new Record();
  await watch("bob", "alice", roomId, record);
  await record.told("presence");
  const manager = managerOf("alice");
  await manager.connect();
  manager.disconnect();
  await manager.connect();
  await tab.close();
  manager.disconnect();
  await record.times("presence", 2);
  assert.deepEqual(record.of("presence"), [ONLINE_FIRST, WENT]);
});

test("onPresenceChanged: connecting again at once is not noticed", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const record = new Record();
  const manager = managerOf("alice");
  await manager.connect();
  await watch("bob", "alice", roomId, record);
  await record.told("presence");
  const left = performance.now();
  manager.disconnect();
  await manager.connect();
  if (performance.now() - left > SHORT_MS) return; // on so slow a machine it may be noticed
  manager.disconnect();
  await record.times("presence", 2);
  assert.deepEqual(record.of("presence"), [ONLINE_FIRST, WENT]);
});

/** A room of alice and bob, who notes who types. */
async function makeTypists(method) {
  const roomId = await makeRoomOf("alice", "bob");
  const record = new Record();
  const told = (name) => ({
    onUserStartedTyping: record.hook(`${name}: started`, (room, user) => [room.id, user.id]),
    onUserStoppedTyping: record.hook(`${name}: stopped`, (room, user) => [room.id, user.id]),
  });
  const bob = await connect("bob", told("bob"));
  const hooks = {
    onUserStartedTyping: record.hook("room: started", ({ id }) => id),
    onUserStoppedTyping: record.hook("room: stopped", ({ id }) => id),
  };
  await bob[method]({ roomId, hooks });
  const manager = managerOf("alice");
  const alice = await manager.connect(told("alice"));
  await alice[method]({ roomId });
  return { roomId, record, manager, alice };
}

async function checkTyping(method) {
  const { roomId, record, alice } = await makeTypists(method);
  await alice.isTypingIn({ roomId });
  await record.told("room: stopped");
  assert.deepEqual(record.all, [
    ["bob: started", [roomId, "alice"]],
    ["room: started", "alice"],
    ["bob: stopped", [roomId, "alice"]],
    ["room: stopped", "alice"],
  ]);
}

test("isTypingIn: the others in the room are told, and that it is over", async () => {
  await checkTyping("subscribeToRoomMultipart");
});

test("isTypingIn: those who read text are told as well", async () => {
  await checkTyping("subscribeToRoom");
});

test("isTypingIn: told even if the typist leaves at once", async () => {
  const { roomId, record, manager, alice } = await makeTypists("subscribeToRoomMultipart");
  await alice.isTypingIn({ roomId });
  manager.disconnect();
  assert.equal(await record.told("room: started"), "alice");
});
