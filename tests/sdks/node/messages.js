/** Messages in both dialects: `text` (service version 2) and `parts` (version 6). */
"use strict";

const assert = require("node:assert/strict");
const { chatkit, chatkitWith, idsOf, makeRoom, makeUsers, refused, test, timeless } = require("./support");

const NOT_FOUND = "services/chatkit/not_found/message_not_found";
const TOO_LARGE = "services/chatkit/unprocessable_entity/message_size_limit_exceeded";
const INVALID = "services/chatkit/unprocessable_entity/validation_failed";
const UPGRADE_NEEDED =
  "You have received a message which can't be represented in this version of the app. You will need to upgrade to read it.";

const DOG = "https://example.com/pics/dog";
const CAT = "https://example.com/pics/cat.gif";
const TEXT = { type: "text/plain", content: "hello" };
const HTML = { type: "text/html", content: "<b>hello</b>" };
const CAT_LINK = { type: "image/gif", url: CAT };

/** The id in the answer to a send, which holds nothing else. */
function sentId(answer) {
  assert.deepEqual(Object.keys(answer), ["message_id"]);
  assert.equal(typeof answer.message_id, "number");
  return answer.message_id;
}

/** A room with alice in it, what she sends there, and its newest message as each dialect reads it. */
async function makeConversation() {
  const { id: roomId } = await makeRoom("alice", "bob");
  const place = { roomId, userId: "alice" };
  const newest = async ([message]) => timeless(message);
  return {
    roomId,
    sendText: async (text, attachment) => sentId(await chatkit.sendMessage({ ...place, text, attachment })),
    sendSimple: async (text) => sentId(await chatkit.sendSimpleMessage({ ...place, text })),
    sendParts: async (...parts) => sentId(await chatkit.sendMultipartMessage({ ...place, parts })),
    readText: async () => newest(await chatkit.getRoomMessages({ roomId })),
    readParts: async () => newest(await chatkit.fetchMultipartMessages({ roomId })),
    asText: (id, content) => ({ id, room_id: roomId, user_id: "alice", ...content }),
    asParts: (id, ...parts) => ({ id, room_id: roomId, user_id: "alice", parts }),
  };
}

async function makeFiveMessages() {
  const { roomId, sendSimple } = await makeConversation();
  const ids = [];
  for (const text of ["one", "two", "three", "four", "five"]) ids.push(await sendSimple(text));
  return { roomId, ids };
}

test("messages: sendMessage with text, read in both dialects", async () => {
  const room = await makeConversation();
  const id = await room.sendText("hello");
  assert.deepEqual(await room.readText(), room.asText(id, { text: "hello" }));
  assert.deepEqual(await room.readParts(), room.asParts(id, TEXT));
});

test("messages: sendMessage with a link, read in both dialects", async () => {
  const room = await makeConversation();
  const id = await room.sendText("hello", { resourceLink: DOG, type: "image" });
  const attachment = { resource_link: DOG, type: "image", name: "dog" };
  assert.deepEqual(await room.readText(), room.asText(id, { text: "hello", attachment }));
  const link = { type: "image/x-pusher-img", url: DOG };
  assert.deepEqual(await room.readParts(), room.asParts(id, TEXT, link));
});

test("messages: sendMessage with a link that is none is refused", async () => {
  const { roomId } = await makeConversation();
  const attachment = { resourceLink: "no link", type: "image" };
  await refused(chatkit.sendMessage({ roomId, userId: "alice", text: "hello", attachment }), 422, INVALID);
});

test("messages: sendSimpleMessage, read in both dialects", async () => {
  const room = await makeConversation();
  const id = await room.sendSimple("hello");
  assert.deepEqual(await room.readText(), room.asText(id, { text: "hello" }));
  assert.deepEqual(await room.readParts(), room.asParts(id, TEXT));
});

test("messages: sendMultipartMessage with text and link, read in both dialects", async () => {
  const room = await makeConversation();
  const id = await room.sendParts(TEXT, CAT_LINK);
  const attachment = { resource_link: CAT, type: "image", name: "cat.gif" };
  assert.deepEqual(await room.readText(), room.asText(id, { text: "hello", attachment }));
  assert.deepEqual(await room.readParts(), room.asParts(id, TEXT, CAT_LINK));
});

test("messages: sendMultipartMessage with more than version 2 can show", async () => {
  const room = await makeConversation();
  const id = await room.sendParts(TEXT, HTML, CAT_LINK);
  assert.deepEqual(await room.readText(), room.asText(id, { text: UPGRADE_NEEDED }));
  assert.deepEqual(await room.readParts(), room.asParts(id, TEXT, HTML, CAT_LINK));
});

test("messages: malformed parts are refused", async () => {
  const { roomId } = await makeConversation();
  const malformed = [
    [{ content: "no type" }],
    [{ type: "text/plain" }],
    [{ type: "text/plain", content: "both", url: CAT }],
    [{ type: "image/gif", url: "no link" }],
  ];
  for (const parts of malformed) {
    await refused(chatkit.sendMultipartMessage({ roomId, userId: "alice", parts }), 422, INVALID);
  }
});

test("messages: an empty text is a text", async () => {
  const room = await makeConversation();
  const id = await room.sendSimple("");
  assert.deepEqual(await room.readParts(), room.asParts(id, { type: "text/plain", content: "" }));
});

test("messages: ids increase", async () => {
  const room = await makeConversation();
  const ids = [await room.sendSimple("one"), await room.sendText("two"), await room.sendParts(HTML)];
  assert.deepEqual(ids, [...new Set(ids)].sort((a, b) => a - b));
});

test("messages: only members may send", async () => {
  const { roomId } = await makeConversation();
  await makeUsers("carol");
  const message = { userId: "carol", roomId, text: "let me in" };
  await refused(chatkit.sendSimpleMessage(message), 403, "services/chatkit/forbidden/not_a_member");
  await refused(chatkit.sendMessage(message), 403, "services/chatkit/forbidden/not_a_member");
});

test("messages: send into an unknown room is 404", async () => {
  await makeUsers("alice");
  const message = { userId: "alice", roomId: "nowhere", text: "hello" };
  await refused(chatkit.sendSimpleMessage(message), 404, "services/chatkit/not_found/room_not_found");
});

test("messages: the size limit is told by its name", async () => {
  const { roomId, sendSimple } = await makeConversation();
  await sendSimple("😀".repeat(100));
  const message = { roomId, userId: "alice", text: "😀".repeat(4096) };
  await refused(chatkit.sendSimpleMessage(message), 422, TOO_LARGE);
  await refused(chatkit.sendMessage(message), 422, TOO_LARGE);
});

test("messages: editMessage replaces text and link", async () => {
  const room = await makeConversation();
  const id = await room.sendText("hello", { resourceLink: DOG, type: "image" });
  const edit = { userId: "alice", text: "edited", attachment: { resourceLink: CAT, type: "file" } };
  assert.equal(await chatkit.editMessage(room.roomId, id, edit), undefined);
  const attachment = { resource_link: CAT, type: "file", name: "cat.gif" };
  assert.deepEqual(await room.readText(), room.asText(id, { text: "edited", attachment }));
  await chatkit.editMessage(room.roomId, id, { userId: "alice", text: "no link" });
  assert.deepEqual(await room.readText(), room.asText(id, { text: "no link" }));
});

test("messages: editSimpleMessage replaces the content", async () => {
  const room = await makeConversation();
  const id = await room.sendText("hello", { resourceLink: DOG, type: "image" });
  const edit = { userId: "alice", text: "edited" };
  assert.equal(await chatkit.editSimpleMessage(room.roomId, id, edit), undefined);
  assert.deepEqual(await room.readText(), room.asText(id, { text: "edited" }));
  assert.deepEqual(await room.readParts(), room.asParts(id, { type: "text/plain", content: "edited" }));
});

test("messages: editMultipartMessage replaces the parts", async () => {
  const room = await makeConversation();
  const id = await room.sendSimple("hello");
  const edit = { userId: "alice", parts: [HTML, CAT_LINK] };
  assert.equal(await chatkit.editMultipartMessage(room.roomId, id, edit), undefined);
  assert.deepEqual(await room.readParts(), room.asParts(id, HTML, CAT_LINK));
});

test("messages: an edit by another server user keeps the sender", async () => {
  const room = await makeConversation();
  const id = await room.sendSimple("hello");
  await chatkit.editSimpleMessage(room.roomId, id, { userId: "bob", text: "edited" });
  assert.deepEqual(await room.readText(), room.asText(id, { text: "edited" }));
});

test("messages: an edit of an unknown message is 404", async () => {
  const { roomId } = await makeConversation();
  const edit = { userId: "alice", text: "edited" };
  await refused(chatkit.editMessage(roomId, 42, edit), 404, NOT_FOUND);
  await refused(chatkit.editSimpleMessage(roomId, 42, edit), 404, NOT_FOUND);
});

test("messages: fetchMultipartMessage", async () => {
  const room = await makeConversation();
  const messageId = await room.sendParts(TEXT, CAT_LINK);
  await room.sendSimple("another");
  const message = await chatkit.fetchMultipartMessage({ roomId: room.roomId, messageId });
  assert.deepEqual(timeless(message), room.asParts(messageId, TEXT, CAT_LINK));
  assert.equal(message.created_at, message.updated_at);
});

test("messages: fetchMultipartMessage of an unknown message is 404", async () => {
  const { roomId, sendSimple } = await makeConversation();
  await chatkit.createRoom({ id: "elsewhere", creatorId: "alice", name: "elsewhere" });
  const messageId = await sendSimple("hello");
  await refused(chatkit.fetchMultipartMessage({ roomId, messageId: 42 }), 404, NOT_FOUND);
  await refused(chatkit.fetchMultipartMessage({ roomId: "elsewhere", messageId }), 404, NOT_FOUND);
});

test("messages: fetchMultipartMessages pages both ways", async () => {
  const { roomId, ids } = await makeFiveMessages();
  const page = async (options) => idsOf(await chatkit.fetchMultipartMessages({ roomId, ...options }));
  const [one, two, three, four, five] = ids;
  assert.deepEqual(await page({}), [five, four, three, two, one]);
  assert.deepEqual(await page({ limit: 2 }), [five, four]);
  assert.deepEqual(await page({ limit: 2, initialId: four }), [three, two]);
  assert.deepEqual(await page({ limit: 2, initialId: two, direction: "older" }), [one]);
  assert.deepEqual(await page({ limit: 2, direction: "newer" }), [one, two]);
  assert.deepEqual(await page({ limit: 2, initialId: two, direction: "newer" }), [three, four]);
  assert.deepEqual(await page({ limit: 2, initialId: four, direction: "newer" }), [five]);
  assert.deepEqual(await page({ initialId: five, direction: "newer" }), []);
});

test("messages: getRoomMessages pages both ways", async () => {
  const { roomId } = await makeFiveMessages();
  const page = (options) => chatkit.getRoomMessages({ roomId, ...options });
  const texts = (messages) => messages.map(({ text }) => text);
  const newest = await page({ limit: 2 });
  assert.deepEqual(texts(newest), ["five", "four"]);
  assert.deepEqual(texts(await page({ limit: 2, initialId: newest[1].id })), ["three", "two"]);
  const oldest = await page({ limit: 2, direction: "newer" });
  assert.deepEqual(texts(oldest), ["one", "two"]);
  const next = await page({ limit: 2, initialId: oldest[1].id, direction: "newer" });
  assert.deepEqual(texts(next), ["three", "four"]);
});

test("messages: a client token reads and sends as its user", async () => {
  const room = await makeConversation();
  const { body } = chatkit.authenticate({ userId: "bob" });
  const path = `/rooms/${room.roomId}/messages`;
  const options = { method: "POST", path, jwt: body.access_token, body: { parts: [TEXT] } };
  const answer = await chatkit.apiRequest(options);
  assert.equal(answer.statusCode, 201);
  const id = sentId(JSON.parse(answer.body));
  assert.deepEqual(await room.readParts(), { ...room.asParts(id, TEXT), user_id: "bob" });
});

test("messages: the first call of a new SDK object, which names no content type", async () => {
  const room = await makeConversation();
  const fresh = chatkitWith({});
  const sent = await fresh.sendSimpleMessage({ roomId: room.roomId, userId: "alice", text: "hello" });
  assert.deepEqual(await room.readParts(), room.asParts(sentId(sent), TEXT));
});

test("messages: deleteMessage, then 404 and off the list", async () => {
  const { roomId, ids } = await makeFiveMessages();
  const [one, two, three, four, five] = ids;
  const options = { roomId, messageId: three };
  assert.equal(await chatkit.deleteMessage(options), undefined);
  await refused(chatkit.fetchMultipartMessage(options), 404, NOT_FOUND);
  await refused(chatkit.deleteMessage(options), 404, NOT_FOUND);
  assert.deepEqual(idsOf(await chatkit.fetchMultipartMessages({ roomId })), [five, four, two, one]);
  assert.deepEqual(idsOf(await chatkit.getRoomMessages({ roomId })), [five, four, two, one]);
});
