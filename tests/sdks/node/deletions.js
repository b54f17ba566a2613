/** Asynchronous deletion: jobs, polled once a second as the SDK's own suite does. */
"use strict";

const assert = require("node:assert/strict");
const { setTimeout: sleep } = require("node:timers/promises");
const { chatkit, makeRoom, makeUsers, refused, test } = require("./support");

/** Polls until the job has ended. */
async function ended({ id }) {
  for (;;) {
    const job = await chatkit.getDeleteStatus({ jobId: id });
    assert.equal(job.id, id);
    if (job.status !== "in_progress") return job.status;
    await sleep(1000);
  }
}

test("deletions: asyncDeleteUser, then its status, then 404", async () => {
  await makeUsers("ham", "eve");
  const job = await chatkit.asyncDeleteUser({ userId: "ham" });
  assert.deepEqual(job, { id: job.id, status: "in_progress" });
  assert.equal(typeof job.id, "string");
  assert.equal(await ended(job), "completed");
  await refused(chatkit.getUser({ id: "ham" }), 404, "services/chatkit/not_found/user_not_found");
  assert.deepEqual((await chatkit.getUsers()).map(({ id }) => id), ["eve"]);
});

test("deletions: asyncDeleteRoom, then its status, then 404", async () => {
  const { id: roomId } = await makeRoom("alice", "bob");
  await chatkit.sendSimpleMessage({ userId: "alice", roomId, text: "hi" });
  const job = await chatkit.asyncDeleteRoom({ roomId });
  assert.deepEqual(job, { id: job.id, status: "in_progress" });
  assert.equal(await ended(job), "completed");
  await refused(chatkit.getRoom({ roomId }), 404, "services/chatkit/not_found/room_not_found");
  assert.deepEqual(await chatkit.getUserRooms({ userId: "bob" }), []);
});

test("deletions: with ids of any characters", async () => {
  const userId = "ann/lee + 1 👩🏽‍🚀";
  const { id: roomId } = await makeRoom(userId).then(() =>
    chatkit.createRoom({ id: "#a/b + c", creatorId: userId, name: "my room" }),
  );
  assert.equal(await ended(await chatkit.asyncDeleteRoom({ roomId })), "completed");
  assert.equal(await ended(await chatkit.asyncDeleteUser({ userId })), "completed");
  assert.deepEqual(await chatkit.getUsers(), []);
});

test("deletions: what does not exist is 404", async () => {
  const NOT_FOUND = "services/chatkit/not_found";
  await refused(chatkit.asyncDeleteUser({ userId: "nobody" }), 404, `${NOT_FOUND}/user_not_found`);
  await refused(chatkit.asyncDeleteRoom({ roomId: "nowhere" }), 404, `${NOT_FOUND}/room_not_found`);
  const error = "services/chatkit_scheduler/not_found/job_not_found";
  await refused(chatkit.getDeleteStatus({ jobId: "never begun" }), 404, error);
});
