/** Push notifications: shown by the page while it is hidden, or left to Beams, for which the server gives a token. */
import { Record, assert, makeRoom, makeUsers, managerOf, say, test } from "/support.js";

/** Stands for the browser's own: headless Chromium shows none. */
function notificationOf(record) {
  return class {
    static note = record.hook("shown", (notification) => notification);

    constructor(title, options) {
      Object.assign(this, { title, ...options });
      this.constructor.note(this);
    }

    close() {}
  };
}

/** Stands for Pusher's service for closed pages, which is no part of Chatkit: it only asks for its token. */
function beamsOf(record) {
  const note = record.hook("beams token", (token) => token);
  const beams = {
    start: () => Promise.resolve(beams),
    stop: async () => stopped(),
    setUserId: async (userId, { fetchToken }) => note((await fetchToken(userId)).token),
  };
  const stopped = record.hook("beams stopped");
  return () => Promise.resolve(beams);
}

/** Connects bob, whose page is hidden, with notifications. */
async function enable(record, options) {
  const manager = managerOf("bob", { beamsInstanceInitFn: beamsOf(record) });
  await manager.connect();
  const enableAgain = () => {
    const stubs = { _Notification: notificationOf(record), _visibilityStateOverride: "hidden" };
    return manager.currentUser.enablePushNotifications({ ...stubs, ...options });
  };
  await enableAgain();
  return { manager, enableAgain };
}

test("enablePushNotifications: of private rooms, from others", async () => {
  await makeUsers("alice", "bob", "carol");
  const couple = await makeRoom(["alice", "bob"], { private: true });
  const group = await makeRoom(["alice", "bob", "carol"], { private: true, name: "the group" });
  const titled = await makeRoom(["alice", "bob"], { private: true, push_notification_title_override: "Hello" });
  const open = await makeRoom(["alice", "bob"]);
  const record = new Record();
  await enable(record, { onClick: record.hook("clicked", (room) => room), showNotificationsTabClosed: false });
  await say("alice", open, "not told");
  await say("bob", couple, "not told");
  await say("alice", couple, "hi bob");
  await say("alice", group, "hi all");
  await say("alice", titled, "hi there");
  const shown = await record.times("shown", 3);
  const expected = (title, body, roomId) => {
    const deepLink = `https://pusher.com?ck_room_id=${roomId}`;
    const data = { chatkit: { roomId }, pusher: { deep_link: deepLink } };
    return { title, body, icon: "https://pusher.com/favicon.ico", data };
  };
  assert.deepEqual(
    shown.map(({ title, body, icon, data }) => ({ title, body, icon, data })),
    [
      expected("Name of alice", "hi bob", couple),
      expected("the group", "Name of alice: hi all", group),
      expected("Hello", "hi there", titled),
    ],
  );
  shown[0].onclick({ preventDefault: () => {}, target: shown[0] });
  assert.deepEqual(await record.told("clicked"), { roomId: couple });
});

test("enablePushNotifications: a token for closed pages", async () => {
  await makeUsers("bob");
  const record = new Record();
  await enable(record, { showNotificationsTabOpen: false });
  assert.match(await record.told("beams token"), /^[\w-]+\.[\w-]+\.[\w-]+$/);
});

test("disablePushNotifications: of the manager and of the user, until they are enabled again", async () => {
  await makeUsers("alice", "bob");
  const roomId = await makeRoom(["alice", "bob"], { private: true });
  const record = new Record();
  const { manager, enableAgain } = await enable(record);
  for (const one of [manager, manager.currentUser]) {
    await one.disablePushNotifications();
    await say("alice", roomId, "not told");
    await enableAgain();
  }
  await say("alice", roomId, "told");
  await record.told("shown");
  assert.deepEqual(record.of("shown").map(({ body }) => body), ["told"]);
  assert.lengthOf(record.of("beams stopped"), 2);
});
