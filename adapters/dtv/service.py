"""Compose the adapter of DT&V: its client on the kit's desk."""

from __future__ import annotations

from fastapi import FastAPI

from adapters.dtv.client import DtvClient
from adapters.kit.agency_wire import AgencyWire
from adapters.kit.service import create_adapter
from adapters.settings import AdapterSettings


def create_app(settings: AdapterSettings) -> FastAPI:
    """Return the adapter of DT&V as an application; it opens nothing before its start-up."""
    wire = AgencyWire(settings.agency_url, timeout_seconds=settings.agency_timeout_seconds)
    return create_adapter(settings, DtvClient(wire))
