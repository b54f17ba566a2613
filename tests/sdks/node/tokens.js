/** Tokens the SDK makes for clients, and that the server takes or refuses. */
"use strict";

const assert = require("node:assert/strict");
const { chatkit, chatkitWith, makeUsers, refused, test } = require("./support");

const DAY_SECONDS = 86_400;

function roomsOf(userId, jwt) {
  return chatkit.apiRequest({ method: "GET", path: `/users/${userId}/rooms`, jwt });
}

test("tokens: authenticate gives a token that is good for its own user", async () => {
  await makeUsers("alice");
  const { status, body } = chatkit.authenticate({ userId: "alice" });
  assert.equal(status, 200);
  assert.deepEqual(
    { ...body, access_token: typeof body.access_token },
    { access_token: "string", expires_in: DAY_SECONDS, token_type: "bearer" },
  );
  const answer = await roomsOf("alice", body.access_token);
  assert.equal(answer.statusCode, 200);
  assert.equal(answer.body, "[]");
});

test("tokens: the token of one user is refused for another", async () => {
  await makeUsers("alice", "bob");
  const { body } = chatkit.authenticate({ userId: "alice" });
  const error = "services/chatkit_authorizer/authorization/invalid_token_subject";
  await refused(roomsOf("bob", body.access_token), 401, error);
});

test("tokens: authenticate refuses another grant type", async () => {
  const { status, body } = chatkit.authenticate({
    userId: "alice",
    authPayload: { grant_type: "password" },
  });
  assert.equal(status, 422);
  assert.equal(body.error, "token_provider/invalid_grant_type");
});

test("tokens: generateAccessToken with su and a user acts as that user", async () => {
  await makeUsers("alice");
  const { token, expires_in } = chatkit.generateAccessToken({ su: true, userId: "alice" });
  assert.equal(expires_in, DAY_SECONDS);
  const options = { method: "POST", path: "/rooms", jwt: token, body: { name: "made by hand" } };
  const answer = await chatkit.apiRequest(options);
  assert.equal(answer.statusCode, 201);
  assert.equal(JSON.parse(answer.body).created_by_id, "alice");
});

test("tokens: extra service claims do no harm", async () => {
  await makeUsers("alice");
  const options = { userId: "alice", serviceClaims: { role: "guest", level: { of: ["trust"] } } };
  const answer = await roomsOf("alice", chatkit.generateAccessToken(options).token);
  assert.equal(answer.statusCode, 200);
});

test("tokens: an expired token is refused", async () => {
  await makeUsers("alice");
  const { token } = chatkit.generateAccessToken({ userId: "alice", tokenExpiry: -10 });
  await refused(roomsOf("alice", token), 401, "authentication/expired");
});

test("tokens: a token signed with another secret is refused", async () => {
  const [keyId] = process.env.CHATKIT_INSTANCE_KEY.split(":");
  const stranger = chatkitWith({ key: `${keyId}:another-secret` });
  await refused(stranger.getUsers(), 401, "authentication/jwt/invalid");
});

test("tokens: a token of an unknown key is refused", async () => {
  const stranger = chatkitWith({ key: "00000000-0000-0000-0000-000000000000:secret" });
  await refused(stranger.getUsers(), 401, "authentication/jwt/invalid");
});
