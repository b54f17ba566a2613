"""Structured logs: one line of JSON per event on standard error, or text for people."""

import logging
import sys
from contextvars import ContextVar

import structlog

from services.common.settings import Settings

REQUEST_ID_KEY = "x-request-id"
"""Metadata: the id under which the logs of all services know a call."""

_REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """The request id of the call that this task works for; empty outside of calls."""
    return _REQUEST_ID.get()


def set_request_id(request_id: str) -> None:
    """Says which call the rest of this task works for. For interceptors only."""
    _REQUEST_ID.set(request_id)


def add_request_id(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """A processor that names the call in whatever is logged while it is carried out.

    Done here, and not with `structlog.contextvars.bind_contextvars` for every call: few calls log anything.
    """
    if request_id := _REQUEST_ID.get():
        event.setdefault("request_id", request_id)
    return event


def configure_logging(settings: Settings, process: str) -> None:
    """Sets up structlog for this process. Tokens and bodies are never logged (fault 29)."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    # Without locals: a traceback must not show requests and tokens.
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if settings.log_format == "console"
        else structlog.processors.JSONRenderer()
    )

    # A processor, not a context variable: tasks with a context of their own belong to the process too.
    def add_process(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        event["process"] = process
        return event

    structlog.configure(
        processors=[
            add_process,
            add_request_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
