"""The schema of the input is that of the Python types, and finds what is not in them."""

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from adapters.kit.register import agreement_digest
from gateway.policy.rego import document
from gateway.policy.schema import input_schema, text
from tests.integration.policy.corpus import questions

POLICIES = Path(__file__).resolve().parents[3] / "policies"
DATA: dict[str, Any] = json.loads((POLICIES / "agreement" / "agreement.json").read_bytes())
DIGEST = agreement_digest(DATA)


def test_the_schema_that_the_policies_are_checked_with_is_that_of_the_types() -> None:
    written = (POLICIES / "input.schema.json").read_text()
    assert written == text(), "run `python -m gateway.policy.schema`"


def test_every_question_is_of_the_schema() -> None:
    validator = jsonschema_rs.validator_for(input_schema())
    with_consents = 0
    for asked in islice(questions(DATA, 2_000, 41, under=DIGEST), 2_000):
        sent = document(asked)
        validator.validate(json.loads(json.dumps(sent)))
        with_consents += bool(sent["consents"])
    assert with_consents > 200


def _consented() -> dict[str, Any]:
    found = next(one for one in questions(DATA, 2_000, 41, under=DIGEST) if one.consents)
    sent: dict[str, Any] = json.loads(json.dumps(document(found)))
    return sent


def _fact(sent: dict[str, Any]) -> dict[str, Any]:
    fact: dict[str, Any] = next(iter(sent["consents"].values()))[0]
    return fact


OTHERWISE: dict[str, Callable[[dict[str, Any]], object]] = {
    **{f"without {name}": lambda sent, name=name: sent.pop(name) for name in _consented()},
    **{
        f"a consent without {name}": lambda sent, name=name: _fact(sent).pop(name)
        for name in _fact(_consented())
    },
    "with a fact that nobody sends": lambda sent: sent.update(signed_by=[]),
    "a consent with a fact that nobody sends": lambda sent: _fact(sent).update(withdrawn_at=0),
    "a moment in words": lambda sent: sent.update(now="1764000000"),
    "a moment before all others": lambda sent: sent.update(now=-1),
    "half a truth": lambda sent: sent.update(founding_signed=1),
    "a category in place of several": lambda sent: sent.update(categories="decisions"),
    "consents in a row": lambda sent: sent.update(consents=[]),
}


@pytest.mark.parametrize("change", OTHERWISE)
def test_whatever_is_no_question_is_not(change: str) -> None:
    validator = jsonschema_rs.validator_for(input_schema())
    sent = _consented()
    validator.validate(sent)
    OTHERWISE[change](sent)
    assert not validator.is_valid(sent)
