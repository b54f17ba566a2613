"""The message service: what is said and who may. Rooms, members, roles, messages, cursors, the event log."""
