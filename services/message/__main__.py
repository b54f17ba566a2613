"""Runs the message service: `python -m services.message`."""

from services.common import service
from services.message.server import build_server

if __name__ == "__main__":
    service.run("message", build_server, lambda settings: settings.message_address)
