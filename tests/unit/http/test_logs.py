"""The log holds our events; of a library's record only where and how bad."""

from __future__ import annotations

import logging
from typing import Any

import structlog

MARK = "9081726354"


def test_a_librarys_words_stay_out_of_the_log(edge: Any) -> None:
    logging.getLogger("some.library").warning("number %s", MARK)
    logging.getLogger("uvicorn.error").error(f"number {MARK}")
    (first, second) = edge.events()
    assert first["library"] == "some.library"
    assert first["place"].startswith("test_logs:")
    assert second["severity"] == "error"
    assert MARK not in edge.log().decode()


def test_an_exceptions_words_stay_out_of_the_log(edge: Any) -> None:
    try:
        raise ValueError(MARK)
    except ValueError:
        logging.getLogger("asyncio").exception("Task failed")
        structlog.get_logger("gateway.test").exception("failed")
    assert [event["error"] for event in edge.events()] == ["ValueError", "ValueError"]
    assert MARK not in edge.log().decode()


def test_what_json_does_not_know_is_shown_by_its_type(edge: Any) -> None:
    structlog.get_logger("gateway.test").info("event", odd=ValueError(MARK))
    assert edge.events()[0]["odd"] == "ValueError"


def test_what_libraries_tell_for_debugging_is_dropped(edge: Any) -> None:
    logging.getLogger("authlib").warning("kept")
    logging.getLogger("authlib").debug(MARK)
    assert len(edge.events()) == 1
