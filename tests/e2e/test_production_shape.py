"""The demo and `poort up` as in production: two gateways on one PostgreSQL, an OPA; one gateway is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from gateway.cli.served import calls_answered
from gateway.policy.bundle import archive_in
from tests import grounds, opa

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.postgres]

POORT = (sys.executable, "-m", "gateway.cli")
KILLED, OTHER = "gateway-1", "gateway-2"
ASK, LOOK = "POST /v1/dossier-requests", "GET /v1/dossier-requests/{id}"
WITHDRAW, BRING = "POST /v1/consents/{id}/withdrawal", "POST /v1/orders/{id}/answer"


def poort(
    *arguments: str | Path, timeout_seconds: float = 180, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*POORT, *map(str, arguments)],
        env=surroundings() | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_seconds,
    )


def surroundings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("POORT_")}


@dataclass(frozen=True)
class Told:
    """What the demo said and left."""

    document: dict[str, Any]
    folder: Path
    database_url: str

    def step(self, title: str) -> dict[str, Any]:
        return next(step for step in self.document["steps"] if step["title"] == title)

    def log(self, gateway: str) -> Path:
        return self.folder / "logs" / f"{gateway}.log"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Tell the story once, with all settings but the number of gateways from the environment."""
    binary, url = opa.binary(), grounds.postgres().database()
    folder = tmp_path_factory.mktemp("production")
    done = poort(
        "demo",
        "--json",
        "--gateways",
        "2",
        "--folder",
        folder,
        POORT_DATABASE_URL=url,
        POORT_POLICY_ENGINE="opa",
        POORT_OPA_BINARY=str(binary),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Told(json.loads(done.stdout), folder, url)


def test_every_step_holds_and_an_opa_decided(told: Told) -> None:
    assert told.document["completed"] is True
    assert [step["step"] for step in told.document["steps"]] == list(range(1, 12))
    # What OPA began with held one version; what it keeps by now it fetched from a gateway itself.
    with tarfile.open(archive_in(told.folder / "opa")) as bundle:
        manifest = json.load(bundle.extractfile(".manifest"))
    changed = told.step("The agreement, and one change of it")
    assert {changed["was"], changed["in_force"]} < set(manifest["revision"].split("+"))
    assert not list(told.folder.glob("gateway.sqlite*"))


def test_the_same_request_goes_on_at_the_gateway_that_was_left(told: Told) -> None:
    step = told.step("A gateway dies")
    assert (step["killed"], step["exit_status"]) == (KILLED, -signal.SIGKILL)
    sent, came, anew = step["asked"]
    assert (sent["state"], came["state"], anew["state"]) == ("forwarded", "answered", "answered")
    assert sent["id"] == came["id"] == step["request"]
    for answer in (came, anew):
        assert set(answer["baseline"]) == {"perspective", "partners"}
        assert answer["documents"] == []


def test_each_step_of_a_request_crossed_to_another_gateway(told: Told) -> None:
    """By the gateways' own logs: were one of them never used, there would be nothing of it here."""
    killed, other = (calls_answered(told.log(name)) for name in (KILLED, OTHER))
    assert told.document["calls_answered"] == {KILLED: killed, OTHER: other}
    # Consents are withdrawn at the one; what they were asked under had been asked at the other.
    assert (killed[WITHDRAW], other[WITHDRAW]) == (0, 2)
    assert killed[ASK] >= 5
    # The repetition before the kill, the one after it, what was asked anew, and a stranger's two.
    assert other[ASK] >= 5
    assert (killed[BRING], other[BRING]) == (1, 1)
    assert killed[LOOK] >= 1
    assert other[LOOK] >= 1


def test_a_database_that_is_not_empty_is_refused_and_left_as_it_is(told: Told, tmp_path: Path) -> None:
    shared = grounds.postgres()
    name = told.database_url.rpartition("/")[2]
    counted = "SELECT count(*) FROM ledger_entries"
    before = shared.sql(counted, database=name)
    secret = told.database_url.replace("postgres@", "postgres:hush@")
    for command in (("demo", "--json"), ("up",)):
        refused = poort(*command, "--folder", tmp_path, POORT_DATABASE_URL=secret)
        assert refused.returncode == 1
        assert "not empty" in refused.stderr
        assert "hush" not in refused.stderr + refused.stdout
    assert shared.sql(counted, database=name) == before != "0"
    assert list(tmp_path.iterdir()) == []


def test_up_keeps_two_gateways_running_and_says_where_they_are(tmp_path: Path) -> None:
    url = grounds.postgres().database()
    with (tmp_path / "said").open("w") as said:
        running = subprocess.Popen(
            [*POORT, "up", "--gateways", "2", "--folder", str(tmp_path)],
            env=surroundings() | {"POORT_DATABASE_URL": url},
            stdout=said,
            stderr=said,
        )
    try:
        sandbox = tmp_path / "sandbox.json"
        for _ in range(900):
            if sandbox.exists() and sandbox.stat().st_size:
                break
            assert running.poll() is None, (tmp_path / "said").read_text()
            time.sleep(0.1)
        content = json.loads(sandbox.read_text())
        assert len(content["gateways"]) == 2
        assert content["gateway"] == content["gateways"][0]
        for address in content["gateways"]:
            with urlopen(f"{address}/readyz", timeout=10) as answer:
                assert answer.status == 200
        # Told of the second gateway first, the command line finds the gateway there, under its one name.
        sandbox.write_text(json.dumps(content | {"gateways": content["gateways"][1:]}))
        asked = poort(
            *("request", "ask", "--client", "amina", "--worker", "askv-jurist-3", "--json"),
            *("--purpose", "legal_screening", "--source", "ind", "--category", "perspective"),
            *("--sandbox", sandbox, "--as", "askv"),
        )
        assert json.loads(asked.stdout)["state"] == "nothing_to_share", asked.stderr
        assert calls_answered(tmp_path / "logs" / f"{OTHER}.log")[ASK] == 1
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)
    assert not sandbox.exists()


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (("--gateways", "2"), {}, "Two gateways need a database that both can use"),
        ((), {"POORT_DATABASE_URL": "sqlite:///x.sqlite"}, "The database is postgresql+asyncpg://"),
        ((), {"POORT_DATABASE_URL": "postgresql+asyncpg://u:hush@127.0.0.1:1/x"}, "cannot be used"),
        (("--policy-engine", "opa"), {"POORT_OPA_URL": "https://opa.example:8181"}, "OPA is started here"),
    ],
    ids=["two-on-a-file", "another-database", "no-server", "another-machines-opa"],
)
def test_what_cannot_be_run_is_refused_with_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    refused = poort("demo", *arguments, "--folder", tmp_path, **variables)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "hush" not in refused.stderr + refused.stdout
    assert list(tmp_path.iterdir()) == []
