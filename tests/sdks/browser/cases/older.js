/** Older SDKs, in a page of their own: each speaks another version of the service, and they understand one another. */
import { Record, asServer, assert, connect, makeRoomOf, managerOf, openTab, test, textOf } from "/support.js";

/** Runs in a page, which from then on has another SDK. */
async function loadSdk(version) {
  await new Promise((resolve, reject) => {
    const script = document.createElement("script");
    Object.assign(script, { src: `/chatkit-${version}.js`, onload: resolve, onerror: reject });
    document.head.append(script);
  });
  const { serverInstanceV3, serverInstanceV4, apiInstance } = new Chatkit.ChatManager({
    instanceLocator: "v1:a:b",
    tokenProvider: { fetchToken: () => null },
    userId: "nobody",
  });
  return (serverInstanceV4 ?? serverInstanceV3 ?? apiInstance).serviceVersion;
}

/** Runs in that page: connects alice, who notes what her hooks tell. */
async function listen(roomId) {
  const { Record, connect, textOf } = await import("/support.js");
  const record = new Record();
  const hook = (name, pick) => ({ [name]: record.hook(name, pick) });
  const alice = await connect("alice", {
    ...hook("onAddedToRoom", ({ id }) => id),
    ...hook("onRoomUpdated", ({ name }) => name),
    ...hook("onRoomDeleted", ({ id }) => id),
    ...hook("onPresenceChanged", ({ current }, { id }) => [id, current]),
  });
  const hooks = {
    ...hook("onMessage", (message) => [message.sender.name, textOf(message)]),
    ...hook("onNewReadCursor", ({ user, position }) => [user.id, position]),
    ...hook("onUserStartedTyping", ({ id }) => id),
    ...hook("onUserLeft", ({ id }) => id),
  };
  await (alice.subscribeToRoomMultipart ?? alice.subscribeToRoom)({ roomId, hooks });
  Object.assign(window, { alice, record });
  return [alice.name, alice.rooms.map(({ id }) => id)];
}

/** A conversation of alice, in a page with an older SDK, and bob, in this page with the newest. */
async function converse(version) {
  const roomId = await makeRoomOf("alice", "bob");
  const tab = await openTab();
  assert.equal(await tab.run(loadSdk, version), version);
  assert.deepEqual(await tab.run(listen, roomId), ["Name of alice", [roomId]]);
  const told = (name) => tab.run((hook) => window.record.told(hook), name);
  const record = new Record();
  const manager = managerOf("bob");
  const bob = await manager.connect();
  const hooks = {
    onMessage: record.hook("message", (message) => [message.senderId, textOf(message)]),
    onNewReadCursor: record.hook("cursor", ({ userId, position }) => [userId, position]),
    onUserStartedTyping: record.hook("typing", ({ id }) => id),
  };
  await bob.subscribeToRoomMultipart({ roomId, hooks });

  const first = await bob.sendSimpleMessage({ roomId, text: "hi alice" });
  assert.deepEqual(await told("onMessage"), ["Name of bob", "hi alice"]);
  await tab.run((id) => window.alice.sendMessage({ roomId: id, text: "hi bob" }), roomId);
  assert.deepEqual(await record.told("message", ([sender]) => sender === "alice"), ["alice", "hi bob"]);
  await tab.run((id, position) => window.alice.setReadCursor({ roomId: id, position }), roomId, first);
  assert.deepEqual(await record.told("cursor"), ["alice", first]);
  await bob.setReadCursor({ roomId, position: first });
  assert.deepEqual(await told("onNewReadCursor"), ["bob", first]);
  await tab.run((id) => window.alice.isTypingIn({ roomId: id }), roomId);
  assert.equal(await record.told("typing"), "alice");
  await bob.isTypingIn({ roomId });
  assert.equal(await told("onUserStartedTyping"), "bob");

  const { id: created } = await bob.createRoom({ name: "another", addUserIds: ["alice"] });
  assert.equal(await told("onAddedToRoom"), created);
  await asServer("DELETE", `/rooms/${created}`);
  assert.equal(await told("onRoomDeleted"), created);
  await bob.leaveRoom({ roomId });
  assert.equal(await told("onUserLeft"), "bob");
  manager.disconnect();
  await tab.run(() => window.record.told("onPresenceChanged", ([id, state]) => id === "bob" && state === "offline"));
  const texts = await tab.run(async (id) => {
    const { textOf } = await import("/support.js");
    return (await window.alice.fetchMessages({ roomId: id })).map(textOf);
  }, roomId);
  assert.deepEqual(texts, ["hi alice", "hi bob"]);
}

test("older SDK: 1.0.2, which speaks version 2", async () => {
  await converse("v2");
});

test("older SDK: 1.4.1, which speaks version 3", async () => {
  await converse("v3");
});

test("older SDK: 1.5.0, which speaks version 4", async () => {
  await converse("v4");
});
