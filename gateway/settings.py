"""The gateway's settings, read once by the composition root from `POORT_…` variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Frozen; nothing but `gateway.app` and the command line reads it from the environment."""

    model_config = SettingsConfigDict(env_prefix="POORT_", frozen=True, extra="forbid")

    issuer: str  # the base URL that callers use; audience of assertions and tokens
    host: str = "127.0.0.1"
    port: int = 8400
    database_url: str = "sqlite:///var/gateway.sqlite"
    keys_folder: Path
    keys_passphrase: SecretStr
    deployment_folder: Path  # register, agreement, signatures, key lists
    policies_folder: Path = Path(__file__).resolve().parent.parent / "policies"
    sources: dict[str, str] = Field(default_factory=dict)  # party → base URL of its adapter
    # The NL profile asks for the token endpoint as audience; audience injection asks for the issuer
    # alone (docs/decisions/0001-assertion-audience.md).
    accept_token_endpoint_audience: bool = False
    source_timeout_seconds: float = 10.0
    wait_max_seconds: int = 30
    retention_sweep_seconds: float = 30.0
