"""One adapter with its simulated agency, running on real sockets, and what a test does with them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from pydantic import SecretStr

from adapters.kit import sealing, statements
from adapters.protocol import (
    AttestationClaims,
    Category,
)
from adapters.settings import AdapterSettings
from adapters.simulation.personas import Persona
from tests.contract.orders import Orders, OrderSpec, Source
from tests.contract.world import PASSPHRASE, World, serve


class Bench:
    """One adapter and its simulator, running; and what a test does with them."""

    def __init__(self, world: World, source: Source, agency_url: str, adapter_url: str) -> None:
        self.world, self.source = world, source
        self.agency_url, self.adapter_url = agency_url, adapter_url
        self.orders = Orders(world)
        self._http = httpx2.Client(timeout=30)

    def close(self) -> None:
        self._http.close()

    def spec(self, **overrides: Any) -> OrderSpec:
        return OrderSpec(self.source, **overrides)

    def send(self, spec_or_order: OrderSpec | str) -> httpx2.Response:
        order = self.orders.make(spec_or_order) if isinstance(spec_or_order, OrderSpec) else spec_or_order
        return self._http.post(f"{self.adapter_url}/v1/orders", json={"order": order})

    def post(self, path: str, **body: Any) -> httpx2.Response:
        return self._http.post(self.adapter_url + path, **body)

    def get(self, path: str) -> httpx2.Response:
        return self._http.get(self.adapter_url + path)

    def cancel(self, spec: OrderSpec, *categories: Category, **forged: Any) -> httpx2.Response:
        cancellation = self.orders.cancellation(spec, *categories, **forged)
        return self.post(f"/v1/orders/{spec.exchange}/cancellation", json={"cancellation": cancellation})

    def behave(self, persona: Persona, mode: str, delay_seconds: float = 0.0) -> None:
        message = {"v_number": persona.v_number, "mode": mode, "delay_seconds": delay_seconds}
        assert self._http.post(f"{self.agency_url}/_sim/behaviour", json=message).status_code == 204

    def attested(self, answer: dict[str, Any]) -> AttestationClaims:
        """Verify what a source answered, as the recipient would."""
        return statements.verify_attestation(
            answer["attestation"],
            self.world.public(self.source.party, "sign"),
            int(time.time()),
            issuer=self.source.party,
            exchange=answer["exchange"],
        )

    def opened(self, answer: dict[str, Any], recipient: str = "askv") -> list[sealing.OpenedDocument]:
        """Open the documents of an answer, checking each against the attestation."""
        claims = self.attested(answer)
        documents = []
        for each in answer.get("sealed", []):
            category = Category(each["category"])
            assert sealing.digest(each["jwe"]) in claims.answers[category].sealed
            documents.append(
                sealing.open_sealed(
                    each["jwe"],
                    self.world.keystores[recipient],
                    exchange=answer["exchange"],
                    category=category,
                )
            )
        return documents


@contextmanager
def running_adapter(
    world: World, source: Source, agency_url: str, state: Path, **settings: Any
) -> Iterator[str]:
    made = AdapterSettings(
        party=source.party,
        gateway_url=world.gateway_url,
        keys_folder=world.folder / "keys" / source.party,
        keys_passphrase=SecretStr(PASSPHRASE),
        deployment_folder=settings.pop("deployment_folder", world.deployment),
        agency_url=agency_url,
        state_path=state,
        delivery_poll_seconds=0.05,
        **settings,
    )
    with serve(source.service.create_app(made)) as url:
        yield url
