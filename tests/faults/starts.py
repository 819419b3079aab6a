"""R5: a gateway that starts without its keys or its policy does not serve; when it has them, all goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from adapters.kit import key_file
from gateway.cli.provision import GATEWAY, Deployment
from gateway.cli.world import VW
from tests.faults.city import City
from tests.faults.invariants import Answered
from tests.faults.kills import ASKED, CONSENTED, EVERYTHING
from tests.faults.witness import Witness, impatient
from tests.integration.promises.people import newcomer
from tests.integration.town import v_number

_SIGNING = ("order", "receipt", "token")


@contextmanager
def _changed(file: Path, content: bytes | None) -> Iterator[None]:
    """Let a file hold something else, or nothing, for the length of a `with`."""
    before = file.read_bytes()
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    try:
        yield
    finally:
        file.write_bytes(before)
        file.chmod(0o600)


def _keystore(deployment: Deployment) -> Path:
    return deployment[GATEWAY].keys_folder / key_file.NAME


@contextmanager
def _keystore_gone(deployment: Deployment) -> Iterator[None]:
    with _changed(_keystore(deployment), None):
        yield


@contextmanager
def _keystore_damaged(deployment: Deployment) -> Iterator[None]:
    file = _keystore(deployment)
    with _changed(file, file.read_bytes()[:-40]):
        yield


@contextmanager
def _keystore_exposed(deployment: Deployment) -> Iterator[None]:
    file = _keystore(deployment)
    file.chmod(0o644)
    try:
        yield
    finally:
        file.chmod(0o600)


def _without(member: str, name: str) -> Callable[[Deployment], object]:
    """A keystore that opens, and in which one key is missing."""

    @contextmanager
    def fault(deployment: Deployment) -> Iterator[None]:
        holder = deployment[GATEWAY]
        file = _keystore(deployment)
        content = key_file.read(holder.keys_folder, holder.passphrase)
        content[member] = {
            key: value for key, value in key_file.mapping(content[member]).items() if key != name
        }
        sealed = key_file._encrypt(content, GATEWAY, holder.passphrase, 0)
        with _changed(file, sealed):
            yield

    return fault


@contextmanager
def _agreement_unsigned(deployment: Deployment) -> Iterator[None]:
    with _changed(deployment[GATEWAY].deployment_folder / f"signatures/{VW}.jws", None):
        yield


@contextmanager
def _register_of_another(deployment: Deployment) -> Iterator[None]:
    file = deployment[GATEWAY].deployment_folder / "register.json"
    register = json.loads(file.read_bytes())
    register["agreement"] = "sha-256:" + "A" * 43
    with _changed(file, json.dumps(register).encode()):
        yield


FAULTS: dict[str, Callable[[Deployment], object]] = {
    "the keystore is gone": _keystore_gone,
    "the keystore is damaged": _keystore_damaged,
    "others may read the keystore": _keystore_exposed,
    **{f"the {use} key is missing": _without("keys", use) for use in _SIGNING},
    "the checkpoint key is missing": _without("seeds", "checkpoint"),
    "the lookup secret is missing": _without("secrets", "lookup"),
    "the agreement lacks a signature": _agreement_unsigned,
    "the register names another agreement": _register_of_another,
}
# A file that is gone cannot be damaged.
EXCLUSIVE = {"the keystore is gone", "the keystore is damaged"}


async def without(running: City, *names: str) -> list[str]:
    """Ask; let the gateway die before it answers, and start while these are missing; then mend them."""
    witness = Witness(running.town)
    await witness.arrive()
    person = newcomer()
    client = v_number(person.v_number)
    await running.town.open_case(client)
    await witness.consent(client, CONSENTED)
    prepared, request = witness.prepare(client, ASKED)
    child, wrong = running.child, []
    child.stays_down = True
    child.arm(name="write exchange_recording.record_hand_over", nth=1, place="before")
    await witness.send(prepared, request)
    child.end()
    with ExitStack() as missing:
        for name in _in_order(names):
            missing.enter_context(FAULTS[name](running.town.deployment))  # type: ignore[arg-type]
        if await child.starts():
            wrong.append(f"R5: the gateway serves though {' and '.join(names)}")
            seen = await witness.send(prepared, request, wait_seconds=0)
            if isinstance(seen, Answered) and seen.categories:
                wrong.append(f"R5: {sorted(seen.categories)} left while {' and '.join(names)}")
        child.end()
    await child.start()
    async with impatient(running.database_url):
        after = await witness.insist(lambda: witness.send(prepared, request))
    if not isinstance(after, Answered) or after.categories != EVERYTHING:
        wrong.append(f"I5: after {' and '.join(names)} the same call does not bring the answer: {after}")
    return wrong + await witness.conclude()


def _in_order(names: tuple[str, ...]) -> list[str]:
    """What needs a whole keystore to be changed comes before what takes it away."""
    return sorted(names, key=lambda name: ("missing" not in name, "damaged" in name, "gone" in name))
