/** Which public members and hooks of the SDK that is installed, whatever its version, no case has used. */
"use strict";

const fs = require("node:fs");

/**
 * Members that are no part of what the SDK offers: its documentation does not name them, and an application has no use
 * for them. Names that begin with an underscore need no mention.
 */
const INTERNAL = [
  // What the objects were made of, and what they keep.
  {
    ChatManager: `serverInstanceV2 serverInstanceV6 filesInstance cursorsInstance presenceInstance logger userId
      beamsTokenProviderInstance pushNotificationsInstance beamsInstanceInitFn connectionTimeout`,
    TokenProvider: "url queryParams headers withCredentials userId req cachedToken cacheExpiresAt",
    CurrentUser: `serverInstanceV2 serverInstanceV6 filesInstance cursorsInstance presenceInstance logger encodedId
      beamsTokenProviderInstance pushNotificationsInstance beamsInstanceInitFn connectionTimeout hooks
      presenceStore userStore roomStore cursorStore typingIndicators readCursorBuffer roomSubscriptions
      userSubscription presenceSubscription userPresenceSubscriptions notificationSubscription`,
    Room: "userStore isSubscribedTo logger",
    User: "presenceStore",
    Message: "userStore roomStore",
    Cursor: "userStore roomStore",
  },
  // Steps of their methods.
  {
    TokenProvider: "getValueOrFunction cacheIsStale cache",
    CurrentUser: `setReadCursorRequest uploadDataAttachment isMemberOf isSubscribedTo decorateMessage
      setPropertiesFromBasicUser establishUserSubscription establishPresenceSubscription subscribeToUserPresence`,
    Room: "eq",
  },
];

/** How the SDK calls its hooks, and the one that it calls in another way. */
const HOOKS = { global: /\.global\.(on[A-Z]\w*)/g, room: /\.rooms\[[^\]]+\]\.(on[A-Z]\w*)/g };
const ROOM_PRESENCE = "room hook onPresenceChanged";

/** All other names of that form: what the SDK's parts call each other. */
const CALLBACKS = new Set(
  `onChunk onClick onCloseMessage onDone onEOSMessage onEnd onError onEvent onEventMessage onInitialState onIsTyping
  onLoading onMessageDeletedHook onMessageHook onNewCursor onNewCursorHook onNotification onNotificationHook onOpen
  onOpenMessage onPingMessage onPongMessage onPresenceState onRetrying onSetHooks onStarted onStopped onSubscribe
  onSubscriptionEstablished onTransition onUserJoinedRoomHook onUserLeftRoomHook`.split(/\s+/),
);

function internal(member) {
  const [kind, name] = member.split(".");
  const listed = INTERNAL.some(({ [kind]: names = "" }) => names.split(/\s+/).includes(name));
  return listed || name === "constructor" || name.startsWith("_");
}

/** `scope hook name` of each hook in the SDK's source, and what may be the name of one more. */
function hooksIn(source) {
  const hooks = Object.entries(HOOKS).flatMap(([scope, call]) =>
    Array.from(source.matchAll(call), ([, name]) => `${scope} hook ${name}`),
  );
  const known = new Set([...CALLBACKS, ...hooks.map((hook) => hook.split(" ").at(-1))]);
  const others = Array.from(source.matchAll(/\bon[A-Z]\w*/g), ([name]) => name).filter((name) => !known.has(name));
  return [ROOM_PRESENCE, ...hooks, ...others];
}

/** What is left of the members that the cases met and of the SDK's hooks without those that they used. */
function unused(members, used) {
  const source = fs.readFileSync(require.resolve("@pusher/chatkit-client"), "utf8");
  const offered = [...members].filter((member) => !internal(member));
  return [...new Set([...offered, ...hooksIn(source)])].filter((name) => !used.has(name)).sort();
}

module.exports = { unused };
