/** The SDK's token provider, asked by the application itself. */
import { assert, asServer, makeUsers, managerOf, openTab, test, tokenProviderOf, tokenUrl, watched } from "/support.js";

const { clusterUrl, locator } = window.SETTINGS;
const DAY_SECONDS = 86_400;

/** A provider of the SDK's that tells how often it has asked the server. */
function counted(userId) {
  const asked = { times: 0 };
  const url = () => {
    asked.times += 1;
    return tokenUrl();
  };
  const provider = watched(tokenProviderOf({ url }));
  provider.setUserId(userId);
  return { asked, provider };
}

/** The status of a request that only this user may make. */
async function statusFor(userId, token) {
  const url = `${clusterUrl}/services/chatkit/v6/${locator.split(":")[2]}/users/${userId}/rooms`;
  return (await fetch(url, { headers: { Authorization: `Bearer ${token}` } })).status;
}

test("TokenProvider: one token for as long as it is good, and for one user", async () => {
  await makeUsers("alice", "bob");
  const { asked, provider } = counted("alice");
  const token = await provider.fetchToken();
  assert.deepEqual([await statusFor("alice", token), await statusFor("bob", token)], [200, 401]);
  assert.equal(await provider.fetchToken(), token);
  assert.equal(asked.times, 1);
  provider.clearCache();
  assert.equal(await statusFor("alice", await provider.fetchToken()), 200);
  assert.equal(asked.times, 2);
  provider.setUserId("bob");
  const other = await provider.fetchToken();
  assert.deepEqual([await statusFor("alice", other), await statusFor("bob", other)], [401, 200]);
  assert.equal(asked.times, 3);
});

test("TokenProvider: a fresh token is good for a day", async () => {
  await makeUsers("alice");
  const { asked, provider } = counted("alice");
  await provider.fetchToken();
  const { token, expiresIn } = await provider.fetchFreshToken();
  assert.deepEqual([await statusFor("alice", token), expiresIn, asked.times], [200, DAY_SECONDS, 2]);
});

test("TokenProvider: with query parameters, headers of the application's own and credentials", async () => {
  await makeUsers("alice");
  const queryParams = { instance_locator: locator, session: "a/b?c=d&e" };
  const headers = { "X-Application": "mine", Accept: "application/json" };
  const options = { queryParams, headers, withCredentials: true };
  const asFunctions = { queryParams: () => queryParams, headers: () => Promise.resolve(headers) };
  for (const each of [options, { ...options, ...asFunctions }]) {
    const alice = await managerOf("alice", { tokenProvider: tokenProviderOf(each) }).connect();
    assert.equal(alice.name, "Name of alice");
  }
  const tab = await openTab("page-with-origin");
  const name = await tab.run(async (all) => {
    const { managerOf, tokenProviderOf } = await import("/support.js");
    return (await managerOf("alice", { tokenProvider: tokenProviderOf(all) }).connect()).name;
  }, options);
  assert.equal(name, "Name of alice");
});

test("TokenProvider: the token of a user who comes to exist later", async () => {
  const { provider } = counted("alice");
  const token = await provider.fetchToken();
  assert.equal(await statusFor("alice", token), 404);
  await asServer("POST", "/users", { id: "alice", name: "Alice" });
  assert.equal(await statusFor("alice", token), 200);
});
