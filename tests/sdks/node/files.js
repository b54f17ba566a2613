/** Files: attachments of `sendMultipartMessage`, and uploads to the file service as the browser SDK makes them. */
"use strict";

const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const { BASE_URL, INSTANCE, TIMESTAMP, chatkit, makeRoom, refused, test } = require("./support");

const BYTES = randomBytes(40_000);
const TEXT = { type: "text/plain", content: "look" };
const NAME = "my figure: a/b?c=d&e.png";

async function fetched(url, options) {
  const answer = await fetch(url, options);
  return { status: answer.status, type: answer.headers.get("content-type"), bytes: Buffer.from(await answer.arrayBuffer()) };
}

async function downloaded(url) {
  const { status, bytes } = await fetched(url);
  assert.equal(status, 200);
  return bytes;
}

/** A room with alice in it, to which she sends parts, and its newest message as each dialect reads it. */
async function makeConversation() {
  const { id: roomId } = await makeRoom("alice", "bob");
  return {
    roomId,
    send: async (...parts) => (await chatkit.sendMultipartMessage({ roomId, userId: "alice", parts })).message_id,
    newestParts: async () => (await chatkit.fetchMultipartMessages({ roomId, limit: 1 }))[0].parts,
    newestText: async () => (await chatkit.getRoomMessages({ roomId, limit: 1 }))[0],
  };
}

function tokenOf(userId) {
  return chatkit.authenticate({ userId }).body.access_token;
}

/** `uploadDataAttachment` of the browser SDK, which sends a `FormData` by XMLHttpRequest. */
async function uploadAsBrowser(roomId, userId, name, file) {
  const form = new FormData();
  form.append("file", file, name);
  const [room, user, path] = [roomId, userId, name].map(encodeURIComponent);
  const url = `${BASE_URL}/services/chatkit_files/v1/${INSTANCE}/rooms/${room}/users/${user}/files/${path}`;
  const headers = { authorization: `Bearer ${tokenOf(userId)}`, "x-sdk-product": "chatkit", "x-sdk-language": "javascript" };
  const answer = await fetch(url, { method: "POST", body: form, headers });
  assert.ok(answer.ok, String(answer.status));
  return answer.json();
}

test("files: sendMultipartMessage with text, link and files", async () => {
  const room = await makeConversation();
  const link = { type: "image/gif", url: "https://example.com/pics/cat.gif" };
  const figure = { type: "image/png", file: BYTES, name: NAME, customData: { foo: { bar: [1, "two"] } } };
  const empty = { type: "application/json", file: Buffer.alloc(0), customData: "bare" };
  await room.send(TEXT, figure, link, empty);
  const [text, first, second, last] = await room.newestParts();
  assert.deepEqual([text, second], [TEXT, link]);
  const { id, download_url, refresh_url, expiration, ...told } = first.attachment;
  assert.deepEqual(told, { name: NAME, size: BYTES.length, custom_data: { foo: { bar: [1, "two"] } } });
  assert.equal(refresh_url, `${BASE_URL}/services/chatkit/v6/${INSTANCE}/rooms/${room.roomId}/attachments/${id}`);
  assert.match(expiration, TIMESTAMP);
  assert.ok(Date.parse(expiration) - Date.now() > 30 * 60 * 1000);
  assert.deepEqual(await downloaded(download_url), BYTES);
  assert.deepEqual([last.type, last.attachment.size, last.attachment.custom_data], ["application/json", 0, "bare"]);
  assert.deepEqual(await downloaded(last.attachment.download_url), Buffer.alloc(0));
});

test("files: unset custom data is absent and a name is made", async () => {
  const room = await makeConversation();
  await room.send({ type: "image/png", file: BYTES });
  const [{ type, attachment }] = await room.newestParts();
  assert.equal(type, "image/png");
  assert.deepEqual(Object.keys(attachment).sort(), ["download_url", "expiration", "id", "name", "refresh_url", "size"]);
  assert.notEqual(attachment.name, "");
});

test("files: version 2 sees a text with a file", async () => {
  for (const [type, kind] of [["image/jpeg", "image"], ["application/json", "file"]]) {
    const room = await makeConversation();
    await room.send(TEXT, { type, file: BYTES, name: "n" });
    const { text, attachment } = await room.newestText();
    const { resource_link, ...told } = attachment;
    assert.deepEqual([text, told], ["look", { type: kind, name: "n" }]);
    assert.deepEqual(await downloaded(resource_link), BYTES);
    await chatkit.apiRequest({ method: "DELETE", path: "/resources" });
  }
});

test("files: editMultipartMessage to a file", async () => {
  const room = await makeConversation();
  const messageId = await room.send(TEXT, { type: "image/png", file: BYTES, name: "old" });
  const [, { attachment: old }] = await room.newestParts();
  const parts = [{ type: "image/gif", file: BYTES.reverse(), name: "new" }];
  await chatkit.editMultipartMessage(room.roomId, messageId, { userId: "alice", parts });
  const [{ type, attachment }] = await room.newestParts();
  assert.deepEqual([type, attachment.name], ["image/gif", "new"]);
  assert.deepEqual(await downloaded(attachment.download_url), BYTES);
  assert.equal((await fetched(old.download_url)).status, 404);
});

test("files: refresh_url gives a new download_url to who has a token", async () => {
  const room = await makeConversation();
  await room.send({ type: "image/png", file: BYTES });
  const [{ attachment }] = await room.newestParts();
  assert.equal((await fetched(attachment.refresh_url)).status, 401);
  const answer = await fetch(attachment.refresh_url, { headers: { authorization: `Bearer ${tokenOf("bob")}` } });
  assert.deepEqual(await downloaded((await answer.json()).download_url), BYTES);
});

test("files: deleteMessage ends the download", async () => {
  const room = await makeConversation();
  const messageId = await room.send({ type: "image/png", file: BYTES });
  const [{ attachment }] = await room.newestParts();
  await chatkit.deleteMessage({ roomId: room.roomId, messageId });
  assert.equal((await fetched(attachment.download_url)).status, 404);
});

test("files: somebody who is not in the room cannot attach", async () => {
  const { id: roomId } = await makeRoom("alice");
  const { id: other } = await chatkit.createRoom({ creatorId: "alice", name: "other" });
  const { attachment_id: id } = JSON.parse(
    (await chatkit.apiRequest({
      method: "POST",
      path: `/rooms/${other}/attachments`,
      body: { content_type: "image/png", content_length: 5 },
    })).body,
  );
  const parts = [{ type: "image/png", attachment: { id } }];
  const sent = chatkit.sendMultipartMessage({ roomId, userId: "alice", parts });
  await refused(sent, 422, "services/chatkit/unprocessable_entity/validation_failed");
});

test("files: an upload of the browser SDK, sent and read in both dialects", async () => {
  for (const [type, kind, pseudo] of [
    ["image/gif", "image", "image/x-pusher-img"],
    ["application/json", "file", "file/x-pusher-file"],
  ]) {
    const room = await makeConversation();
    const link = await uploadAsBrowser(room.roomId, "alice", NAME, new Blob([BYTES], { type }));
    assert.deepEqual(Object.keys(link).sort(), ["resource_link", "type"]);
    assert.equal(link.type, kind);
    assert.deepEqual(await downloaded(link.resource_link), BYTES);
    const attachment = { resourceLink: link.resource_link, type: link.type };
    await chatkit.sendMessage({ roomId: room.roomId, userId: "alice", text: "look", attachment });
    const shown = (await room.newestText()).attachment;
    assert.deepEqual([shown.type, shown.name], [kind, NAME]);
    assert.deepEqual(await fetched(shown.resource_link), { status: 200, type, bytes: BYTES });
    const [text, part] = await room.newestParts();
    assert.deepEqual([text, part.type], [TEXT, pseudo]);
    assert.deepEqual([part.attachment.name, part.attachment.size], [NAME, BYTES.length]);
    assert.deepEqual(await downloaded(part.attachment.download_url), BYTES);
    await chatkit.apiRequest({ method: "DELETE", path: "/resources" });
  }
});
