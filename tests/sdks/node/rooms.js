/** Rooms: create, read, list, update, delete, and who is in them. */
"use strict";

const assert = require("node:assert/strict");
const {
  TIMESTAMP,
  chatkit,
  idsOf,
  makeRoom,
  makeUsers,
  refused,
  test,
  timeless,
  timelessRoom,
} = require("./support");

const NOT_FOUND = "services/chatkit/not_found/room_not_found";
const USERS_NOT_FOUND = "services/chatkit/bad_request/users_not_found";
const CUSTOM_DATA = { topic: "food", limits: { members: 12 } };

test("rooms: create with a generated id", async () => {
  await makeUsers("alice");
  const room = await chatkit.createRoom({ creatorId: "alice", name: "my room" });
  assert.deepEqual(timeless(room), {
    id: room.id,
    name: "my room",
    created_by_id: "alice",
    private: false,
    member_user_ids: ["alice"],
  });
  assert.equal(typeof room.id, "string");
  assert.equal(room.id, room.id.trim());
  assert.doesNotMatch(room.id, /^\d*$/);
});

test("rooms: generated ids sort in the order of creation", async () => {
  await makeUsers("alice");
  const ids = [];
  for (const name of ["one", "two", "three", "four"]) {
    ids.push((await chatkit.createRoom({ creatorId: "alice", name })).id);
  }
  assert.deepEqual(ids, [...ids].sort());
});

test("rooms: create with an id of one's own", async () => {
  await makeUsers("alice");
  for (const id of ["plain", "3f2b8c1e-9d4a-4f6b-8a7c-0e1d2f3a4b5c", "#lobby", "a/b + c", "🏠"]) {
    const room = await chatkit.createRoom({ id, creatorId: "alice", name: "my room" });
    assert.equal(room.id, id);
    assert.deepEqual(await chatkit.getRoom({ roomId: id }), room);
  }
});

test("rooms: create with a taken id is refused", async () => {
  await makeUsers("alice");
  const options = { id: "lobby", creatorId: "alice", name: "my room" };
  await chatkit.createRoom(options);
  await refused(chatkit.createRoom(options), 400, "services/chatkit/bad_request/duplicate_room_id");
});

test("rooms: create private, with members, title override and custom data", async () => {
  await makeUsers("alice", "bob", "carol");
  const room = await chatkit.createRoom({
    creatorId: "alice",
    name: "my room",
    isPrivate: true,
    userIds: ["carol", "alice", "bob", "bob"],
    pushNotificationTitleOverride: "Hello",
    customData: CUSTOM_DATA,
  });
  assert.deepEqual(timelessRoom(room), {
    id: room.id,
    name: "my room",
    created_by_id: "alice",
    private: true,
    member_user_ids: ["alice", "bob", "carol"],
    push_notification_title_override: "Hello",
    custom_data: CUSTOM_DATA,
  });
});

test("rooms: create with an unknown creator or member makes nothing", async () => {
  await makeUsers("alice");
  const byNobody = chatkit.createRoom({ creatorId: "nobody", name: "my room" });
  await refused(byNobody, 400, USERS_NOT_FOUND);
  const withNobody = chatkit.createRoom({ creatorId: "alice", name: "my room", userIds: ["nobody"] });
  await refused(withNobody, 400, USERS_NOT_FOUND);
  assert.deepEqual(await chatkit.getRooms({ includePrivate: true }), []);
});

test("rooms: get answers what create answered", async () => {
  const room = await makeRoom("alice", "bob");
  const read = await chatkit.getRoom({ roomId: room.id });
  assert.deepEqual(timelessRoom(read), timelessRoom(room));
});

test("rooms: get of an unknown id is 404", async () => {
  await refused(chatkit.getRoom({ roomId: "nowhere" }), 404, NOT_FOUND);
});

test("rooms: list public ones only, unless private ones are asked for", async () => {
  await makeUsers("alice");
  for (const [id, isPrivate] of [["b", false], ["a", false], ["c", true]]) {
    await chatkit.createRoom({ id, creatorId: "alice", name: `room ${id}`, isPrivate });
  }
  const rooms = await chatkit.getRooms();
  assert.deepEqual(rooms.map(timeless), [
    { id: "a", name: "room a", created_by_id: "alice", private: false },
    { id: "b", name: "room b", created_by_id: "alice", private: false },
  ]);
  assert.deepEqual(idsOf(await chatkit.getRooms({ includePrivate: true })), ["a", "b", "c"]);
});

test("rooms: list from an id on, without that id", async () => {
  await makeUsers("alice");
  const first = await chatkit.createRoom({ creatorId: "alice", name: "first" });
  const second = await chatkit.createRoom({ creatorId: "alice", name: "second" });
  assert.deepEqual(idsOf(await chatkit.getRooms({ fromId: first.id })), [second.id]);
  assert.deepEqual(await chatkit.getRooms({ fromId: second.id }), []);
});

test("rooms: update replaces what is given", async () => {
  const { id } = await makeRoom("alice");
  const change = {
    name: "renamed",
    isPrivate: true,
    pushNotificationTitleOverride: "Hello",
    customData: CUSTOM_DATA,
  };
  assert.equal(await chatkit.updateRoom({ id, ...change }), undefined);
  assert.deepEqual(timeless(await chatkit.getRoom({ roomId: id })), {
    id,
    name: "renamed",
    created_by_id: "alice",
    private: true,
    member_user_ids: ["alice"],
    push_notification_title_override: "Hello",
    custom_data: CUSTOM_DATA,
  });
});

test("rooms: update keeps what is not given", async () => {
  await makeUsers("alice");
  const { id, ...created } = await chatkit.createRoom({
    creatorId: "alice",
    name: "my room",
    isPrivate: true,
    pushNotificationTitleOverride: "Hello",
    customData: CUSTOM_DATA,
  });
  const read = async () => timeless(await chatkit.getRoom({ roomId: id }));
  await chatkit.updateRoom({ id });
  assert.deepEqual(await read(), { id, ...timeless(created) });
  // This SDK sends no null: the override stays.
  await chatkit.updateRoom({ id, pushNotificationTitleOverride: null });
  assert.deepEqual(await read(), { id, ...timeless(created) });
  await chatkit.updateRoom({ id, isPrivate: false });
  assert.deepEqual(await read(), { id, ...timeless(created), private: false });
});

test("rooms: a raw update with null clears the title override", async () => {
  await makeUsers("alice");
  const options = { id: "lobby", creatorId: "alice", name: "my room", pushNotificationTitleOverride: "Hello" };
  await chatkit.createRoom(options);
  const answer = await chatkit.apiRequest({
    method: "PUT",
    path: "/rooms/lobby",
    body: { push_notification_title_override: null },
  });
  assert.equal(answer.statusCode, 204);
  assert.equal(answer.body, "");
  assert.ok(!("push_notification_title_override" in (await chatkit.getRoom({ roomId: "lobby" }))));
});

test("rooms: update and delete with an id that the SDK leaves unencoded", async () => {
  const id = "#the big room?";
  await makeUsers("alice");
  await chatkit.createRoom({ id, creatorId: "alice", name: "my room" });
  await chatkit.updateRoom({ id, name: "renamed" });
  assert.equal((await chatkit.getRoom({ roomId: id })).name, "renamed");
  await chatkit.deleteRoom({ id });
  await refused(chatkit.getRoom({ roomId: id }), 404, NOT_FOUND);
});

test("rooms: update of an unknown id is 404", async () => {
  await refused(chatkit.updateRoom({ id: "nowhere", name: "renamed" }), 404, NOT_FOUND);
});

test("rooms: a user's rooms are those it is in, with unread count", async () => {
  await makeUsers("ann lee", "bob");
  const mine = await chatkit.createRoom({ creatorId: "ann lee", name: "mine", isPrivate: true });
  await chatkit.createRoom({ creatorId: "bob", name: "not mine" });
  const rooms = await chatkit.getUserRooms({ userId: "ann lee" });
  assert.deepEqual(rooms, [{ ...mine, unread_count: 0 }]);
  await refused(chatkit.getUserRooms({ userId: "nobody" }), 404, "services/chatkit/not_found/user_not_found");
});

test("rooms: a user's rooms carry the time of the newest message", async () => {
  const room = await makeRoom("alice");
  await chatkit.sendSimpleMessage({ userId: "alice", roomId: room.id, text: "hi" });
  const [message] = await chatkit.fetchMultipartMessages({ roomId: room.id });
  const [mine] = await chatkit.getUserRooms({ userId: "alice" });
  assert.match(mine.last_message_at, TIMESTAMP);
  assert.equal(mine.last_message_at, message.created_at);
});

test("rooms: joinable rooms are the public ones a user is not in", async () => {
  await makeUsers("alice", "bob");
  const open = await chatkit.createRoom({ creatorId: "bob", name: "open" });
  await chatkit.createRoom({ creatorId: "bob", name: "closed", isPrivate: true });
  await chatkit.createRoom({ creatorId: "alice", name: "joined already" });
  const rooms = await chatkit.getUserJoinableRooms({ userId: "alice" });
  assert.deepEqual(idsOf(rooms), [open.id]);
  assert.deepEqual(rooms[0].member_user_ids, ["bob"]);
});

test("rooms: add users, twice without harm", async () => {
  const room = await makeRoom("alice");
  await makeUsers("bob", "carol");
  const add = () => chatkit.addUsersToRoom({ roomId: room.id, userIds: ["bob", "carol"] });
  assert.equal(await add(), undefined);
  await add();
  const { member_user_ids } = timelessRoom(await chatkit.getRoom({ roomId: room.id }));
  assert.deepEqual(member_user_ids, ["alice", "bob", "carol"]);
});

test("rooms: adding an unknown user changes nothing", async () => {
  const room = await makeRoom("alice");
  await makeUsers("bob");
  const adding = chatkit.addUsersToRoom({ roomId: room.id, userIds: ["bob", "nobody"] });
  await refused(adding, 400, USERS_NOT_FOUND);
  assert.deepEqual((await chatkit.getRoom({ roomId: room.id })).member_user_ids, ["alice"]);
});

test("rooms: remove users down to none", async () => {
  const room = await makeRoom("alice", "bob", "carol");
  const remove = (...userIds) => chatkit.removeUsersFromRoom({ roomId: room.id, userIds });
  const members = async () => (await chatkit.getRoom({ roomId: room.id })).member_user_ids;
  assert.equal(await remove("bob", "carol"), undefined);
  assert.deepEqual(await members(), ["alice"]);
  await remove("bob");
  assert.deepEqual(await members(), ["alice"]);
  await remove("alice");
  assert.deepEqual(await members(), []);
});

test("rooms: membership of an unknown room is 404", async () => {
  await makeUsers("alice");
  const options = { roomId: "nowhere", userIds: ["alice"] };
  await refused(chatkit.addUsersToRoom(options), 404, NOT_FOUND);
  await refused(chatkit.removeUsersFromRoom(options), 404, NOT_FOUND);
});

test("rooms: delete, then 404, off the list, and the id is free", async () => {
  await makeUsers("alice");
  const options = { id: "lobby", creatorId: "alice", name: "my room" };
  await chatkit.createRoom(options);
  assert.equal(await chatkit.deleteRoom({ id: "lobby" }), undefined);
  await refused(chatkit.getRoom({ roomId: "lobby" }), 404, NOT_FOUND);
  await refused(chatkit.deleteRoom({ id: "lobby" }), 404, NOT_FOUND);
  assert.deepEqual(await chatkit.getRooms(), []);
  assert.deepEqual(await chatkit.getUserRooms({ userId: "alice" }), []);
  assert.equal((await chatkit.createRoom(options)).id, "lobby");
});
