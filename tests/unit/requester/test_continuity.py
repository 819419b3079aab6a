"""The ledger that a party saw before goes on, or the party says so loudly and keeps the evidence."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any, cast

import pytest

from adapters.kit.register import Register
from adapters.kit.session import Response
from adapters.kit.transparency import Checkpoint, TransparencyError, verify_checkpoint, verify_consistency
from adapters.requester.continuity import KeptCheckpoint, require_continuity
from adapters.requester.errors import GatewayRefused, LedgerForked, ProofRefused, RequesterError
from gateway.ledger import merkle
from gateway.ledger.checkpoint import LedgerSigner

ORIGIN = "ledger.example"


class Ledger:
    """A ledger of one key, and the gateway that proves it; `gateway` may prove another's."""

    def __init__(self, *entries: bytes, seed: bytes = bytes(range(32))) -> None:
        self.signer = LedgerSigner(ORIGIN, seed)
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.roots = [merkle.EMPTY_ROOT]
        self._tree = merkle.Frontier()
        self.asked: list[str] = []
        self.grow(*entries)

    def grow(self, *entries: bytes) -> None:
        for entry in entries:
            self.nodes |= {
                (level, at): node for level, at, node in self._tree.append(merkle.leaf_hash(entry))
            }
            self.roots.append(self._tree.root())

    def note(self, size: int | None = None) -> str:
        at = len(self.roots) - 1 if size is None else size
        return self.signer.sign(at, self.roots[at])

    def proof(self, first: int, second: int) -> list[bytes]:
        if second >= len(self.roots):
            raise GatewayRefused(404, {"code": "not_found"})
        return merkle.consistency_proof(lambda level, at: self.nodes[level, at], first, second)

    async def get(self, path: str) -> Response:
        self.asked.append(path)
        first, second = (int(part.partition("=")[2]) for part in path.partition("?")[2].split("&"))
        hashes = [base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in self.proof(first, second)]
        return Response(200, {}, {"first_size": first, "second_size": second, "hashes": hashes})

    @property
    def register(self) -> Register:
        return cast(Register, _Pinned(self.signer.vkey))


class _Pinned:
    """What the register says of a ledger."""

    ledger_origin = ORIGIN

    def __init__(self, vkey: str) -> None:
        self.ledger_vkey = vkey


def entries(count: int, word: str = "entry") -> list[bytes]:
    return [f"{word} {at}".encode() for at in range(count)]


def read(ledger: Ledger, note: str) -> Checkpoint:
    return verify_checkpoint(note, vkey=ledger.signer.vkey, origin=ORIGIN)


async def show(kept: KeptCheckpoint, ledger: Ledger, size: int | None = None, **by: Any) -> None:
    note = ledger.note(size)
    await require_continuity(kept, note, read(ledger, note), by.get("get", ledger.get))


# --- the mathematics -----------------------------------------------------------------------


def test_every_beginning_of_every_small_ledger_is_proven_and_no_other_root_is() -> None:
    ledger = Ledger(*entries(17))
    for second in range(1, 18):
        for first in range(1, second + 1):
            older, newer = (Checkpoint(ORIGIN, size, ledger.roots[size]) for size in (first, second))
            hashes = ledger.proof(first, second)
            verify_consistency(older, newer, hashes)
            other = Checkpoint(ORIGIN, first, bytes(32))
            changed = [[*hashes, bytes(32)], hashes[:-1], hashes[::-1], [bytes(32), *hashes[1:]]]
            for wrong in (one for one in changed if one != hashes):
                with pytest.raises(TransparencyError, match="ledger_forked"):
                    verify_consistency(older, newer, wrong)
            with pytest.raises(TransparencyError, match="ledger_forked"):
                verify_consistency(other, newer, hashes)
            with pytest.raises(TransparencyError, match="ledger_forked"):
                verify_consistency(older, Checkpoint(ORIGIN, second, bytes(32)), hashes)


# --- what a party keeps --------------------------------------------------------------------


@pytest.fixture(params=["in a file", "in memory"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> KeptCheckpoint:
    return KeptCheckpoint(Ledger().register, tmp_path / "seen" if request.param == "in a file" else None)


async def test_the_first_checkpoint_is_kept_and_each_later_one_must_continue_it(kept: KeptCheckpoint) -> None:
    ledger = Ledger(*entries(5))
    await show(kept, ledger)
    assert ledger.asked == []
    await show(kept, ledger)
    assert ledger.asked == []
    ledger.grow(b"one more", b"and one")
    await show(kept, ledger)
    assert ledger.asked == ["/v1/ledger/consistency-proofs?firstSize=5&secondSize=7"]
    assert kept.read() == (ledger.note(), read(ledger, ledger.note()))


async def test_an_older_answer_is_proven_too_and_moves_nothing_back(kept: KeptCheckpoint) -> None:
    ledger = Ledger(*entries(9))
    await show(kept, ledger)
    await show(kept, ledger, size=4)
    assert ledger.asked == ["/v1/ledger/consistency-proofs?firstSize=4&secondSize=9"]
    assert kept.read() == (ledger.note(9), read(ledger, ledger.note(9)))


@pytest.mark.parametrize("size", [3, 5, 6, 9])
async def test_a_ledger_that_forked_is_refused_whatever_its_size(kept: KeptCheckpoint, size: int) -> None:
    ledger = Ledger(*entries(5))
    await show(kept, ledger)
    forked = Ledger(*entries(2), *entries(size - 2, "another"))
    for _ in range(2):  # it stays refused
        with pytest.raises(LedgerForked) as caught:
            await show(kept, forked)
        assert (caught.value.code, caught.value.kept_size, caught.value.shown_size) == (
            "ledger_forked",
            5,
            size,
        )
        assert kept.read() == (ledger.note(), read(ledger, ledger.note()))
    if kept.file is not None:
        assert caught.value.evidence is not None
        assert str(caught.value.evidence) in caught.value.next_step
        assert caught.value.evidence.read_text("utf-8") == forked.note()
        assert kept.file.read_text("utf-8") == ledger.note()


@pytest.mark.parametrize(
    "answer",
    [
        Response(200, {}, {"first_size": 5, "second_size": 9, "hashes": []}),
        Response(200, {}, {"first_size": 5, "second_size": 9, "hashes": ["A" * 43]}),
        Response(200, {}, {"first_size": 5, "second_size": 9, "hashes": ["not base64url!"]}),
        Response(200, {}, {"hashes": "?"}),
        Response(200, {}, b"?"),
        GatewayRefused(404, {"code": "not_found"}),
        GatewayRefused(400, {"code": "invalid_input"}),
    ],
)
async def test_a_gateway_that_has_no_proof_of_what_it_signed_has_forked(
    kept: KeptCheckpoint, answer: Response | GatewayRefused
) -> None:
    ledger = Ledger(*entries(5))
    await show(kept, ledger)
    ledger.grow(*entries(4, "later"))

    async def get(_: str) -> Response:
        if isinstance(answer, GatewayRefused):
            raise answer
        return answer

    with pytest.raises(LedgerForked):
        await show(kept, ledger, get=get)
    await show(kept, ledger)  # the control


async def test_a_gateway_that_does_not_answer_has_proven_nothing(kept: KeptCheckpoint) -> None:
    ledger = Ledger(*entries(5))
    await show(kept, ledger)
    ledger.grow(b"later")

    async def get(_: str) -> Response:
        raise GatewayRefused(503, {"code": "storage_unavailable"})

    with pytest.raises(GatewayRefused, match="503"):
        await show(kept, ledger, get=get)
    assert kept.read() == (ledger.note(5), read(ledger, ledger.note(5)))
    await show(kept, ledger)


async def test_what_another_process_kept_meanwhile_is_compared_with_as_well(tmp_path: Path) -> None:
    ledger = Ledger(*entries(9))
    ours, theirs = (KeptCheckpoint(ledger.register, tmp_path) for _ in range(2))
    await show(ours, ledger, size=3)

    async def get(path: str) -> Response:
        if len(ledger.asked) == 0:
            await show(theirs, ledger, size=9)
        return await ledger.get(path)

    await show(ours, ledger, size=6, get=get)
    assert ours.read() == theirs.read() == (ledger.note(9), read(ledger, ledger.note(9)))
    assert ledger.asked[-1].endswith("firstSize=6&secondSize=9")


async def test_the_file_is_the_partys_own_outlives_the_process_and_is_told_when_damaged(
    tmp_path: Path,
) -> None:
    ledger = Ledger(*entries(5))
    await show(KeptCheckpoint(ledger.register, tmp_path / "seen"), ledger)
    again = KeptCheckpoint(ledger.register, tmp_path / "seen")
    assert again.file is not None
    assert stat.S_IMODE(again.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(again.file.parent.stat().st_mode) == 0o700
    with pytest.raises(LedgerForked):
        await show(again, Ledger(*entries(6, "another")))
    again.file.write_text(ledger.note().replace("\n5\n", "\n4\n"))
    with pytest.raises(ProofRefused, match="damaged"):
        await show(again, ledger)
    again.file.unlink()
    again.file.mkdir()
    with pytest.raises(RequesterError, match="cannot be read or written"):
        await show(again, ledger)


async def test_a_ledger_of_another_key_is_another_ledger(tmp_path: Path) -> None:
    """A sandbox that was made anew is no fork."""
    await show(KeptCheckpoint(Ledger().register, tmp_path), Ledger(*entries(5)))
    other = Ledger(*entries(2, "another"), seed=bytes(32))
    await show(KeptCheckpoint(other.register, tmp_path), other)
    assert (
        KeptCheckpoint(Ledger().register, tmp_path).read() != KeptCheckpoint(other.register, tmp_path).read()
    )
