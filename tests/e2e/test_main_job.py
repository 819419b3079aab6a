"""The main job on real processes: the steps that `poort demo` tells, each with what it must find."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator

import pytest

from gateway.cli.facts import Facts
from gateway.cli.processes import choose_addresses, processes
from gateway.cli.provision import Deployment, provision
from gateway.cli.stack import running
from gateway.cli.story import STEPS
from gateway.cli.world import inhabited

pytestmark = [pytest.mark.processes, pytest.mark.slow]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Run the whole stack for the length of this module."""
    folder = tmp_path_factory.mktemp("stack")
    made = provision(folder, choose_addresses(), now=int(time.time()))
    with running(processes(made), folder / "logs", lambda name, seconds: None):
        yield made


@pytest.fixture(scope="module")
def told(deployment: Deployment) -> dict[int, Facts]:
    """Tell the story once; the tests below look at what each step found."""

    async def tell() -> dict[int, Facts]:
        async with inhabited(deployment, deployment.folder) as world:
            return {step.number: await step.run(world) for step in STEPS}

    return asyncio.run(tell())


def test_1_a_case_involves_nobody_until_a_second_worker_confirms_the_mandate(
    told: dict[int, Facts],
) -> None:
    assert [asked.exchange.state for asked in told[1].asked] == ["nothing_to_share"] * 2
    assert [denied.code for denied in told[1].denied] == ["same_worker"]
    assert told[1].values["state"] == "active"


def test_2_without_consent_the_baseline_comes_and_each_other_category_says_why_not(
    told: dict[int, Facts],
) -> None:
    answer = told[2].as_json()["asked"][0]
    assert answer["baseline"] == {"perspective": "yes", "partners": ["goedwerk", "vluchtelingenwerk"]}
    assert answer["documents"] == []
    assert {one["reason"] for one in answer["withheld"].values()} == {"no_consent"}
    assert set(answer["withheld"]) == {"decisions", "dossier_documents"}


def test_3_a_consent_counts_only_once_a_second_worker_confirms_it(told: dict[int, Facts]) -> None:
    assert [denied.code for denied in told[3].denied] == ["same_worker"]
    assert told[3].values["state"] == "active"


def test_4_with_consent_the_papers_come_sealed_and_proven(told: dict[int, Facts]) -> None:
    answer = told[4].as_json()["asked"][0]
    assert {one["category"] for one in answer["documents"]} == {"decisions", "dossier_documents"}
    assert all(one["bytes"] > 100_000 for one in answer["documents"])
    assert answer["withheld"] == {}
    assert told[4].values["ledger_index"] > 0


def test_5_a_withdrawal_holds_for_the_next_request_and_for_one_under_way(
    told: dict[int, Facts],
) -> None:
    after, sent, came = told[5].as_json()["asked"]
    assert sent["state"] == "forwarded"
    assert sent["id"] == came["id"]
    for answer in (after, came):
        assert set(answer["baseline"]) == {"perspective", "partners"}
        assert answer["documents"] == []
        assert set(answer["withheld"]) == {"decisions", "dossier_documents"}


def test_6_a_stranger_gets_the_same_answer_about_a_client_and_about_nobody(
    told: dict[int, Facts],
) -> None:
    assert told[6].values["known"] == told[6].values["unknown"]
    assert told[6].values["known"]["state"] == "nothing_to_share"
    assert told[6].values["lengths"][0] == told[6].values["lengths"][1]


def test_7_supervision_and_the_municipality_are_refused_by_the_agreement_alone(
    told: dict[int, Facts],
) -> None:
    refused = {denied.by: denied for denied in told[7].denied}
    assert refused["avim"].code == "purpose_not_in_agreement"
    assert refused["gemeente-amsterdam"].code == "party_never_receives"
    assert all(denied.status == 403 and denied.paragraph for denied in refused.values())


def test_8_a_forged_consent_and_a_swapped_key_do_not_make_the_source_speak(
    told: dict[int, Facts],
) -> None:
    assert told[8].values["forged_consent"] == {"status": 403, "code": "order_refused_consent_invalid"}
    assert told[8].values["swapped_key"] == {"status": 403, "code": "order_refused_request_invalid"}


def test_9_a_new_version_takes_two_people_and_every_founder_and_no_request_is_refused_meanwhile(
    told: dict[int, Facts],
) -> None:
    assert [denied.code for denied in told[9].denied] == ["same_worker", "agreement_not_ready"]
    before, after = told[9].as_json()["asked"]
    assert {name: one["reason"] for name, one in before["withheld"].items()} == {
        "contact": "no_rule",
        "family": "no_consent",
    }
    assert {name: one["reason"] for name, one in after["withheld"].items()} == {
        "contact": "no_consent",
        "family": "no_rule",
    }
    assert told[9].values["was"] != told[9].values["in_force"]
    # Asked before and after the instant, both more than once: it did not fall between two requests by luck.
    meanwhile = told[9].values["asked_meanwhile"]
    assert min(meanwhile["old"], meanwhile["new"]) > 2


def test_10_the_ledger_verifies_offline_from_a_file_and_a_public_key(told: dict[int, Facts]) -> None:
    assert told[10].values["entries"] > 10


def test_the_gateways_log_is_json_also_where_the_server_complains(deployment: Deployment) -> None:
    port = int(deployment.addresses.gateway.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(b"9990000101\r\n\r\n")
        head, _, body = line.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"API-Version: 1" in head
    assert b"application/problem+json" in head
    assert json.loads(body)["code"] == "invalid_input"
    # Read until the complaint is there: it is written beside the answer.
    for _ in range(50):
        lines = (deployment.folder / "logs" / "gateway.log").read_bytes().splitlines()
        events = [json.loads(one) for one in lines]
        if any(event.get("library") == "uvicorn.error" for event in events):
            return
        time.sleep(0.1)
    raise AssertionError("the server's complaint is not in the log")


def test_no_log_and_no_database_holds_an_identifier_or_a_name(
    told: dict[int, Facts], deployment: Deployment
) -> None:
    assert told
    marks = [b"9990000101", b"9990000303", b"9990004242", b"Warsame", b"Gemechu"]
    kept = [path for path in deployment.folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".log" for path in kept)
    for path in kept:
        content = path.read_bytes()
        assert not [mark for mark in marks if mark in content], path
