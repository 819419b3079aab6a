"""The gateway's settings, read once by the composition root from `POORT_…` variables."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.limits import LEAST_ROOM_BYTES, MAX_IN_FLIGHT, SourceLimits

_SOURCE = SourceLimits()


class Settings(BaseSettings):
    """Frozen; nothing but `gateway.app` and the command line reads it from the environment."""

    model_config = SettingsConfigDict(env_prefix="POORT_", frozen=True, extra="forbid")

    # In production nothing starts, and no version comes into force, while a legal question is unanswered.
    profile: Literal["production", "demo"] = "production"
    issuer: str  # the base URL that callers use; audience of assertions and tokens
    host: str = "127.0.0.1"
    port: int = 8400
    database_url: str = "sqlite:///var/gateway.sqlite"  # or postgresql+asyncpg://user@host/name
    keys_folder: Path
    keys_passphrase: SecretStr
    deployment_folder: Path  # register, agreement, signatures, key lists
    # Between scheduling a version of the agreement and its first second: so long everyone has to get it.
    agreement_lead_seconds: int = Field(default=60, ge=1)
    policies_folder: Path = Path(__file__).resolve().parent.parent / "policies"
    policy_engine: Literal["wasm", "opa"] = "wasm"
    opa_url: str = ""  # https://host:port; http on this machine only
    opa_ca_file: Path | None = None  # who vouches for OPA's certificate; the system's authorities if not set
    opa_certificate_file: Path | None = None  # by which OPA knows this gateway
    opa_key_file: Path | None = None
    # Client certificates, seen in one of two ways (docs/decisions/0007-client-certificate-header.md):
    # this process ends TLS itself, or the proxy at this IP address does and sends Ssl-Client-Cert.
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    tls_client_ca_file: Path | None = None  # who signed the certificates that clients may present
    client_cert_from: str = ""  # empty: no proxy is believed
    sources: dict[str, str] = Field(default_factory=dict)  # party → base URL of its adapter
    source_ca_file: Path | None = None  # who vouches for the adapters; the system's authorities if not set
    source_certificate_file: Path | None = None  # by which the adapters know this gateway
    source_key_file: Path | None = None
    # The NL profile asks for the token endpoint as audience; audience injection asks for the issuer
    # alone (docs/decisions/0001-assertion-audience.md).
    accept_token_endpoint_audience: bool = False
    # What one source may cost (`gateway.limits.SourceLimits`), and the gateway as a whole.
    source_timeout_seconds: float = _SOURCE.timeout_seconds
    source_connect_seconds: float = _SOURCE.connect_seconds
    source_concurrency: int = Field(default=_SOURCE.concurrency, ge=1)
    source_place_wait_seconds: float = _SOURCE.place_wait_seconds
    source_failures_to_open: int = Field(default=_SOURCE.failures_to_open, ge=1)
    source_open_seconds: float = Field(default=_SOURCE.open_seconds, gt=0)
    max_in_flight: int = Field(default=MAX_IN_FLIGHT, ge=1)  # requests; more are answered `overloaded`
    # Of large answers in memory at once; the process takes a few times this (docs/deployment.md).
    max_held_bytes: int = Field(default=LEAST_ROOM_BYTES, ge=LEAST_ROOM_BYTES)
    wait_max_seconds: int = 30
    retention_sweep_seconds: float = 30.0

    @property
    def source_limits(self) -> SourceLimits:
        """Say what one source may cost."""
        return SourceLimits(
            timeout_seconds=self.source_timeout_seconds,
            connect_seconds=self.source_connect_seconds,
            concurrency=self.source_concurrency,
            place_wait_seconds=self.source_place_wait_seconds,
            failures_to_open=self.source_failures_to_open,
            open_seconds=self.source_open_seconds,
        )

    @property
    def sees_certificates(self) -> bool:
        """Tell whether a client can be known by its certificate here."""
        return bool(self.client_cert_from or self.tls_client_ca_file)

    @field_validator("client_cert_from")
    @classmethod
    def _one_address(cls, value: str) -> str:
        # In the form in which the address of a connection is written, so that comparing texts will do.
        return str(ip_address(value)) if value else ""

    @model_validator(mode="after")
    def _one_way_to_see_a_certificate(self) -> Settings:
        if self.client_cert_from and self.tls_certificate_file:
            raise ValueError("client_cert_from is for a gateway behind a proxy, tls_… for one without")
        if self.tls_certificate_file is None and (self.tls_key_file or self.tls_client_ca_file):
            raise ValueError("tls_… without tls_certificate_file would listen without TLS")
        return self
