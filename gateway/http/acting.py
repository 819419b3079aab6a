"""Who acts, in every call about a client: the party by its token, and in the body one of its workers."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from adapters.protocol import ClientIdentifier, Wire, Worker
from gateway.oauth.resource import Caller, authenticated
from gateway.services import Services, provided

Parts = Annotated[Services, Depends(provided)]
Authenticated = Annotated[Caller, Depends(authenticated)]


class ActingWorker(Wire):
    """The worker who acts."""

    worker: Worker


class ClientSearch(Wire):
    """An exact identifier, and the worker who looks."""

    client: ClientIdentifier
    worker: Worker
