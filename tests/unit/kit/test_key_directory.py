"""Keys are at most a minute old, and an old list never takes the place of a new one."""

from __future__ import annotations

import asyncio

import pytest

from adapters.kit.key_directory import KeyDirectory
from adapters.kit.keys import SigningKey
from adapters.kit.register import Register, RegisterError, sign_key_list

NOW = 1_800_000_000
IDENTITIES = {party: SigningKey.generate() for party in ("ind", "gateway")}
OLD, NEW = SigningKey.generate(), SigningKey.generate()
REGISTER = Register.read(
    {
        "version": 1,
        "agreement": "sha-256:x",
        "parties": {
            party: {"kind": party, "name": party, "identity_key": key.public}
            for party, key in IDENTITIES.items()
        },
        "ledger": {"origin": "o", "vkey": "v"},
        "issuer": "http://127.0.0.1:1",
    }
)


class Gateway:
    """Serves what it is told to, and counts how often it was asked."""

    def __init__(self) -> None:
        self.now = NOW
        self.asked = 0
        self.down = False
        self.serve(1, OLD)

    def serve(self, serial: int, key: SigningKey, *, by: str = "ind", lives_seconds: int = 86_400) -> None:
        self.served = sign_key_list(
            key=IDENTITIES[by],
            party="ind",
            serial=serial,
            now=NOW,
            exp=NOW + lives_seconds,
            keys=[("sign", key.public), ("encrypt", IDENTITIES["gateway"].public)],
        )

    async def fetch(self, party: str) -> str:
        self.asked += 1
        await asyncio.sleep(0)
        if self.down:
            raise ConnectionError(party)
        return self.served

    def clock(self) -> int:
        return self.now


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def directory(gateway: Gateway) -> KeyDirectory:
    return KeyDirectory(REGISTER, gateway.fetch, gateway.clock)


async def test_keys_are_those_of_the_partys_list(directory: KeyDirectory) -> None:
    assert await directory.keys("ind", "sign") == {OLD.kid: OLD.public}
    assert await directory.keys("ind", "order") == {}
    kid = IDENTITIES["gateway"].kid
    assert await directory.encryption("ind", kid) == IDENTITIES["gateway"].public
    with pytest.raises(RegisterError, match="unknown_key"):
        await directory.encryption("ind", OLD.kid)


async def test_a_list_is_asked_for_once_a_minute(directory: KeyDirectory, gateway: Gateway) -> None:
    await asyncio.gather(*(directory.keys("ind", "sign") for _ in range(20)))
    gateway.now += 59
    await directory.keys("ind", "sign")
    assert gateway.asked == 1
    gateway.now += 1
    await directory.keys("ind", "sign")
    assert gateway.asked == 2


async def test_a_key_change_arrives_within_a_minute(directory: KeyDirectory, gateway: Gateway) -> None:
    assert OLD.kid in await directory.keys("ind", "sign")
    gateway.serve(2, NEW)
    gateway.now += 60
    assert await directory.keys("ind", "sign") == {NEW.kid: NEW.public}


async def test_an_older_list_than_one_seen_is_refused(directory: KeyDirectory, gateway: Gateway) -> None:
    gateway.serve(2, NEW)
    assert NEW.kid in await directory.keys("ind", "sign")
    gateway.serve(1, OLD)
    gateway.now += 60
    with pytest.raises(RegisterError, match="rolled_back"):
        await directory.keys("ind", "sign")
    gateway.serve(2, NEW)
    assert NEW.kid in await directory.keys("ind", "sign")


async def test_a_list_that_the_gateway_made_up_is_refused(directory: KeyDirectory, gateway: Gateway) -> None:
    assert await directory.keys("ind", "sign")
    gateway.serve(2, NEW, by="gateway")
    gateway.now += 60
    with pytest.raises(RegisterError, match="key_list_invalid"):
        await directory.keys("ind", "sign")


async def test_an_old_list_is_not_used_when_no_new_one_comes(
    directory: KeyDirectory, gateway: Gateway
) -> None:
    assert await directory.keys("ind", "sign")
    gateway.down = True
    gateway.now += 59
    assert await directory.keys("ind", "sign")
    gateway.now += 1
    with pytest.raises(ConnectionError):
        await directory.keys("ind", "sign")


async def test_a_list_that_ends_within_the_minute_is_not_used_after_its_end(gateway: Gateway) -> None:
    directory = KeyDirectory(REGISTER, gateway.fetch, gateway.clock)
    gateway.serve(1, OLD, lives_seconds=30)
    assert await directory.keys("ind", "sign")
    gateway.now += 40
    with pytest.raises(RegisterError, match="key_list_expired"):
        await directory.keys("ind", "sign")


async def test_a_clock_that_went_back_makes_no_list_young(directory: KeyDirectory, gateway: Gateway) -> None:
    gateway.now += 100
    await directory.keys("ind", "sign")
    gateway.now -= 100
    await directory.keys("ind", "sign")
    assert gateway.asked == 2


async def test_a_stranger_is_never_asked_for(directory: KeyDirectory, gateway: Gateway) -> None:
    with pytest.raises(RegisterError, match="unknown_party"):
        await directory.keys("../../admin", "sign")
    assert gateway.asked == 0
