"""The built-in roles (spec §7.1). They are virtual: nothing stores them, and nothing lists them."""

DEFAULT_ROLE = "default"
"""What a user has without a role of its own in global scope."""
ADMIN_ROLE = "admin"

_DEFAULT = (
    "cursors:read:get",
    "cursors:read:set",
    "file:create",
    "file:get",
    "message:create",
    "presence:subscribe",
    "room:create",
    "room:get",
    "room:join",
    "room:leave",
    "room:members:add",
    "room:members:remove",
    "room:messages:get",
    "room:typing_indicator:create",
    "user:get",
    "user:rooms:get",
)

BUILT_IN: dict[str, tuple[str, ...]] = {
    DEFAULT_ROLE: _DEFAULT,
    ADMIN_ROLE: (
        *_DEFAULT,
        *("room:delete", "room:update", "user:update", "message:edit", "message:delete"),
    ),
}
"""Role name → permissions."""
