"""Runs the media service: `python -m services.media`."""

from services.common import service
from services.media.server import build_server

if __name__ == "__main__":
    service.run("media", build_server, lambda settings: settings.media_address)
