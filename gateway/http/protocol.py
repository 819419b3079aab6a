"""Answer what is not even HTTP as everything else is answered, and keep no connection that says nothing.

uvicorn refuses such messages before any application sees them, in plain text; its parser takes in a head of
any length, and waits for the end of one for ever, on any number of connections. This one does none of it.
"""

from __future__ import annotations

import asyncio
import resource
from functools import partial
from http import HTTPStatus

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.errors import GatewayError, InputRefused, Unavailable
from gateway.http.headers import ALWAYS
from gateway.http.in_flight import ABORT_SCOPE_KEY
from gateway.http.problems import problem_response
from gateway.limits import BETWEEN, spread

# Address and headers together. Ours are a token, a proof and perhaps a certificate: about 8 kB at most.
MAX_HEAD_BYTES = 32 * 1024
# From the beginning of a connection, or of the next thing that a client says, to the end of a head.
HEAD_SECONDS = 10.0
# For what was written before a connection is closed: a client that does not read is cut off after it.
CLOSE_SECONDS = 10.0
# What came while this process was busy is read after the timers: look again before taking it for silence.
_SECOND_LOOK_SECONDS = 0.1
_MOST_CONNECTIONS = 4096
# Of the files that this process may have open: for the database, the sources, the policy engine.
_FILES_KEPT = 256
_RETRY_AFTER_SECONDS = 4


def connection_limit() -> int:
    """Say how many connections fit: with more there would be no file left for the work itself."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(_FILES_KEPT, min(_MOST_CONNECTIONS, files - _FILES_KEPT))


class _HeadTooLarge(Exception):
    """Ends the parser's work; never leaves this module."""


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's own protocol, with our words for what it cannot read, and limits to heads and connections."""

    transport: asyncio.Transport

    _limit = connection_limit()
    _head_bytes = 0  # of the message that is being read, as far as parsed; trailers count as well
    _unparsed_bytes = 0  # that came since the parser last made something of what it got
    _refused: GatewayError | None = None
    _deadline: asyncio.TimerHandle | None = None  # of the head that is awaited, or of closing
    _lost = False
    _heard = 0  # how often something came

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for a head, but not for ever; turn the connection away if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._limit:
            seconds = spread(_RETRY_AFTER_SECONDS, BETWEEN)
            self._refuse(Unavailable("overloaded", retry_after_seconds=seconds))
            return
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._no_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._lost = True
        self._set_deadline(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse the message once what makes no whole field is more than a head may be."""
        if self._refused is not None:
            return
        self._heard += 1
        self._unparsed_bytes += len(data)
        super().data_received(data)
        # Less exact than `_count`, by what the socket gives at once: what it holds is a field without an end.
        if self._unparsed_bytes > 2 * MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(InputRefused("head_too_large"))
        # Whatever it is, uvicorn takes it for a sign of life: the rest of a body that nobody reads, say.
        elif self._deadline is None and self._is_idle() and not self.transport.is_closing():
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._no_head)

    def on_message_begin(self) -> None:
        """Begin to count, and say how to cut this connection."""
        self._head_bytes = 0
        super().on_message_begin()
        self.scope[ABORT_SCOPE_KEY] = self.transport.abort  # type: ignore[typeddict-unknown-key]

    def on_url(self, url: bytes) -> None:
        """Count the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, or a trailer after the body."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Note that what came was a head."""
        self._unparsed_bytes = 0
        self._set_deadline(None)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note that what came was a body; `gateway.http.strict_body` says how much of it is read."""
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """See to it that a connection that ends here does end."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that nothing came from, also if its client does not read either."""
        self._set_deadline(self.loop.call_later(_SECOND_LOOK_SECONDS, self._silent, self._heard))

    def send_400_response(self, msg: str) -> None:
        """Refuse the message and close the connection; what uvicorn says of it is dropped unread."""
        self._refuse(self._refused or InputRefused("invalid_input", "This is not an HTTP request we read."))

    def _refuse(self, refused: GatewayError) -> None:
        self._refused = refused
        answer: Response = problem_response(refused)
        headers = {**dict(answer.headers), **ALWAYS, "connection": "close"}
        status = f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}"
        head = "\r\n".join((status, *(f"{name}: {value}" for name, value in headers.items()), "", ""))
        self.transport.write(head.encode("ascii") + bytes(answer.body))
        self._close()

    def _close(self) -> None:
        if self._lost:
            return
        self.transport.close()
        self._set_deadline(self.loop.call_later(CLOSE_SECONDS, self.transport.abort))

    def _silent(self, heard: int) -> None:
        if heard == self._heard:
            self._close()
        else:
            self._set_deadline(self.loop.call_later(HEAD_SECONDS, self._no_head))

    def _no_head(self, *, looked: bool = False) -> None:
        if not self._is_idle():
            # An answer is on its way, and the client said something more meanwhile.
            self._set_deadline(self.loop.call_later(HEAD_SECONDS, self._no_head))
        elif looked:
            self.transport.abort()
        else:
            again = partial(self._no_head, looked=True)
            self._set_deadline(self.loop.call_later(_SECOND_LOOK_SECONDS, again))

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _set_deadline(self, deadline: asyncio.TimerHandle | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = deadline

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            # The parser reports it as a message that it cannot read, and uvicorn answers by the above.
            self._refused = InputRefused("head_too_large")
            raise _HeadTooLarge
