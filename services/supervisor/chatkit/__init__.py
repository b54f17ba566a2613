"""The data that Chatkit exported, made into records of an archive."""
