"""Answer what is not even HTTP as everything else is answered: with a problem document.

uvicorn refuses such messages before any application sees them, in plain text.
"""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.errors import InputRefused
from gateway.http.headers import ALWAYS
from gateway.http.problems import problem_response


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's own protocol, with our words for a message that it cannot read."""

    transport: asyncio.Transport

    def send_400_response(self, msg: str) -> None:
        """Refuse the message and close the connection; what uvicorn says of it is dropped unread."""
        answer: Response = problem_response(
            InputRefused("invalid_input", "This is not an HTTP request we read.")
        )
        headers = {**ALWAYS, "Content-Type": answer.headers["content-type"], "Connection": "close"}
        lines = [f"{name}: {value}" for name, value in headers.items()]
        lines.append(f"Content-Length: {len(answer.body)}")
        head = "\r\n".join(("HTTP/1.1 400 Bad Request", *lines, "", ""))
        self.transport.write(head.encode("ascii") + bytes(answer.body))
        self.transport.close()
