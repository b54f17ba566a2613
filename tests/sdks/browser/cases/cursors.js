/** Read cursors: one's own, on every device, and those of the others in a room. */
import { Record, asServer, asUser, assert, connect, makeRoom, makeRoomOf, say, test } from "/support.js";

const CURSORS = "chatkit_cursors/v2";

/** What the server keeps as the cursor of this user. */
function cursorAt(userId, roomId) {
  return asServer("GET", `/cursors/0/rooms/${roomId}/users/${userId}`, null, CURSORS);
}

function cursorOf({ position, type, user, room }) {
  return [position, type, user.id, room.id];
}

test("setReadCursor: others in the room are told, and can read it", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const position = await say("bob", roomId, "read this");
  const [alice, bob] = await Promise.all([connect("alice"), connect("bob")]);
  const record = new Record();
  const hooks = (name) => ({ onNewReadCursor: record.hook(name, cursorOf) });
  await bob.subscribeToRoomMultipart({ roomId, hooks: hooks("bob") });
  await alice.subscribeToRoomMultipart({ roomId, hooks: hooks("alice") });
  assert.isUndefined(bob.readCursor({ roomId, userId: "alice" }));
  await alice.setReadCursor({ roomId, position });
  await record.told("bob");
  await bob.setReadCursor({ roomId, position: position - 1 });
  await record.told("alice");
  assert.deepEqual(record.all, [
    ["bob", [position, 0, "alice", roomId]],
    ["alice", [position - 1, 0, "bob", roomId]],
  ]);
  assert.equal(bob.readCursor({ roomId, userId: "alice" }).position, position);
  assert.throws(() => bob.readCursor({ roomId: "elsewhere", userId: "alice" }), "Must be subscribed");
});

test("setReadCursor: several in a row become one", async () => {
  const roomId = await makeRoomOf("alice");
  const record = new Record();
  const alice = await connect("alice", { onNewReadCursor: record.hook("cursor", cursorOf) });
  await Promise.all([10, 30, 20].map((position) => alice.setReadCursor({ roomId, position })));
  await record.told("cursor");
  await alice.setReadCursor({ roomId, position: 5 });
  assert.deepEqual(
    (await record.times("cursor", 2)).map(([position]) => position),
    [30, 5],
  );
  assert.equal((await cursorAt("alice", roomId)).position, 5);
});

test("setReadCursor: one's other devices are told, and nothing is unread", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const position = await say("bob", roomId, "read this");
  const record = new Record();
  const alice = await connect("alice");
  const other = await connect("alice", {
    onNewReadCursor: record.hook("cursor", cursorOf),
    onRoomUpdated: record.hook("room", ({ unreadCount, lastMessageAt }) => [unreadCount, typeof lastMessageAt]),
    onAddedToRoom: record.hook("added"),
  });
  assert.deepEqual(other.rooms.map(({ unreadCount }) => unreadCount), [1]);
  await alice.setReadCursor({ roomId, position });
  await record.told("cursor");
  await say("bob", roomId, "and this");
  await makeRoom(["alice"]);
  await record.told("added");
  assert.deepEqual(record.of("cursor"), [[position, 0, "alice", roomId]]);
  assert.deepEqual(record.of("room"), [
    [0, "string"],
    [1, "string"],
  ]);
  assert.equal(other.readCursor({ roomId }).position, position);
});

test("readCursor: all that the server keeps", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const record = new Record();
  const [alice, bob] = await Promise.all([connect("alice"), connect("bob")]);
  await bob.subscribeToRoomMultipart({ roomId, hooks: { onNewReadCursor: record.hook("cursor") } });
  await alice.setReadCursor({ roomId, position: 42 });
  await record.told("cursor");
  const kept = await cursorAt("alice", roomId);
  const { position, type, userId, roomId: where, updatedAt, user } = bob.readCursor({ roomId, userId: "alice" });
  assert.deepEqual(
    { position, cursor_type: type, user_id: userId, room_id: where, updated_at: updatedAt },
    { ...kept, position: 42 },
  );
  assert.equal(user.name, "Name of alice");
});

test("readCursor: set before subscribing, it is there afterwards and nothing is reported", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  await asUser("alice", "PUT", `/cursors/0/rooms/${roomId}/users/alice`, { position: 42 }, CURSORS);
  const bob = await connect("bob");
  const record = new Record();
  const onNewReadCursor = record.hook("cursor", cursorOf);
  await bob.subscribeToRoomMultipart({ roomId, hooks: { onNewReadCursor } });
  assert.equal(bob.readCursor({ roomId, userId: "alice" }).position, 42);
  await asUser("alice", "PUT", `/cursors/0/rooms/${roomId}/users/alice`, { position: 43 }, CURSORS);
  await record.told("cursor");
  assert.deepEqual(record.of("cursor"), [[43, 0, "alice", roomId]]);
});
