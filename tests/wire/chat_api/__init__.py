"""Wire tests of the chat API dialect."""
