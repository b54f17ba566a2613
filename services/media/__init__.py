"""Bytes: attachments, uploads, signed URLs, avatars. Its servicer is not served yet."""
