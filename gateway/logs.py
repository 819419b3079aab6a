"""Write the log: one JSON line per event, in UTC, from our own events only.

What a library logs may hold whatever it was given (a token, a number, an exception's words), so of
a library's record only the place and the level are kept. The values of our own events are chosen
where they are logged: ids of parties and exchanges, codes, counts, never a claim or a body.
"""

from __future__ import annotations

import logging
import sys
from typing import BinaryIO

import orjson
import structlog


def configure_logs(stream: BinaryIO | None = None, *, level: int = logging.INFO) -> None:
    """Send every event to `stream` (standard error by default). Called once, by each process."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _without_exception_words,
            structlog.processors.JSONRenderer(serializer=orjson.dumps, default=_type_name),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(stream or sys.stderr.buffer),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[LibraryRecords()], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    for name in list(logging.root.manager.loggerDict):
        # A handler of the library's own would print its words past ours.
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


class LibraryRecords(logging.Handler):
    """Pass on that a library warned, where, and about which kind of error: not its words."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the place of a record. Its message and arguments are dropped unread."""
        structlog.get_logger("gateway.library").warning(
            "library_record",
            library=record.name,
            severity=record.levelname.lower(),
            place=f"{record.module}:{record.lineno}",
            error=record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None,
        )


def _without_exception_words(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if event.pop("exc_info", None):
        event["error"] = getattr(sys.exc_info()[0], "__name__", None)
    return event


def _type_name(value: object) -> str:
    """Render what JSON does not know by its type: its `repr` may hold anything."""
    return type(value).__name__
