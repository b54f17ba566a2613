/** Read cursors, and the unread counts that follow from them. */
"use strict";

const assert = require("node:assert/strict");
const { TIMESTAMP, chatkit, makeRoom, makeUsers, refused, test } = require("./support");

/** `user room position` of each cursor, sorted: the lists have no order of their own. */
function summary(cursors) {
  return cursors.map(({ user_id, room_id, position }) => `${user_id} ${room_id} ${position}`).sort();
}

async function makeTwoRooms() {
  await makeUsers("alice", "bob");
  for (const id of ["one", "two"]) {
    await chatkit.createRoom({ id, creatorId: "alice", name: id, userIds: ["bob"] });
  }
  await chatkit.setReadCursor({ userId: "alice", roomId: "one", position: 11 });
  await chatkit.setReadCursor({ userId: "alice", roomId: "two", position: 12 });
  await chatkit.setReadCursor({ userId: "bob", roomId: "one", position: 21 });
}

test("cursors: set and get", async () => {
  const { id: roomId } = await makeRoom("alice");
  const where = { userId: "alice", roomId };
  assert.equal(await chatkit.setReadCursor({ ...where, position: 42 }), undefined);
  const { updated_at, ...cursor } = await chatkit.getReadCursor(where);
  assert.deepEqual(cursor, { cursor_type: 0, room_id: roomId, user_id: "alice", position: 42 });
  assert.match(updated_at, TIMESTAMP);
  await chatkit.setReadCursor({ ...where, position: 7 });
  assert.equal((await chatkit.getReadCursor(where)).position, 7);
});

test("cursors: set answers 201 with an empty object", async () => {
  const { id } = await makeRoom("alice");
  const path = `/cursors/0/rooms/${id}/users/alice`;
  const answer = await chatkit.cursorsRequest({ method: "PUT", path, body: { position: 42 } });
  assert.equal(answer.statusCode, 201);
  assert.equal(answer.body, "{}");
});

test("cursors: get is null where none was set", async () => {
  const { id: roomId } = await makeRoom("alice");
  assert.equal(await chatkit.getReadCursor({ userId: "alice", roomId }), null);
});

test("cursors: set in an unknown room is 404", async () => {
  await makeUsers("alice");
  const setting = chatkit.setReadCursor({ userId: "alice", roomId: "nowhere", position: 1 });
  await refused(setting, 404, "services/chatkit/not_found/room_not_found");
});

test("cursors: all of a user", async () => {
  await makeTwoRooms();
  const cursors = await chatkit.getReadCursorsForUser({ userId: "alice" });
  assert.deepEqual(summary(cursors), ["alice one 11", "alice two 12"]);
});

test("cursors: all of a room", async () => {
  await makeTwoRooms();
  const cursors = await chatkit.getReadCursorsForRoom({ roomId: "one" });
  assert.deepEqual(summary(cursors), ["alice one 11", "bob one 21"]);
  await chatkit.createRoom({ id: "unread", creatorId: "alice", name: "unread" });
  assert.deepEqual(await chatkit.getReadCursorsForRoom({ roomId: "unread" }), []);
});

test("cursors: unread counts go 0, 1, 0, 1, and to 2 for who never read", async () => {
  const { id: roomId } = await makeRoom("alice", "bob");
  const unread = async (userId) => (await chatkit.getUserRooms({ userId }))[0].unread_count;
  const send = () => chatkit.sendSimpleMessage({ userId: "alice", roomId, text: "hi" });
  assert.equal(await unread("alice"), 0);
  const { message_id: position } = await send();
  assert.equal(await unread("alice"), 1);
  await chatkit.setReadCursor({ userId: "alice", roomId, position });
  assert.equal(await unread("alice"), 0);
  await send();
  assert.equal(await unread("alice"), 1);
  assert.equal(await unread("bob"), 2);
});
