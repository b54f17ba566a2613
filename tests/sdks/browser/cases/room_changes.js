/** Rooms that are changed and deleted: who may, and what everybody concerned is told. */
import {
  Record,
  asServer,
  assert,
  connect,
  connectWithPermission,
  idsOf,
  makeRoom,
  makeRoomOf,
  propertiesOf,
  refused,
  test,
} from "/support.js";

const MISSING_PERMISSION = "missing_permission";

test("updateRoom and deleteRoom: without permission are refused", async () => {
  const roomId = await makeRoomOf("alice");
  const alice = await connect("alice");
  await refused(alice.updateRoom({ roomId, name: "renamed" }), 401, MISSING_PERMISSION);
  await refused(alice.deleteRoom({ roomId }), 401, MISSING_PERMISSION);
});

test("updateRoom and deleteRoom: a role that is given counts at once", async () => {
  const AUTHORIZER = "chatkit_authorizer/v2";
  const roomId = await makeRoomOf("alice");
  const record = new Record();
  const alice = await connect("alice", {
    onRoomUpdated: record.hook("updated", ({ name }) => name),
    onRoomDeleted: record.hook("deleted", ({ id }) => id),
  });
  await refused(alice.updateRoom({ roomId, name: "too early" }), 401, MISSING_PERMISSION);
  await asServer("PUT", "/users/alice/roles", { name: "admin", room_id: roomId }, AUTHORIZER);
  await alice.updateRoom({ roomId, name: "renamed" });
  await record.told("updated");
  await asServer("DELETE", `/users/alice/roles?room_id=${roomId}`, null, AUTHORIZER);
  await refused(alice.deleteRoom({ roomId }), 401, MISSING_PERMISSION);
  await asServer("PUT", "/users/alice/roles", { name: "admin" }, AUTHORIZER);
  await alice.deleteRoom({ roomId });
  await record.told("deleted");
  assert.deepEqual(record.all, [["updated", "renamed"], ["deleted", roomId]]);
});

test("onRoomDeleted: of a room that the server deletes without waiting", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const record = new Record();
  await connect("alice", { onRoomDeleted: record.hook("alice", ({ id }) => id) });
  await connect("bob", { onRoomDeleted: record.hook("bob", ({ id }) => id) });
  const job = await asServer("PUT", `/rooms/${roomId}`, null, "chatkit_scheduler/v1");
  assert.equal(job.status, "in_progress");
  await record.told("alice");
  await record.told("bob");
  assert.sameDeepMembers(record.all, [["alice", roomId], ["bob", roomId]]);
});

test("updateRoom: every member is told", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const record = new Record();
  const told = (name) => ({ onRoomUpdated: record.hook(name, propertiesOf) });
  const alice = await connectWithPermission(told("alice"));
  await connect("bob", told("bob"));
  const changes = [
    { name: "renamed" },
    { private: true },
    { customData: { topic: "food" } },
    { private: false, customData: {}, pushNotificationTitleOverride: "Hello" },
  ];
  for (const change of changes) await alice.updateRoom({ roomId, ...change });
  const usual = { id: roomId, createdByUserId: "alice", unreadCount: 0 };
  const expected = [
    { ...usual, name: "renamed", isPrivate: false, customData: undefined },
    { ...usual, name: "renamed", isPrivate: true, customData: undefined },
    { ...usual, name: "renamed", isPrivate: true, customData: { topic: "food" } },
    { ...usual, name: "renamed", isPrivate: false, customData: {} },
  ];
  assert.deepEqual(await record.times("alice", expected.length), expected);
  assert.deepEqual(await record.times("bob", expected.length), expected);
  assert.equal((await asServer("GET", `/rooms/${roomId}`)).push_notification_title_override, "Hello");
});

test("deleteRoom: every member is told", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const record = new Record();
  const hooks = (name) => ({
    onRoomDeleted: record.hook(`${name}: deleted`, ({ id }) => id),
    onRemovedFromRoom: record.hook(`${name}: removed`, ({ id }) => id),
    onAddedToRoom: record.hook(`${name}: added`, ({ id }) => id),
  });
  const alice = await connectWithPermission(hooks("alice"));
  const bob = await connect("bob", hooks("bob"));
  await bob.subscribeToRoomMultipart({ roomId });
  await alice.deleteRoom({ roomId });
  await record.told("alice: deleted");
  await record.told("bob: deleted");
  const marker = await makeRoom(["alice", "bob"]);
  await record.told("alice: added");
  await record.told("bob: added");
  assert.sameDeepMembers(record.all, [
    ["alice: deleted", roomId],
    ["bob: deleted", roomId],
    ["alice: added", marker],
    ["bob: added", marker],
  ]);
  assert.deepEqual([idsOf(alice.rooms), idsOf(bob.rooms)], [[marker], [marker]]);
  await refused(bob.joinRoom({ roomId }), 404, "room_not_found");
});
