/** Rooms and who is in them: the calls, and what their effects look like to everybody concerned. */
import {
  TIMESTAMP,
  Record,
  asServer,
  assert,
  connect,
  idsOf,
  makeRoom,
  makeRoomOf,
  makeUsers,
  propertiesOf,
  refused,
  test,
} from "/support.js";

test("createRoom: with a name only", async () => {
  await makeUsers("alice");
  const record = new Record();
  const alice = await connect("alice", { onAddedToRoom: record.hook("added", propertiesOf) });
  const room = await alice.createRoom({ name: "my room" });
  const { id } = room;
  assert.typeOf(id, "string");
  assert.match(room.createdAt, TIMESTAMP);
  const expected = { id, name: "my room", isPrivate: false, createdByUserId: "alice", customData: undefined };
  const { unreadCount, ...created } = propertiesOf(room);
  assert.deepEqual(created, expected);
  await record.told("added");
  const [{ unreadCount: unread, ...added }] = record.of("added");
  assert.deepEqual(added, expected);
  assert.deepEqual(idsOf(alice.rooms), [id]);
});

test("createRoom: with everything, for its members too", async () => {
  await makeUsers("alice", "bob", "carol");
  const record = new Record();
  const alice = await connect("alice", { onAddedToRoom: record.hook("alice", propertiesOf) });
  await connect("bob", { onAddedToRoom: record.hook("bob", propertiesOf) });
  const id = "#lobby: a/b + ü";
  await alice.createRoom({
    id,
    name: "my room",
    private: true,
    pushNotificationTitleOverride: "Hello",
    addUserIds: ["bob", "carol", "alice"],
    customData: { topic: "food", limits: { members: 12 } },
  });
  const expected = {
    id,
    name: "my room",
    isPrivate: true,
    createdByUserId: "alice",
    customData: { topic: "food", limits: { members: 12 } },
    unreadCount: 0,
  };
  const told = await record.told("bob");
  assert.deepEqual(told, expected);
  assert.equal((await record.told("alice")).id, id);
  const { member_user_ids: members, push_notification_title_override: title } = await asServer(
    "GET",
    `/rooms/${encodeURIComponent(id)}`,
  );
  assert.sameMembers(members, ["alice", "bob", "carol"]);
  assert.equal(title, "Hello");
});

test("subscribeToRoomMultipart: all that the server keeps of a room and of those in it", async () => {
  const custom = { custom_data: { mood: "good" }, avatar_url: "https://pictures.example/a" };
  await asServer("POST", "/users", { id: "alice", name: "Alice", ...custom });
  await makeUsers("bob");
  const roomId = await makeRoom(["alice", "bob"], { custom_data: { topic: "food" } });
  const bob = await connect("bob");
  const room = await bob.subscribeToRoomMultipart({ roomId });
  const { member_user_ids: members, ...kept } = await asServer("GET", `/rooms/${roomId}`);
  const { name, isPrivate, createdByUserId, customData, createdAt, updatedAt, deletedAt } = room;
  assert.deepEqual(
    { id: room.id, name, private: isPrivate, created_by_id: createdByUserId, custom_data: customData },
    { id: kept.id, name: kept.name, private: kept.private, created_by_id: "alice", custom_data: { topic: "food" } },
  );
  assert.deepEqual([createdAt, updatedAt, deletedAt], [kept.created_at, kept.updated_at, undefined]);
  assert.sameMembers(room.userIds, members);
  const alice = room.users.find(({ id }) => id === "alice");
  assert.deepEqual(
    {
      id: alice.id,
      name: alice.name,
      avatar_url: alice.avatarURL,
      custom_data: alice.customData,
      created_at: alice.createdAt,
      updated_at: alice.updatedAt,
    },
    await asServer("GET", "/users/alice"),
  );
  const { avatarURL, customData: none } = room.users.find(({ id }) => id === "bob");
  assert.deepEqual([avatarURL, none], [undefined, undefined]);
});

test("createRoom: with a taken id or an unknown member is refused", async () => {
  await makeUsers("alice");
  const alice = await connect("alice");
  await alice.createRoom({ id: "lobby", name: "my room" });
  await refused(alice.createRoom({ id: "lobby", name: "another" }), 400, "duplicate_room_id");
  await refused(alice.createRoom({ name: "another", addUserIds: ["nobody"] }), 400, "users_not_found");
  assert.deepEqual(idsOf(alice.rooms), ["lobby"]);
});

test("getJoinableRooms: the public ones that the user is not in", async () => {
  await makeUsers("alice", "bob");
  const open = await makeRoom(["bob"], { name: "open" });
  await makeRoom(["bob"], { private: true });
  await makeRoom(["alice", "bob"]);
  const alice = await connect("alice");
  const rooms = await alice.getJoinableRooms();
  assert.deepEqual(rooms.map(({ id, name, isPrivate }) => [id, name, isPrivate]), [[open, "open", false]]);
});

test("joinRoom and leaveRoom: for the user itself and for those in the room", async () => {
  await makeUsers("alice", "bob");
  const roomId = await makeRoom(["alice"]);
  const record = new Record();
  const alice = await connect("alice", {
    onUserJoinedRoom: record.hook("alice: joined", (room, user) => [room.id, user.id, user.name]),
    onUserLeftRoom: record.hook("alice: left", (room, user) => [room.id, user.id]),
  });
  const hooks = {
    onUserJoined: record.hook("room: joined", ({ id }) => id),
    onUserLeft: record.hook("room: left", ({ id }) => id),
  };
  const room = await alice.subscribeToRoomMultipart({ roomId, hooks });
  assert.deepEqual(room.userIds, ["alice"]);
  const bob = await connect("bob", {
    onAddedToRoom: record.hook("bob: added", ({ id }) => id),
    onRemovedFromRoom: record.hook("bob: removed", ({ id }) => id),
  });
  assert.equal((await bob.joinRoom({ roomId })).id, roomId);
  assert.equal(await record.told("bob: added"), roomId);
  await record.told("room: joined");
  assert.deepEqual(idsOf(room.users), ["alice", "bob"]);
  assert.deepEqual(idsOf(bob.rooms), [roomId]);
  assert.equal((await bob.leaveRoom({ roomId })).id, roomId);
  assert.equal(await record.told("bob: removed"), roomId);
  await record.told("room: left");
  assert.deepEqual(idsOf(room.users), ["alice"]);
  assert.deepEqual(bob.rooms, []);
  assert.deepEqual(
    record.all.filter(([name]) => !name.startsWith("bob")),
    [
      ["alice: joined", [roomId, "bob", "Name of bob"]],
      ["room: joined", "bob"],
      ["alice: left", [roomId, "bob"]],
      ["room: left", "bob"],
    ],
  );
});

test("joinRoom: a private room or one that is not there is refused", async () => {
  await makeUsers("alice", "bob");
  const roomId = await makeRoom(["bob"], { private: true });
  const alice = await connect("alice");
  await refused(alice.joinRoom({ roomId }), 403, "private_room");
  await refused(alice.joinRoom({ roomId: "nowhere" }), 404, "room_not_found");
  await refused(alice.subscribeToRoomMultipart({ roomId }), 403, "private_room");
  assert.deepEqual(alice.rooms, []);
});

test("addUserToRoom and removeUserFromRoom: for the one concerned and for the rest", async () => {
  await makeUsers("alice", "bob", "carol");
  const roomId = await makeRoom(["alice", "carol"], { private: true });
  const record = new Record();
  await connect("bob", {
    onAddedToRoom: record.hook("bob: added", ({ id }) => id),
    onRemovedFromRoom: record.hook("bob: removed", ({ id }) => id),
  });
  const carol = await connect("carol", {
    onAddedToRoom: record.hook("carol: added"),
    onRemovedFromRoom: record.hook("carol: removed"),
    onUserJoinedRoom: record.hook("carol: joined", (room, user) => [room.id, user.id]),
    onUserLeftRoom: record.hook("carol: left", (room, user) => [room.id, user.id]),
  });
  await carol.subscribeToRoom({ roomId });
  const alice = await connect("alice");
  await alice.addUserToRoom({ userId: "bob", roomId });
  assert.equal(await record.told("bob: added"), roomId);
  await record.told("carol: joined");
  await alice.removeUserFromRoom({ userId: "bob", roomId });
  assert.equal(await record.told("bob: removed"), roomId);
  await record.told("carol: left");
  assert.deepEqual(
    record.all.filter(([name]) => name.startsWith("carol")),
    [
      ["carol: joined", [roomId, "bob"]],
      ["carol: left", [roomId, "bob"]],
    ],
  );
  await refused(alice.addUserToRoom({ userId: "nobody", roomId }), 400, "users_not_found");
});

test("removeUserFromRoom: who is removed hears no more of the room", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const record = new Record();
  const bob = await connect("bob", { onAddedToRoom: record.hook("added"), onRemovedFromRoom: record.hook("removed") });
  const alice = await connect("alice");
  const hear = (user, name) =>
    user.subscribeToRoomMultipart({ roomId, hooks: { onMessage: record.hook(name, ({ id }) => id) } });
  await hear(bob, "bob");
  await hear(alice, "alice");
  await alice.sendSimpleMessage({ roomId, text: "to both" });
  await record.told("bob");
  await alice.removeUserFromRoom({ userId: "bob", roomId });
  await record.told("removed");
  const last = await alice.sendSimpleMessage({ roomId, text: "to one" });
  await record.told("alice", (id) => id === last);
  await makeRoom(["bob"]);
  await record.told("added");
  assert.lengthOf(record.of("bob"), 1);
});
