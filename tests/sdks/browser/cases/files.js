/** Files: parts of `sendMultipartMessage`, and the attachments of `sendMessage`. */
import { Record, assert, connect, makeRoomOf, refused, test } from "/support.js";

const BYTES = crypto.getRandomValues(new Uint8Array(40_000));
const NAME = "my figure: a/b?c=d&e.png";

async function download(url) {
  const answer = await fetch(url);
  assert.equal(answer.status, 200);
  return new Uint8Array(await answer.arrayBuffer());
}

function same(one, other) {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

/** A room, its only member, and what its messages look like in one dialect. */
async function makeConversation(method) {
  const roomId = await makeRoomOf("alice");
  const alice = await connect("alice");
  const record = new Record();
  await alice[method]({ roomId, hooks: { onMessage: record.hook("message", (message) => message) } });
  return { roomId, alice, newMessage: () => record.told("message") };
}

test("sendMultipartMessage: a file with a name and custom data", async () => {
  const { roomId, alice, newMessage } = await makeConversation("subscribeToRoomMultipart");
  const customData = { tags: ["a", { b: 1 }] };
  const file = new File([BYTES], "ignored.bin", { type: "image/png" });
  await alice.sendMultipartMessage({
    roomId,
    parts: [
      { type: "text/plain", content: "look" },
      { file, name: NAME, customData },
      { type: "image/png", url: "https://pictures.example/a" },
    ],
  });
  const { parts } = await newMessage();
  assert.deepEqual(parts.map(({ partType }) => partType), ["inline", "attachment", "url"]);
  const { payload } = parts[1];
  assert.deepEqual(
    [payload.type, payload.name, payload.size, payload.customData],
    ["image/png", NAME, BYTES.length, customData],
  );
  assert.isAbove(payload.urlExpiry().getTime(), Date.now() + 30 * 60_000);
  assert.isTrue(same(await download(await payload.url()), BYTES));
});

test("sendMultipartMessage: a file's own name and type, and no custom data", async () => {
  const { roomId, alice, newMessage } = await makeConversation("subscribeToRoomMultipart");
  const file = new File(["{}"], "data.json", { type: "application/json" });
  await alice.sendMultipartMessage({ roomId, parts: [{ file }] });
  const [{ payload }] = (await newMessage()).parts;
  assert.deepEqual(
    [payload.type, payload.name, payload.size, payload.customData],
    ["application/json", "data.json", 2, undefined],
  );
});

test("attachment url: fetched anew when the old one is about to expire", async () => {
  const { roomId, alice, newMessage } = await makeConversation("subscribeToRoomMultipart");
  await alice.sendMultipartMessage({ roomId, parts: [{ file: new File([BYTES], "a.bin", { type: "a/b" }) }] });
  const [{ payload }] = (await newMessage()).parts;
  const kept = await payload.url();
  assert.equal(await payload.url(), kept);
  payload._expiration = new Date(Date.now() + 60_000);
  payload._downloadURL = "https://nowhere.invalid/";
  const renewed = await payload.url();
  assert.isAbove(payload.urlExpiry().getTime(), Date.now() + 30 * 60_000);
  assert.isTrue(same(await download(renewed), BYTES));
});

test("fetchMultipartMessages: attachments have urls too", async () => {
  const { roomId, alice } = await makeConversation("subscribeToRoomMultipart");
  await alice.sendMultipartMessage({ roomId, parts: [{ file: new File([BYTES], "a.bin", { type: "a/b" }) }] });
  const [{ parts }] = await alice.fetchMultipartMessages({ roomId });
  assert.isTrue(same(await download(await parts[0].payload.url()), BYTES));
});

test("sendMessage: a file, read in both dialects", async () => {
  const { roomId, alice, newMessage } = await makeConversation("subscribeToRoom");
  const file = new File([BYTES], "other.json", { type: "application/json" });
  await alice.sendMessage({ roomId, text: "look", attachment: { file, name: NAME } });
  const { text, attachment } = await newMessage();
  assert.deepEqual([text, attachment.type, attachment.name], ["look", "file", NAME]);
  assert.isTrue(same(await download(attachment.link), BYTES));
  const [{ parts }] = await alice.fetchMultipartMessages({ roomId });
  const { type, name, size } = parts[1].payload;
  assert.deepEqual([parts[0].payload.content, type, name, size], ["look", "file/x-pusher-file", NAME, BYTES.length]);
  assert.isTrue(same(await download(await parts[1].payload.url()), BYTES));
});

test("subscribeToRoom: a file of parts as text and a link that anybody can follow", async () => {
  const { roomId, alice, newMessage } = await makeConversation("subscribeToRoom");
  const file = new File([BYTES], "a.png", { type: "image/png" });
  await alice.sendMultipartMessage({ roomId, parts: [{ type: "text/plain", content: "look" }, { file }] });
  const { text, attachment } = await newMessage();
  assert.deepEqual([text, attachment.type, attachment.name], ["look", "image", "a.png"]);
  assert.isTrue(same(await download(attachment.link), BYTES));
});

test("sendMultipartMessage: a file for a room that is not there is refused", async () => {
  const { alice } = await makeConversation("subscribeToRoomMultipart");
  const parts = [{ file: new File([BYTES], "a.bin", { type: "a/b" }) }];
  await refused(alice.sendMultipartMessage({ roomId: "nowhere", parts }), 404, "room_not_found");
});
