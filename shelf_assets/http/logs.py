"""Logs as lines of JSON on stderr, the project's and the libraries'. `access_log` writes the line of a request."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

_SHARED: list[Any] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
]


def request_log() -> Any:
    """The logger of requests and uploads."""
    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[*_SHARED, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )


def log_in_json() -> None:
    """Format what libraries log in the same way. For processes that are nothing but a server."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.dict_tracebacks,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # Its messages quote forms.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
