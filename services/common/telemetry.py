"""Structured logs: one line of JSON per event on standard error, or text for people."""

import logging
import sys

import structlog

from services.common.settings import Settings


def configure_logging(settings: Settings, process: str) -> None:
    """Sets up structlog for this process. Tokens and bodies are never logged (fault 29)."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    # Without locals: a traceback must not show requests and tokens.
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if settings.log_format == "console"
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
