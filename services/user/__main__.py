"""Runs the user service: `python -m services.user`."""

from services.common import service
from services.user.server import build_server

if __name__ == "__main__":
    service.run("user", build_server, lambda settings: settings.user_address)
