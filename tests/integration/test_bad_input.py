"""Messages that are not what the API reads: refused with what to do next, before anything is written."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from adapters.kit import jose
from adapters.protocol import Role
from adapters.requester import Requester
from gateway.cli.evidence import signed_on_paper
from gateway.cli.world import IND, PURPOSE, VW, persona, worker_of
from tests.integration.edge import EVIDENCE_MARK, Answer, Edge, check_logs, recorded_logs
from tests.integration.rogue import Stage, staged
from tests.integration.town import PAPERS, Town, v_number

pytestmark = pytest.mark.asyncio(loop_scope="module")

DESK = worker_of(VW, Role.DESK)
EVIDENCE = signed_on_paper(DESK.id, "ti", interpreter=EVIDENCE_MARK)
REQUESTS, CASES, CONSENTS = "/v1/dossier-requests", "/v1/cases", "/v1/consents"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest.fixture(autouse=True)
def logs() -> Iterator[io.BytesIO]:
    with recorded_logs() as stream:
        yield stream
        check_logs(stream)


class Writer(Requester):
    """VluchtelingenWerk's own library, which here returns what it would send."""

    async def _document(self, method: str, path: str, body: Any = None) -> Any:
        return dict(body)


def writer(place: Town) -> Writer:
    other = place.world.vluchtelingenwerk
    return Writer(other._session, other._keystore, other._register, other._key_directory, VW, other._clock)


async def _request(stage: Stage) -> dict[str, Any]:
    return dict(stage.prepared().body)


async def _case(stage: Stage) -> dict[str, Any]:
    return await writer(stage.place).open_case(
        v_number("9991234567"),
        opened_by=DESK,
        casemanager=worker_of(VW, Role.CASEMANAGER).id,
        workers=[worker_of(VW, Role.CASEWORKER)],
        mandate=EVIDENCE,
    )


async def _consent(stage: Stage) -> dict[str, Any]:
    return await writer(stage.place).record_consent(
        persona("amina"),
        purpose=PURPOSE,
        sources=[IND],
        recipients=[VW],
        categories=PAPERS,
        evidence=EVIDENCE,
        worker=DESK,
    )


RIGHT: dict[str, Callable[[Stage], Awaitable[dict[str, Any]]]] = {
    REQUESTS: _request,
    CASES: _case,
    CONSENTS: _consent,
}


async def post(stage: Stage, path: str, body: object, **headers: str) -> Answer:
    key = {"Idempotency-Key": secrets.token_urlsafe(16)} if path == REQUESTS else {}
    return await stage.edge.post(path, body, **key, **headers)


async def works(stage: Stage, path: str) -> dict[str, Any]:
    """The control: a right message is taken. Return another one."""
    answer = await post(stage, path, await RIGHT[path](stage))
    assert answer.status in (200, 201), answer.text
    return await RIGHT[path](stage)


def raw(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body).encode()


def deep(body: Mapping[str, Any]) -> bytes:
    return raw(body)[:-1] + b', "more": ' + b"[" * 40 + b"]" * 40 + b"}"


# --- JSON that two readers could read differently ------------------------------------------------

NOT_OUR_JSON: dict[str, tuple[Callable[[dict[str, Any]], bytes], int, str]] = {
    "nothing": (lambda _: b"", 400, "malformed_json"),
    "half": (lambda body: raw(body)[:-2], 400, "malformed_json"),
    "two texts": (lambda body: raw(body) * 2, 400, "malformed_json"),
    "no JSON": (lambda _: b"client=9990000101", 400, "malformed_json"),
    "a byte order mark": (lambda body: b"\xef\xbb\xbf" + raw(body), 400, "malformed_json"),
    "not UTF-8": (lambda body: raw(body).replace(b"v-number", b"v-n\xfcmber"), 400, "malformed_json"),
    "UTF-16": (lambda body: json.dumps(body).encode("utf-16"), 400, "malformed_json"),
    "NaN": (lambda body: raw({**body, "more": float("nan")}), 400, "malformed_json"),
    "a number of 400 digits": (lambda body: raw({**body, "more": 10**400}), 400, "malformed_json"),
    "a lone surrogate": (lambda body: raw({**body, "more": "\ud800"}), 400, "malformed_json"),
    "a NUL": (lambda body: raw({**body, "more": "\0"}), 400, "malformed_json"),
    "forty levels": (deep, 400, "malformed_json"),
    "a member twice": (lambda body: b'{"client": 1, ' + raw(body)[1:], 400, "duplicate_key"),
    "a member twice, once as an escape": (
        lambda body: raw(body).replace(b'"value":', b'"valu\\u0065": "9990000202", "value":'),
        400,
        "duplicate_key",
    ),
    "300 kB": (lambda body: raw({**body, "more": "x" * 300_000}), 413, "body_too_large"),
    "3 MB of spaces": (lambda body: raw(body) + b" " * 3_000_000, 413, "body_too_large"),
}


@pytest.mark.parametrize("path", RIGHT)
@pytest.mark.parametrize("wrong", NOT_OUR_JSON)
async def test_json_that_can_be_read_in_two_ways_is_refused(stage: Stage, path: str, wrong: str) -> None:
    spoil, status, code = NOT_OUR_JSON[wrong]
    spoiled = spoil(await works(stage, path))
    before = await stage.written()
    answer = await post(stage, path, spoiled)
    assert (answer.status, answer.code) == (status, code)
    assert await stage.written() == before


@pytest.mark.parametrize("path", RIGHT)
@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Encoding": "gzip"},
    ],
)
async def test_a_body_of_another_type_is_refused(stage: Stage, path: str, headers: dict[str, str]) -> None:
    body = await works(stage, path)
    before = await stage.written()
    answer = await post(stage, path, body, **headers)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert await stage.written() == before


# --- JSON that is not a message of ours ------------------------------------------------------------

# What is changed, and what the caller is told: where, and what. Never the value.
EVERYWHERE: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "an unknown field": ({"remark": EVIDENCE_MARK}, [("#/remark", "unknown_field")]),
    "a field named after someone": ({"9990000101": True}, [("#/*", "unknown_field")]),
    "an unknown field inside": (
        {"client": {"scheme": "v-number", "value": "9990000101", "name": "Warsame"}},
        [("#/client/name", "unknown_field")],
    ),
    "a client that is a list": ({"client": ["9990000101"]}, [("#/client", "wrong_type")]),
    "a client that is nothing": ({"client": None}, [("#/client", "wrong_type")]),
    "a number as a number": (
        {"client": {"scheme": "v-number", "value": 9990000101}},
        [("#/client/value", "wrong_type")],
    ),
    "nine digits": ({"client": {"scheme": "v-number", "value": "999000010"}}, [("#/client", "not_valid")]),
    "digits of another script": (
        {"client": {"scheme": "v-number", "value": "٩٩٩٠٠٠٠١٠١"}},
        [("#/client", "not_valid")],
    ),
    "a scheme that nobody knows": (
        {"client": {"scheme": "bsn", "value": "9990000101"}},
        [("#/client/scheme", "unknown_value")],
    ),
    "two fields at once": (
        {"client": {"scheme": "v-number"}, "remark": EVIDENCE_MARK},
        [("#/client/value", "missing_field"), ("#/remark", "unknown_field")],
    ),
}
WORKER_AS_NAME = {"id": "A. Warsame", "role": "caseworker"}
BY_PATH: dict[str, dict[str, tuple[dict[str, Any], list[tuple[str, str]]]]] = {
    REQUESTS: {
        "categories as text": ({"categories": "decisions"}, [("#/categories", "wrong_type")]),
        "no category": ({"categories": []}, [("#/categories", "wrong_length")]),
        "a category that is a number": ({"categories": ["decisions", 7]}, [("#/categories/1", "wrong_type")]),
        "33 categories": ({"categories": ["decisions"] * 33}, [("#/categories", "wrong_length")]),
        "a name for a worker": ({"worker": WORKER_AS_NAME}, [("#/worker/id", "wrong_format")]),
        "a role that nobody has": (
            {"worker": {"id": "vw-jurist-12", "role": "director"}},
            [("#/worker/role", "unknown_value")],
        ),
        "a purpose in words": ({"purpose": "Legal screening!"}, [("#/purpose", "wrong_format")]),
        "a source with a path": ({"source": "../ind"}, [("#/source", "wrong_format")]),
        "a signed request of 70 kB": (
            {"signed_request": "x" * 70_000},
            [("#/signed_request", "wrong_length")],
        ),
    },
    CASES: {
        "a name for a worker": ({"opened_by": WORKER_AS_NAME}, [("#/opened_by/id", "wrong_format")]),
        "a truth for a casemanager": ({"casemanager": True}, [("#/casemanager", "wrong_type")]),
        "65 workers": ({"workers": [{"id": DESK.id, "role": "desk"}] * 65}, [("#/workers", "wrong_length")]),
    },
    CONSENTS: {
        "an instant without a zone": (
            {"valid_until": "2027-01-01T00:00:00"},
            [("#/valid_until", "wrong_format")],
        ),
        "an instant as a number": ({"valid_until": 1_800_000_000}, [("#/valid_until", "wrong_type")]),
        "a decision that is none": ({"decision": "perhaps"}, [("#/decision", "unknown_value")]),
        "no recipient": ({"recipients": []}, [("#/recipients", "wrong_length")]),
    },
}
NOT_A_MESSAGE = [
    pytest.param(path, *change, id=f"{name} at {path}")
    for path in RIGHT
    for name, change in {**EVERYWHERE, **BY_PATH[path]}.items()
]


@pytest.mark.parametrize(("path", "change", "errors"), NOT_A_MESSAGE)
async def test_a_message_that_does_not_fit_is_told_where_and_never_what(
    stage: Stage, path: str, change: dict[str, Any], errors: list[tuple[str, str]]
) -> None:
    spoiled = {**await works(stage, path), **change}
    before = await stage.written()
    answer = await post(stage, path, spoiled)
    assert (answer.status, answer.code) == (400, "invalid_input")
    assert sorted((one["pointer"], one["code"]) for one in answer.json["errors"]) == sorted(errors)
    assert await stage.written() == before


@pytest.mark.parametrize("path", RIGHT)
async def test_every_field_that_must_be_there_is_missed(stage: Stage, path: str) -> None:
    body = await works(stage, path)
    optional = {"valid_until", "explicit", "statements", "workers"}
    before = await stage.written()
    for name in body.keys() - optional:
        answer = await post(stage, path, {key: value for key, value in body.items() if key != name})
        assert (answer.status, answer.code) == (400, "invalid_input"), name
        assert answer.json["errors"] == [{"pointer": f"#/{name}", "code": "missing_field"}]
    for whole in (b"[]", b"null", b"7", b'"9990000101"'):
        answer = await post(stage, path, whole)
        assert (answer.status, answer.code) == (400, "invalid_input"), whole
    assert await stage.written() == before


async def test_a_number_in_an_address_reaches_no_log(stage: Stage, logs: io.BytesIO) -> None:
    for path in ("/v1/cases/9990000101", "/v1/nothing?v=9990000101", f"{REQUESTS}/9990000101"):
        answer = await stage.edge.call("GET", path.partition("?")[0])
        assert answer.status in (400, 404, 405), path
        assert answer.code in ("page_not_found", "not_found", "method_not_allowed", "invalid_input")
    assert "9990000101" not in check_logs(logs)


# --- who calls (tests/integration/oauth has the rest) ------------------------------------------------


async def test_who_calls_is_asked_before_a_byte_of_the_body_is_read(stage: Stage) -> None:
    body = await works(stage, REQUESTS)
    token, path = await stage.edge.token(), REQUESTS
    forged = jose.sign({"sub": VW, "exp": 4_000_000_000}, stage.rogue.key(VW), "at+jwt")
    async with Edge(stage.place, "askv") as askv:
        others_proof = askv.proof("POST", path, token)

    def headers(scheme: str = "DPoP", token: str = token, proof: str | None = None) -> dict[str, str]:
        made = proof or stage.edge.proof("POST", path, token)
        kind = {"Content-Type": "application/json", "Idempotency-Key": "a-key-of-its-own"}
        return {**kind, "Authorization": f"{scheme} {token}", "DPoP": made}

    used = headers()
    assert (await stage.edge.send("POST", path, raw(body), used)).status == 200
    before = await stage.written()
    wrong = {
        "proof_replayed": used,
        "token_missing": headers("Bearer"),
        "token_invalid": headers(token=forged),
        "proof_invalid": headers(proof=others_proof),
    }
    for code, sent in wrong.items():
        for content in (raw(body), b"{" * 1_000_000):
            answer = await stage.edge.send("POST", path, content, sent)
            assert (answer.status, answer.code) == (401, code)
            assert answer.headers["WWW-Authenticate"].startswith("DPoP")
    proof = stage.edge.proof("POST", "/v1/cases", token)
    answer = await stage.edge.send("POST", path, raw(body), headers(proof=proof))
    assert (answer.status, answer.code) == (401, "proof_invalid")
    assert await stage.written() == before
