"""Bytes: attachments, uploads, signed URLs."""
