"""The Chatkit dialect: paths, shapes and errors that the original SDKs expect."""
