"""What an entry shows, what it hides, and that its sealed row opens in one place with one key."""

import hashlib
import hmac
from pathlib import Path

import pytest
import rfc8785
from sqlalchemy import create_engine, select

from gateway.ledger.commitment import canonical, commit, entry_of
from gateway.ledger.entry import Kind, open_detail, record
from gateway.ledger.merkle import leaf_hash
from gateway.storage.tables import ledger_details, metadata
from gateway.storage.unit_of_work import Transaction
from gateway.vault import DataKey, SealBroken

KEY = DataKey(b"k" * 32)
DETAIL = {"case": "c-marked", "categories": ["decisions", "perspective"], "confirmed": True, "until": None}


@pytest.fixture
def tx(tmp_path: Path):
    engine = create_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    with engine.begin() as conn:
        metadata.create_all(conn)
        yield Transaction(conn, 7)
    engine.dispose()


def test_an_entry_is_a_salted_commitment_to_the_canonical_detail(tx: Transaction) -> None:
    recorded = record(tx, kind=Kind.CASE_OPENED, detail=DETAIL, key=KEY, now=1_700_000_000)
    full = {"kind": "case_opened", **DETAIL}
    assert recorded.detail == full
    assert recorded.index == 7
    assert recorded.commitment == hmac.digest(recorded.salt, rfc8785.dumps(full), hashlib.sha256)
    assert recorded.leaf_hash == leaf_hash(entry_of(recorded.commitment))
    (entry,) = tx._close()
    assert entry.startswith(b"dossierpoort/entry/v1 ")
    assert len(entry) == 66


def test_two_entries_that_say_the_same_cannot_be_recognised_as_such(tx: Transaction) -> None:
    first = record(tx, kind=Kind.CASE_OPENED, detail=DETAIL, key=KEY, now=1)
    second = record(tx, kind=Kind.CASE_OPENED, detail=DETAIL, key=KEY, now=1)
    assert first.detail == second.detail
    assert (first.index, second.index) == (7, 8)
    assert first.leaf_hash != second.leaf_hash


def test_a_sealed_detail_opens_with_its_key_in_its_place_only(tx: Transaction) -> None:
    recorded = record(
        tx, kind=Kind.CASE_OPENED, detail=DETAIL, key=KEY, now=9, client_id="client", exchange_id="exchange"
    )
    row = tx.conn.execute(select(ledger_details)).mappings().one()
    assert open_detail(row, KEY) == recorded
    assert (row["client_id"], row["exchange_id"], row["recorded_at"]) == ("client", "exchange", 9)
    assert b"c-marked" not in row["detail_sealed"]
    for moved, key in [
        (row, DataKey(b"x" * 32)),
        ({**row, "index": 8}, KEY),
        ({**row, "kind": "case_left"}, KEY),
        ({**row, "detail_sealed": row["detail_sealed"][:-1]}, KEY),
    ]:
        with pytest.raises(SealBroken):
            open_detail(moved, key)  # type: ignore[arg-type]


def test_what_json_cannot_say_exactly_is_not_recorded(tx: Transaction) -> None:
    assert canonical({"a": 1, "b": ["x"]}) == b'{"a":1,"b":["x"]}'
    for detail in [{"a": 1.5}, {"a": b"x"}, {"a": {1, 2}}, {"a": 2**53}, {"a": "\ud800"}]:
        with pytest.raises(ValueError):
            record(tx, kind=Kind.CASE_OPENED, detail=detail, key=KEY, now=1)  # type: ignore[dict-item]
    with pytest.raises(ValueError):
        record(tx, kind=Kind.CASE_OPENED, detail={"kind": "case_left"}, key=KEY, now=1)
    assert tx._close() == []


def test_a_commitment_needs_a_whole_salt() -> None:
    assert len(commit(bytes(32), {})) == 32
    with pytest.raises(ValueError):
        commit(b"", {})


def test_names_of_kinds_fit_their_column() -> None:
    assert all(len(kind.value) <= 32 for kind in Kind)
