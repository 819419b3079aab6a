"""What a party sees of the ledger over HTTP, on a real store: enough to verify all of it."""

import base64
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http import ledger
from gateway.http.app_factory import build_app
from gateway.ledger import merkle
from gateway.ledger.checkpoint import LedgerSigner
from gateway.ledger.merkle import Frontier, leaf_hash
from gateway.oauth.resource import CALLER_SCOPE_KEY, Caller
from gateway.services import Services
from gateway.storage.unit_of_work import Store

SIGNER = LedgerSigner("log.example/a", bytes(range(32)))
SIZE = 600
ENTRIES = [b"entry %d" % at for at in range(SIZE)]
PATHS = [
    "/v1/ledger/checkpoint",
    "/v1/ledger/inclusion-proofs?leafIndex=0&treeSize=1",
    "/v1/ledger/consistency-proofs?firstSize=1&secondSize=2",
    "/ledger/checkpoint",
    "/ledger/tile/0/000",
    "/ledger/tile/entries/000",
]


def signed_in(app: ASGIApp) -> ASGIApp:
    """Let every request come from an authenticated party; the token itself is tested elsewhere."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CALLER_SCOPE_KEY] = Caller("askv", "ngo", "askv")
        await app(scope, receive, send)

    return call


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ASGIApp]:
    path: Path = tmp_path_factory.mktemp("ledger") / "gateway.db"
    store = Store.open(f"sqlite:///{path}", ledger=SIGNER)
    parts = SimpleNamespace(
        store=store,
        clock=lambda: 1,
        settings=SimpleNamespace(issuer="https://gate.example", client_cert_from="", max_in_flight=256),
    )
    built = build_app(cast(Services, parts), [ledger.router])
    with TestClient(built) as client:
        client.portal.call(store.write, lambda tx: [tx.append(entry) for entry in ENTRIES])  # type: ignore[union-attr]
        yield built
    store.close()


@pytest.fixture
def http(app: ASGIApp) -> TestClient:
    return TestClient(signed_in(app), base_url="https://gate.example")


def raw(encoded: str) -> bytes:
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


@pytest.mark.parametrize("path", PATHS)
def test_only_parties_may_look(app: ASGIApp, http: TestClient, path: str) -> None:
    assert http.get(path).status_code == 200
    refused = TestClient(app, base_url="https://gate.example").get(path)
    assert refused.status_code == 401
    assert refused.json()["code"] == "token_missing"


def test_the_checkpoint_is_a_signed_note_in_both_places(http: TestClient) -> None:
    answers = [http.get("/v1/ledger/checkpoint"), http.get("/ledger/checkpoint")]
    for answer in answers:
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert SIGNER.key.open_checkpoint(answer.text).size == SIZE


def test_proofs_fit_the_checkpoint(http: TestClient) -> None:
    now = SIGNER.key.open_checkpoint(http.get("/v1/ledger/checkpoint").text)
    shown = http.get("/v1/ledger/inclusion-proofs", params={"leafIndex": 299, "treeSize": SIZE}).json()
    assert (shown["leaf_index"], shown["tree_size"]) == (299, SIZE)
    assert raw(shown["leaf_hash"]) == leaf_hash(ENTRIES[299])
    hashes = [raw(node) for node in shown["hashes"]]
    merkle.verify_inclusion(leaf_hash(ENTRIES[299]), 299, SIZE, hashes, now.root)
    older = Frontier()
    for entry in ENTRIES[:257]:
        older.append(leaf_hash(entry))
    shown = http.get("/v1/ledger/consistency-proofs", params={"firstSize": 257, "secondSize": SIZE}).json()
    hashes = [raw(node) for node in shown["hashes"]]
    merkle.verify_consistency(257, SIZE, hashes, older.root(), now.root)


def test_a_monitor_rebuilds_the_ledger_from_its_tiles(http: TestClient) -> None:
    entries: list[bytes] = []
    for name in ("000", "001", "002.p/88"):
        answer = http.get(f"/ledger/tile/entries/{name}")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert "immutable" in answer.headers["cache-control"]
        bundle = answer.content
        while bundle:
            length = int.from_bytes(bundle[:2], "big")
            entries.append(bundle[2 : 2 + length])
            bundle = bundle[2 + length :]
    assert entries == ENTRIES
    hashes = b"".join(http.get(f"/ledger/tile/0/{name}").content for name in ("000", "001", "002.p/88"))
    assert hashes == b"".join(leaf_hash(entry) for entry in ENTRIES)
    full = Frontier()
    for entry in ENTRIES[:256]:
        full.append(leaf_hash(entry))
    assert http.get("/ledger/tile/1/000.p/1").content == full.root()


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/ledger/inclusion-proofs?leafIndex=0&treeSize=601", 404, "not_found"),
        ("/v1/ledger/inclusion-proofs?leafIndex=600&treeSize=600", 400, "invalid_input"),
        ("/v1/ledger/inclusion-proofs?leafIndex=-1&treeSize=600", 400, "invalid_input"),
        ("/v1/ledger/inclusion-proofs?leafIndex=0", 400, "invalid_input"),
        ("/v1/ledger/inclusion-proofs?leafIndex=x&treeSize=600", 400, "invalid_input"),
        ("/v1/ledger/inclusion-proofs?leafIndex=0&treeSize=99999999999999999999", 400, "invalid_input"),
        ("/v1/ledger/consistency-proofs?firstSize=0&secondSize=600", 400, "invalid_input"),
        ("/v1/ledger/consistency-proofs?firstSize=2&secondSize=1", 400, "invalid_input"),
        ("/v1/ledger/consistency-proofs?firstSize=1&secondSize=601", 404, "not_found"),
    ]
    + [
        (f"/ledger/tile/{kind}/{name}", 404, "not_found")
        for kind, name in itertools.product(
            ("0", "entries"), ("002", "002.p/89", "003.p/1", "2", "x999/x999/x999/x999/x999/999", "..%2f000")
        )
    ]
    + [("/ledger/tile/1/000.p/3", 404, "not_found"), ("/ledger/tile/63/000", 404, "not_found")],
)
def test_what_is_not_there_is_a_problem_with_a_code(
    http: TestClient, path: str, status: int, code: str
) -> None:
    answer = http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
