"""The description of the API suffices: a client that has nothing else gets a dossier, and proves it."""

from __future__ import annotations

import ast
import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.processes import choose_addresses, processes
from gateway.cli.provision import provision
from gateway.cli.stack import running
from gateway.cli.up import sandbox_content

pytestmark = [pytest.mark.processes, pytest.mark.slow]

BARE_CLIENT = Path(__file__).with_name("bare_client.py")
AMINA = {"scheme": "v-number", "value": "9990000101"}
DESK, SECOND = {"id": "vw-balie-01", "role": "desk"}, {"id": "vw-balie-02", "role": "desk"}
LAWYER = {"id": "vw-jurist-12", "role": "caseworker"}
EVIDENCE = {
    "method": "signature_on_paper",
    "notice": {"language": "ti", "digest": "sha-256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"},
    "staff": "vw-balie-01",
    "teach_back": "understood",
    "age_group": "from_16",
    "salt": "c2FsdC1vZi10aGlzLXRlc3Q",
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    """Sign in with the bare client, as VluchtelingenWerk, at a stack of its own."""
    deployment = provision(tmp_path, choose_addresses(), now=int(time.time()))
    with running(processes(deployment), tmp_path / "logs", lambda name, seconds: None):
        sandbox = sandbox_content(deployment)
        keys = sandbox["parties"]["vluchtelingenwerk"]["private_keys"]["keys"]
        bare = _module().BareClient(sandbox["register"], "vluchtelingenwerk", keys["sign"], keys["encrypt"])
        bare.sign_in()
        yield bare


def test_a_client_that_knows_only_the_description_gets_a_dossier_and_proves_it(client: Any) -> None:
    assert _ask(client, ["perspective"])[0]["state"] == "nothing_to_share"
    case = client.call(
        "POST",
        "/cases",
        {
            "client": AMINA,
            "mandate": EVIDENCE,
            "casemanager": "vw-regie-07",
            "workers": [DESK, SECOND, LAWYER],
            "opened_by": DESK,
        },
    )
    with pytest.raises(RuntimeError, match="same_worker"):
        client.call("POST", f"/cases/{case['id']}/confirmation", {"worker": DESK})
    client.call("POST", f"/cases/{case['id']}/confirmation", {"worker": SECOND})

    without, jti = _ask(client, ["perspective", "partners", "decisions"])
    assert client.open(without, "ind", jti) == []
    assert without["answer"]["baseline"] == {"perspective": "yes", "partners": ["vluchtelingenwerk"]}

    consent = client.record_consent(AMINA, "legal_screening", "ind", ["decisions"], EVIDENCE, DESK, SECOND)
    assert consent["state"] == "active"
    came, jti = _ask(client, ["perspective", "decisions"])
    documents = client.open(came, "ind", jti)
    for changed in ({"baseline": {"perspective": "no"}}, {"sealed": came["answer"]["sealed"][1:]}):
        # What it proves would be worth nothing if it believed everything.
        with pytest.raises(AssertionError):
            client.open({**came, "answer": came["answer"] | changed}, "ind", jti)
    assert {one["category"] for one in documents} == {"decisions"}
    assert all(one["content"].startswith(b"%PDF-") for one in documents)

    detail = client.prove(came["id"])
    assert (detail["kind"], detail["exchange"]) == ("handed_over", came["id"])
    closed = client.call("POST", f"/dossier-requests/{came['id']}/acknowledgement", {"worker": LAWYER})
    assert closed["state"] == "collected"


def test_the_bare_client_uses_nothing_of_ours() -> None:
    tree = ast.parse(BARE_CLIENT.read_text("utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [getattr(node, "module", None) or node.names[0].name for node in nodes]
    assert "requests" in names
    assert {name.partition(".")[0] for name in names}.isdisjoint({"gateway", "adapters", "consent", "tests"})


def _ask(client: Any, categories: list[str]) -> Any:
    return client.ask(AMINA, "legal_screening", "ind", categories, LAWYER)


def _module() -> Any:
    spec = importlib.util.spec_from_file_location("bare_client", BARE_CLIENT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
