"""What an object store says of a file to those who come with a presigned URL."""

from services.common.file_headers import content_disposition, content_type


def object_headers(stored_type: str, name: str) -> dict[str, str]:
    """Content-Type and Content-Disposition: always to be saved, never shown, under a harmless name."""
    return {
        "Content-Type": content_type(stored_type),
        "Content-Disposition": content_disposition("attachment", name),
    }
