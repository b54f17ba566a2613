/**
 * Notes, inside the page, which members of the SDK's objects and which hooks a case uses; `unused.js` tells what none has.
 *
 * The SDK itself is as it was: for the case its objects stand behind proxies, and what they do among themselves does
 * not pass here.
 */

/** A kind of the SDK's objects → a member that no other kind has. It is minified: the names of its classes tell nothing. */
const MARKS = {
  ChatManager: "connect",
  TokenProvider: "fetchToken",
  CurrentUser: "setReadCursor",
  Room: "isPrivate",
  User: "presence",
  Message: "senderId",
  Attachment: "urlExpiry",
  Cursor: "position",
};

/** What a case has used, as `Kind.member` and `scope hook name`. */
const used = new Set();
/** Every member of the objects that it met, in the same form; of kinds that it did not meet, only what marks them. */
const members = new Set(Object.entries(MARKS).map(([kind, name]) => `${kind}.${name}`));
/** The SDK's object → its proxy. */
const proxies = new WeakMap();

/** What was noted on this page. */
export function noted() {
  return { used: [...used], members: [...members] };
}

/** The value with all objects of the SDK in it behind proxies that take notes. */
export function watched(value) {
  if (Array.isArray(value)) return value.map(watched);
  if (value === null || typeof value !== "object") return value;
  if (value instanceof Promise) return value.then(watched);
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, watched(each)]));
  }
  if (value instanceof Date) return value;
  const kind = Object.keys(MARKS).find((each) => MARKS[each] in value) ?? "an object of an unknown kind";
  return proxyOf(value, kind, prototype);
}

function proxyOf(object, kind, prototype) {
  for (const name of [...Object.keys(object), ...Object.getOwnPropertyNames(prototype)]) members.add(`${kind}.${name}`);
  const get = (target, name) => memberOf(target, kind, name);
  if (!proxies.has(object)) proxies.set(object, new Proxy(object, { get }));
  return proxies.get(object);
}

/** A method counts when it has done what it was asked for, anything else when it is read. */
function memberOf(object, kind, name) {
  const value = object[name];
  const note = () => used.add(`${kind}.${String(name)}`);
  if (typeof value !== "function") {
    note();
    return watched(value);
  }
  return (...args) => {
    const answer = value.apply(object, listening(kind, name, args));
    if (!(answer instanceof Promise)) note();
    else answer.then(note, () => {}); // who called sees the refusal
    return watched(answer);
  };
}

/** The arguments with their hooks so wrapped that they are noted when the SDK calls them. */
function listening(kind, name, args) {
  if (kind === "ChatManager" && name === "connect" && args[0]) return [noting(args[0], "global")];
  if (kind === "CurrentUser" && args[0]?.hooks) return [{ ...args[0], hooks: noting(args[0].hooks, "room") }];
  return args;
}

function noting(hooks, scope) {
  const wrapped = ([name, hook]) => [
    name,
    (...args) => {
      used.add(`${scope} hook ${name}`);
      return hook(...args.map(watched));
    },
  ];
  return Object.fromEntries(Object.entries(hooks).map(wrapped));
}
