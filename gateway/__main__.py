"""`python -m gateway`: runs the gateway process."""

from gateway.server import serve
from services.common.process import run

if __name__ == "__main__":
    run("gateway", serve)
