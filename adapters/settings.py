"""The settings of an adapter, read once by its `service.py` from `POORT_ADAPTER_…` variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class AdapterSettings(BaseSettings):
    """Frozen; every process reads its own."""

    model_config = SettingsConfigDict(env_prefix="POORT_ADAPTER_", frozen=True, extra="forbid")

    party: str  # for whom this adapter answers: an id of the register
    gateway_url: str
    gateway_addresses: str = ""  # base URLs where it is found, in the order to try, between spaces
    keys_folder: Path
    keys_passphrase: SecretStr
    deployment_folder: Path  # this party's own copy of register, agreement and signatures
    agency_url: str  # the agency's own system
    state_path: Path  # SQLite file with the orders and their sealed answers
    host: str = "127.0.0.1"
    port: int = 8410
    # End TLS in this process; with `tls_client_ca_file` only who has a certificate of it gets in.
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    tls_client_ca_file: Path | None = None
    gateway_ca_file: Path | None = None  # who vouches for the gateway; the system's authorities if not set
    # With a certificate (its thumbprint in the party's key list) tokens are bound to it, not to a DPoP key.
    gateway_certificate_file: Path | None = None
    gateway_key_file: Path | None = None
    agency_timeout_seconds: float = 8.0  # shorter than the gateway waits for us
    delivery_poll_seconds: float = 0.5  # how often the deliverer looks for what is due

    @model_validator(mode="after")
    def _no_half_tls(self) -> AdapterSettings:
        if self.tls_certificate_file is None and (self.tls_key_file or self.tls_client_ca_file):
            raise ValueError("tls_… without tls_certificate_file would listen without TLS")
        return self
