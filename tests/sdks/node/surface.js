/** Runs last: the cases before have used every public method of the SDK that is installed, whatever its version. */
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { default: Chatkit } = require("@pusher/chatkit-server");
const { used } = require("./recorder");
const { test } = require("./support");

/** The methods of the class, without those that its type declarations call private: at run time they look alike. */
function publicMethods() {
  const declarations = path.join(path.dirname(require.resolve("@pusher/chatkit-server")), "chatkit.d.ts");
  const declared = fs.readFileSync(declarations, "utf8").matchAll(/^ +private (\w+)/gm);
  const hidden = new Set(["constructor", ...Array.from(declared, ([, name]) => name)]);
  return Object.getOwnPropertyNames(Chatkit.prototype).filter((name) => !hidden.has(name));
}

test("surface: every public method has been used", async () => {
  const methods = publicMethods();
  assert.ok(methods.includes("createUser") && !methods.includes("getServerToken"), `no list of methods: ${methods}`);
  assert.deepEqual(methods.filter((name) => !used.has(name)), []);
});
