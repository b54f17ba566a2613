/** Notes which methods of the SDK the cases have used, so that `surface.js` can tell which they have not. */
"use strict";

/** Names of the methods that a case has called and that have done what they were asked for. */
const used = new Set();

/**
 * The SDK object behind a proxy that takes notes. The SDK itself is as it was: what it calls on itself does not pass
 * here, and neither does what a refused call would prove.
 */
function recorded(sdk) {
  return new Proxy(sdk, {
    get(target, name) {
      const value = target[name];
      if (typeof value !== "function") return value;
      return (...args) => {
        const answer = value.apply(target, args);
        if (typeof answer?.then !== "function") used.add(name);
        else answer.then(() => used.add(name)).catch(() => {}); // who called sees the refusal
        return answer;
      };
    },
  });
}

module.exports = { recorded, used };
