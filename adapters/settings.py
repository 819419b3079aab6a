"""The settings of an adapter, read once by its `service.py` from `POORT_ADAPTER_…` variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class AdapterSettings(BaseSettings):
    """Frozen; every process reads its own."""

    model_config = SettingsConfigDict(env_prefix="POORT_ADAPTER_", frozen=True, extra="forbid")

    party: str  # for whom this adapter answers: an id of the register
    gateway_url: str
    keys_folder: Path
    keys_passphrase: SecretStr
    deployment_folder: Path  # this party's own copy of register, agreement and signatures
    agency_url: str  # the agency's own system
    state_path: Path  # SQLite file with the orders and their sealed answers
    host: str = "127.0.0.1"
    port: int = 8410
    agency_timeout_seconds: float = 8.0  # shorter than the gateway waits for us
    delivery_poll_seconds: float = 0.5  # how often the deliverer looks for what is due
