/** Sending and receiving messages, in both dialects that the SDK speaks. */
import {
  TIMESTAMP,
  Record,
  asServer,
  assert,
  connect,
  makeRoom,
  makeRoomOf,
  makeUsers,
  refused,
  say,
  test,
  textOf,
} from "/support.js";

const UNREPRESENTABLE =
  "You have received a message which can't be represented in this version of the app. " +
  "You will need to upgrade to read it.";
const LINK = "https://pictures.example/pics/dog";

/** Subscribes with one of the two methods, and notes what `pick` makes of each message. */
function listen(user, method, roomId, record, { name = method, pick = textOf, ...options } = {}) {
  return user[method]({ roomId, hooks: { onMessage: record.hook(name, pick) }, ...options });
}

function isLast(text) {
  return text === "last";
}

test("subscribeToRoomMultipart: a message with its sender and its room", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const [alice, bob] = await Promise.all([connect("alice"), connect("bob")]);
  const record = new Record();
  const room = await listen(bob, "subscribeToRoomMultipart", roomId, record, { pick: (message) => message });
  assert.equal(room.id, roomId);
  const id = await alice.sendSimpleMessage({ roomId, text: "hi 👋" });
  assert.isTrue(Number.isInteger(id));
  const message = await record.told("subscribeToRoomMultipart");
  assert.deepEqual(
    [message.id, message.senderId, message.sender.name, message.roomId, message.room.id, message.parts],
    [
      id,
      "alice",
      "Name of alice",
      roomId,
      roomId,
      [{ partType: "inline", payload: { type: "text/plain", content: "hi 👋" } }],
    ],
  );
  assert.match(message.createdAt, TIMESTAMP);
  assert.equal(message.updatedAt, message.createdAt);
  assert.isUndefined(message.deletedAt);
});

test("subscribeToRoom: the same as text", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const [alice, bob] = await Promise.all([connect("alice"), connect("bob")]);
  const record = new Record();
  await listen(bob, "subscribeToRoom", roomId, record, { pick: (message) => message });
  const id = await alice.sendMessage({ roomId, text: "hi 👋" });
  const message = await record.told("subscribeToRoom");
  assert.deepEqual(
    [message.id, message.sender.id, message.room.id, message.text, message.attachment, message.parts],
    [id, "alice", roomId, "hi 👋", undefined, undefined],
  );
});

test("subscribeToRoom: who is no member becomes one first", async () => {
  await makeUsers("alice", "bob");
  const roomId = await makeRoom(["alice"]);
  const record = new Record();
  const bob = await connect("bob", { onAddedToRoom: record.hook("added", ({ id }) => id) });
  const room = await listen(bob, "subscribeToRoom", roomId, record);
  await record.told("added");
  await say("alice", roomId, "hello bob");
  assert.equal(await record.told("subscribeToRoom"), "hello bob");
  assert.sameMembers(room.users.map(({ id }) => id), ["alice", "bob"]);
});

test("messageLimit: the newest ones, oldest first", async () => {
  const roomId = await makeRoomOf("alice");
  for (const text of ["one", "two", "three", "four"]) await say("alice", roomId, text);
  const wanted = new Map([
    [undefined, ["one", "two", "three", "four", "last"]],
    [2, ["three", "four", "last"]],
    [0, ["last"]],
    [100, ["one", "two", "three", "four", "last"]],
  ]);
  const record = new Record();
  for (const method of ["subscribeToRoom", "subscribeToRoomMultipart"]) {
    for (const messageLimit of wanted.keys()) {
      const user = await connect("alice");
      await listen(user, method, roomId, record, { name: `${method} ${messageLimit}`, messageLimit });
    }
  }
  await say("alice", roomId, "last");
  for (const method of ["subscribeToRoom", "subscribeToRoomMultipart"]) {
    for (const [messageLimit, texts] of wanted) {
      const name = `${method} ${messageLimit}`;
      await record.told(name, isLast);
      assert.deepEqual(record.of(name), texts, name);
    }
  }
});

test("onMessage: every message once and in order, for both dialects and the sender", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const [alice, bob, other] = await Promise.all([connect("alice"), connect("bob"), connect("bob")]);
  const record = new Record();
  await listen(alice, "subscribeToRoomMultipart", roomId, record, { name: "alice", pick: ({ id }) => id });
  await listen(bob, "subscribeToRoomMultipart", roomId, record, { name: "bob", pick: ({ id }) => id });
  await listen(other, "subscribeToRoom", roomId, record, { name: "other", pick: ({ id }) => id });
  const sends = [];
  for (let round = 0; round < 10; round += 1) {
    sends.push(alice.sendSimpleMessage({ roomId, text: `parts ${round}` }));
    sends.push(bob.sendMessage({ roomId, text: `text ${round}` }));
    sends.push(alice.sendMultipartMessage({ roomId, parts: [{ type: "image/png", url: LINK }] }));
  }
  const sent = (await Promise.all(sends)).sort((one, two) => one - two);
  const last = await alice.sendSimpleMessage({ roomId, text: "last" });
  for (const name of ["alice", "bob", "other"]) {
    await record.told(name, (id) => id === last);
    assert.deepEqual(record.of(name), [...sent, last], name);
  }
});

test("onMessage: subscribing while messages come in leaves no gap", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const [alice, bob] = await Promise.all([connect("alice"), connect("bob")]);
  const record = new Record();
  const sends = [];
  for (let round = 0; round < 15; round += 1) sends.push(alice.sendSimpleMessage({ roomId, text: `${round}` }));
  const pick = ({ id }) => id;
  await listen(bob, "subscribeToRoomMultipart", roomId, record, { name: "bob", pick, messageLimit: 100 });
  const sent = (await Promise.all(sends)).sort((one, two) => one - two);
  const last = await alice.sendSimpleMessage({ roomId, text: "last" });
  await record.told("bob", (id) => id === last);
  assert.deepEqual(record.of("bob"), [...sent, last]);
});

test("subscribeToRoom: a second subscription takes the place of the first", async () => {
  const roomId = await makeRoomOf("alice");
  const alice = await connect("alice");
  const record = new Record();
  await listen(alice, "subscribeToRoomMultipart", roomId, record, { name: "first" });
  await say("alice", roomId, "one");
  await record.told("first");
  await listen(alice, "subscribeToRoomMultipart", roomId, record, { name: "second", messageLimit: 0 });
  await say("alice", roomId, "last");
  await record.told("second", isLast);
  assert.deepEqual(record.all, [
    ["first", "one"],
    ["second", "last"],
  ]);
});

test("subscribeToRoom: two at once from one client tell everything once", async () => {
  const roomId = await makeRoomOf("alice");
  const alice = await connect("alice");
  const record = new Record();
  const first = listen(alice, "subscribeToRoomMultipart", roomId, record).catch(() => null);
  await Promise.all([first, listen(alice, "subscribeToRoomMultipart", roomId, record)]);
  await say("alice", roomId, "one");
  await say("alice", roomId, "last");
  await record.told("subscribeToRoomMultipart", isLast);
  assert.deepEqual(record.of("subscribeToRoomMultipart"), ["one", "last"]);
});

test("sendMultipartMessage: text and link, read in both dialects", async () => {
  const roomId = await makeRoomOf("alice");
  const [alice, other] = await Promise.all([connect("alice"), connect("alice")]);
  const record = new Record();
  const messages = { pick: (message) => message };
  await listen(alice, "subscribeToRoomMultipart", roomId, record, messages);
  await listen(other, "subscribeToRoom", roomId, record, messages);
  const parts = [
    { type: "text/plain", content: "see" },
    { type: "image/png", url: LINK },
  ];
  await alice.sendMultipartMessage({ roomId, parts });
  assert.deepEqual((await record.told("subscribeToRoomMultipart")).parts, [
    { partType: "inline", payload: { type: "text/plain", content: "see" } },
    { partType: "url", payload: { type: "image/png", url: LINK } },
  ]);
  const { text, attachment } = await record.told("subscribeToRoom");
  assert.deepEqual([text, attachment], ["see", { link: LINK, type: "image", name: "dog" }]);
});

test("sendMessage: text and link, read in both dialects", async () => {
  const roomId = await makeRoomOf("alice");
  const [alice, other] = await Promise.all([connect("alice"), connect("alice")]);
  const record = new Record();
  const messages = { pick: (message) => message };
  await listen(alice, "subscribeToRoomMultipart", roomId, record, messages);
  await listen(other, "subscribeToRoom", roomId, record, messages);
  await alice.sendMessage({ roomId, text: "see", attachment: { link: LINK, type: "image" } });
  const { text, attachment } = await record.told("subscribeToRoom");
  assert.deepEqual([text, attachment], ["see", { link: LINK, type: "image", name: "dog" }]);
  assert.deepEqual((await record.told("subscribeToRoomMultipart")).parts, [
    { partType: "inline", payload: { type: "text/plain", content: "see" } },
    { partType: "url", payload: { type: "image/x-pusher-img", url: LINK } },
  ]);
});

test("sendMultipartMessage: what text cannot express says so", async () => {
  const roomId = await makeRoomOf("alice");
  const alice = await connect("alice");
  const record = new Record();
  await listen(alice, "subscribeToRoom", roomId, record);
  const part = { type: "text/plain", content: "one of two" };
  await alice.sendMultipartMessage({ roomId, parts: [part, part] });
  assert.equal(await record.told("subscribeToRoom"), UNREPRESENTABLE);
});

test("sendSimpleMessage: refused if too large, or from outside the room", async () => {
  await makeUsers("alice", "bob");
  const roomId = await makeRoom(["alice"]);
  const [alice, bob] = await Promise.all([connect("alice"), connect("bob")]);
  await refused(alice.sendSimpleMessage({ roomId, text: "🙂".repeat(4096) }), 422, "message_size_limit_exceeded");
  await refused(bob.sendSimpleMessage({ roomId, text: "hi" }), 403, "not_a_member");
  await refused(alice.sendSimpleMessage({ roomId: "nowhere", text: "hi" }), 404, "room_not_found");
  await alice.sendSimpleMessage({ roomId, text: "" });
  assert.deepEqual((await alice.fetchMultipartMessages({ roomId })).map(textOf), [""]);
});

test("fetchMessages and fetchMultipartMessages: page after page, both ways", async () => {
  const roomId = await makeRoomOf("alice");
  const ids = [];
  for (const text of ["one", "two", "three", "four", "five"]) ids.push(await say("alice", roomId, text));
  const alice = await connect("alice");
  for (const method of ["fetchMessages", "fetchMultipartMessages"]) {
    const page = async (options) => (await alice[method]({ roomId, ...options })).map(textOf);
    assert.deepEqual(await page(), ["one", "two", "three", "four", "five"], method);
    assert.deepEqual(await page({ limit: 2 }), ["four", "five"], method);
    assert.deepEqual(await page({ limit: 2, initialId: ids[3] }), ["two", "three"], method);
    assert.deepEqual(await page({ limit: 2, initialId: ids[1] }), ["one"], method);
    assert.deepEqual(await page({ limit: 2, direction: "newer" }), ["one", "two"], method);
    assert.deepEqual(await page({ limit: 2, direction: "newer", initialId: ids[1] }), ["three", "four"], method);
    assert.deepEqual(await page({ initialId: ids[0] }), [], method);
  }
  const [message] = await alice.fetchMultipartMessages({ roomId, limit: 1 });
  assert.deepEqual([message.id, message.sender.id, message.room.id], [ids[4], "alice", roomId]);
});

test("onMessageDeleted: for parts only, and the message is gone", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const [bob, other] = await Promise.all([connect("bob"), connect("bob")]);
  const record = new Record();
  const onMessageDeleted = record.hook("deleted", (id) => id);
  const onMessage = record.hook("message", textOf);
  await bob.subscribeToRoomMultipart({ roomId, hooks: { onMessage, onMessageDeleted } });
  const told = { onMessage: record.hook("text", textOf), onMessageDeleted: record.hook("text: deleted") };
  await other.subscribeToRoom({ roomId, hooks: told });
  const first = await say("alice", roomId, "one");
  await asServer("DELETE", `/rooms/${roomId}/messages/${first}`, null, "chatkit/v5");
  assert.equal(await record.told("deleted"), first);
  await say("alice", roomId, "last");
  await record.told("message", isLast);
  await record.told("text", isLast);
  assert.deepEqual(record.of("message"), ["one", "last"]);
  assert.deepEqual(record.of("deleted"), [first]);
  assert.deepEqual(record.of("text: deleted"), []);
  assert.deepEqual((await bob.fetchMultipartMessages({ roomId })).map(textOf), ["last"]);
});

test("onRoomUpdated: once for each message, with unread count and time", async () => {
  const roomId = await makeRoomOf("alice", "bob");
  const record = new Record();
  const hooks = (name) => ({
    onRoomUpdated: record.hook(name, ({ unreadCount, lastMessageAt }) => [unreadCount, lastMessageAt]),
    onAddedToRoom: record.hook(`${name}: added`),
  });
  const alice = await connect("alice", hooks("alice"));
  await connect("bob", hooks("bob"));
  const expected = [];
  for (const text of ["one", "two", "three"]) {
    const id = await alice.sendSimpleMessage({ roomId, text });
    const { created_at: sentAt } = await asServer("GET", `/rooms/${roomId}/messages/${id}`);
    expected.push([expected.length + 1, sentAt]);
  }
  await makeRoom(["alice", "bob"]);
  for (const name of ["alice", "bob"]) {
    await record.told(`${name}: added`);
    assert.deepEqual(record.of(name), expected, name);
  }
});
