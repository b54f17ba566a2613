/** An older SDK, 1.3.0: it speaks version 4 of the service, and asks for some things in a way of its own. */
"use strict";

const assert = require("node:assert/strict");
const { default: OlderChatkit } = require("chatkit-server-v4");
const { OPTIONS, chatkit, idsOf, makeRoom, makeUsers, test, timeless } = require("./support");

const older = new OlderChatkit(OPTIONS);
const TEXT = { type: "text/plain", content: "hello" };

/** As `refused`, for a class of errors that this SDK has twice. */
async function isNotFound(promise, what) {
  await assert.rejects(promise, { status: 404, error: `services/chatkit/not_found/${what}_not_found` });
}

test("older: users and rooms, with unread counts", async () => {
  await older.createUsers({ users: ["alice", "bob"].map((id) => ({ id, name: `Name of ${id}` })) });
  const room = await older.createRoom({ creatorId: "alice", name: "my room", userIds: ["bob"], customData: { a: 1 } });
  assert.deepEqual(timeless(room), timeless(await chatkit.getRoom({ roomId: room.id })));
  assert.deepEqual(await older.getUserRooms({ userId: "bob" }), [{ ...room, unread_count: 0 }]);
  await older.sendSimpleMessage({ roomId: room.id, userId: "alice", text: "hello" });
  assert.equal((await older.getUserRooms({ userId: "bob" }))[0].unread_count, 1);
  await older.updateRoom({ id: room.id, name: "renamed", isPrivate: true });
  assert.deepEqual((await older.getRooms({ includePrivate: true })).map(({ name }) => name), ["renamed"]);
  await older.deleteRoom({ id: room.id });
  await isNotFound(older.getRoom({ roomId: room.id }), "room");
});

test("older: parts, and the deletion of a message without its room", async () => {
  const { id: roomId } = await makeRoom("alice");
  const file = { type: "image/png", file: Buffer.from("picture"), name: "a.png", customData: { b: 2 } };
  const { message_id: id } = await older.sendMultipartMessage({ roomId, userId: "alice", parts: [TEXT, file] });
  const [{ parts }] = await older.fetchMultipartMessages({ roomId });
  const { name, size, custom_data, download_url } = parts[1].attachment;
  assert.deepEqual([parts[0], name, size, custom_data], [TEXT, "a.png", 7, { b: 2 }]);
  assert.equal(await (await fetch(download_url)).text(), "picture");
  assert.deepEqual((await older.getRoomMessages({ roomId })).map(({ text }) => text), ["hello"]);
  const { message_id: kept } = await older.sendMessage({ roomId, userId: "alice", text: "kept" });
  assert.equal(await older.deleteMessage({ id }), undefined);
  await isNotFound(older.deleteMessage({ id }), "message");
  assert.deepEqual(idsOf(await chatkit.fetchMultipartMessages({ roomId })), [kept]);
});

test("older: cursors, roles and jobs", async () => {
  const { id: roomId } = await makeRoom("alice");
  await older.setReadCursor({ userId: "alice", roomId, position: 42 });
  const cursor = await chatkit.getReadCursor({ userId: "alice", roomId });
  assert.deepEqual([cursor.position, ...(await older.getReadCursorsForRoom({ roomId }))], [42, cursor]);
  await older.createRoomRole({ name: "mods", permissions: ["room:update"] });
  await older.assignRoomRoleToUser({ userId: "alice", name: "mods", roomId });
  assert.deepEqual(await older.getUserRoles({ userId: "alice" }), await chatkit.getUserRoles({ userId: "alice" }));
  await makeUsers("bob");
  const job = await older.asyncDeleteUser({ userId: "bob" });
  assert.equal((await older.getDeleteStatus({ jobId: job.id })).id, job.id);
  await isNotFound(older.getUser({ id: "bob" }), "user");
});
