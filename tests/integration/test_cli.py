"""`poort` as people and programs use it: a running sandbox, one command after the other."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PURPOSE = ("--purpose", "legal_screening")
TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
POORT = (sys.executable, "-m", "gateway.cli")


def poort(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    environment = os.environ | {"COLUMNS": "120"}
    return subprocess.run(
        [*POORT, *arguments], capture_output=True, text=True, timeout=90, input=stdin, env=environment
    )


class Sandbox:
    """A stack that `poort up` keeps running, and its file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "sandbox.json"
        log = (folder / "up.log").open("wb")
        self.process = subprocess.Popen([*POORT, "up", "--folder", str(folder)], stdout=log, stderr=log)
        log.close()

    def wait(self) -> None:
        for _ in range(900):
            if self.file.is_file() and self.file.stat().st_size:
                return
            assert self.process.poll() is None, (self.folder / "up.log").read_text()
            time.sleep(0.1)
        raise AssertionError("poort up is not ready")

    def json(self, *arguments: str, party: str = "vluchtelingenwerk", code: int = 0) -> Any:
        done = poort(*arguments, "--json", "--sandbox", str(self.file), "--as", party)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Run `poort up` for the length of this module."""
    running = Sandbox(tmp_path_factory.mktemp("var"))
    try:
        running.wait()
        yield running
    finally:
        running.process.send_signal(signal.SIGINT)
        running.process.wait(30)


def test_help_names_every_command_and_gives_an_example() -> None:
    assert {"demo", "up", "request", "consent", "case", "ledger", "serve"} <= set(
        poort("--help").stdout.split()
    )
    assert "Example:" in poort("request", "ask", "--help").stdout


def test_a_call_without_what_it_needs_is_a_usage_error() -> None:
    assert poort("request", "ask").returncode == 2
    done = poort("case", "find", "--client", "v-number:9990000101", "--worker", "vw-balie-01:desk")
    assert done.returncode == 2
    assert "--sandbox" in done.stderr


def test_an_identifier_that_cannot_be_read_is_not_repeated(sandbox: Sandbox) -> None:
    given = ("case", "find", "--worker", "vw-balie-01", "--sandbox", str(sandbox.file), "--as", "askv")
    done = poort(*given, "--client", "v-number:12345")
    assert done.returncode == 2
    assert "12345" not in done.stdout + done.stderr


@pytest.mark.processes
def test_the_sandbox_file_is_for_its_owner_alone_and_names_everything(sandbox: Sandbox) -> None:
    assert stat.S_IMODE(sandbox.file.stat().st_mode) == 0o600
    content = json.loads(sandbox.file.read_bytes())
    assert set(content["parties"]) >= {"vluchtelingenwerk", "askv", "ind", "avim", "gemeente-amsterdam"}
    assert {"private_keys", "workers", "client_id"} <= set(content["parties"]["askv"])
    assert {"amina", "chaltu"} <= {persona["name"] for persona in content["personas"]}


@pytest.mark.processes
def test_a_second_stack_does_not_take_the_keys_from_under_the_first(sandbox: Sandbox) -> None:
    done = poort("up", "--folder", str(sandbox.folder))
    assert done.returncode == 1
    assert "already runs" in done.stderr
    assert sandbox.file.is_file()


@pytest.mark.processes
@pytest.mark.slow
def test_a_case_a_consent_a_request_and_its_proof_by_command(sandbox: Sandbox, tmp_path: Path) -> None:
    v_number = "v-number:9990000101"
    about = ("--client", "amina")
    opened = sandbox.json(
        *("case", "open", *about, "--worker", "vw-balie-01", "--casemanager", "vw-regie-07"),
        *("--with", "vw-jurist-12", "--with", "vw-balie-01", "--with", "vw-balie-02"),
    )
    assert opened["state"] == "pending"
    refused = sandbox.json("case", "confirm", opened["id"], "--worker", "vw-balie-01", code=1)
    assert refused["code"] == "same_worker"
    assert refused["next_step"]
    sandbox.json("case", "confirm", opened["id"], "--worker", "vw-balie-02")
    # The number on standard input stays out of the shell's history and of the list of processes.
    found = poort(
        *("case", "find", "--client", "-", "--worker", "vw-jurist-12", "--json"),
        *("--sandbox", str(sandbox.file), "--as", "vluchtelingenwerk"),
        stdin=v_number + "\n",
    )
    assert [case["id"] for case in json.loads(found.stdout)["cases"]] == [opened["id"]]

    ask = ("request", "ask", *about, *PURPOSE, "--worker", "vw-jurist-12", "--source", "ind")
    ask = (*ask, "--category", "perspective", "--category", "decisions")
    baseline = sandbox.json(*ask)
    assert baseline["answer"]["baseline"] == {"perspective": "yes"}
    assert baseline["answer"]["sealed"] == []

    consent = sandbox.json(
        *("consent", "record", *about, *PURPOSE, "--worker", "vw-balie-01", "--source", "ind"),
        *("--recipient", "vluchtelingenwerk", "--category", "decisions"),
    )
    sandbox.json("consent", "confirm", consent["id"], "--worker", "vw-balie-02")
    listed = sandbox.json("consent", "list", *about, "--worker", "vw-balie-01")
    assert [one["state"] for one in listed["consents"]] == ["active"]
    assert sandbox.json("consent", "receipt", consent["id"])["receipt"]

    papers = tmp_path / "papers"
    answered = sandbox.json(*ask, "--save-to", str(papers))
    assert [Path(path).read_bytes()[:5] for path in answered["saved"]] == [b"%PDF-"] * 2
    explained = sandbox.json("policy", "explain", "--request", answered["id"])
    assert [one["ground"] for one in explained["decisions"]] == ["baseline", "consent"]
    assert explained["decisions"][1]["consent"] == consent["id"]
    proven = sandbox.json("request", "receipt", answered["id"])
    assert proven["inclusion_proof"]["leaf_index"] < proven["inclusion_proof"]["tree_size"]
    assert (
        sandbox.json("consent", "withdraw", consent["id"], "--worker", "vw-balie-01")["state"] == "withdrawn"
    )
    assert sandbox.json("request", "show", answered["id"], "--source", "ind")["answer"]["sealed"] == []
    closed = sandbox.json("request", "acknowledge", answered["id"], "--worker", "vw-jurist-12")
    assert closed["state"] == "collected"

    ledger = tmp_path / "ledger.json"
    exported = sandbox.json("ledger", "export", str(ledger), party="askv")
    verified = poort("ledger", "verify", str(ledger), "--vkey", exported["vkey"], "--json")
    assert json.loads(verified.stdout)["entries"] == exported["entries"]
    tampered = json.loads(ledger.read_bytes())
    tampered["entries"][0], tampered["entries"][1] = tampered["entries"][1], tampered["entries"][0]
    ledger.write_text(json.dumps(tampered))
    doubtful = poort("ledger", "verify", str(ledger), "--vkey", exported["vkey"])
    assert doubtful.returncode == 1
    assert "next step" in doubtful.stderr


@pytest.mark.processes
@pytest.mark.slow
def test_every_command_of_the_tutorial_runs(sandbox: Sandbox, tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 5
    # Run elsewhere, so that its files stay out of the repository; the first block sets the scene.
    scene = f"set -eu\nexport PATH='{Path(sys.executable).parent}':$PATH\n"
    script = scene + "".join(blocks).replace("var/sandbox.json", str(sandbox.file))
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=180, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("exit code 1") == 4
    assert done.stdout.count("nothing to share") == 3
    assert "still_waiting" in done.stderr
    assert "scheduled: in force from" in done.stdout
    assert "signed by 3 of 4" in done.stdout
    assert "verified" in done.stdout
    assert len(list((tmp_path / "papers").iterdir())) == 2


@pytest.mark.processes
def test_a_refusal_by_the_agreement_ends_with_its_paragraph_and_exit_code_1(sandbox: Sandbox) -> None:
    refused = sandbox.json(
        *("request", "ask", "--client", "amina", *PURPOSE, "--worker", "ams-loket-1", "--source", "ind"),
        *("--category", "perspective"),
        party="gemeente-amsterdam",
        code=1,
    )
    assert refused["code"] == "party_never_receives"
    assert refused["paragraph"].startswith("art. 4.3")
    assert refused["message"].endswith("whatever the client consents to.")


@pytest.mark.processes
def test_the_counts_of_a_quarter_by_command(sandbox: Sandbox) -> None:
    who = ("--client", "goitom", "--worker", "askv-balie-1", "--casemanager", "askv-regie-2")
    sandbox.json("case", "open", *who, party="askv")
    (file,) = sandbox.folder.rglob("gateway.sqlite")
    # As if this gateway had begun half a year ago.
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute('UPDATE ledger_details SET recorded_at = recorded_at - 15768000 WHERE "index" = 0')
    coordination = ("--sandbox", str(sandbox.file), "--as", "regie-organisatie")
    quarters = sandbox.json("report", "list", party="regie-organisatie")["reports"]
    assert len(quarters) == 2
    counts = ("report", "counts", "--quarter", quarters[-1]["quarter"])
    report = sandbox.json(*counts, party="regie-organisatie")
    assert {(one["at_least"], one["at_most"]) for one in report["figures"]} == {(0, 9)}
    shown = poort(*counts, *coordination)
    assert (shown.returncode, shown.stdout.count("0–9")) == (0, 7)
    assert "not read yet" in poort("report", "list", *coordination).stdout
    refused = poort(*counts, "--sandbox", str(sandbox.file), "--as", "askv")
    assert (refused.returncode, "not_for_this_party" in refused.stderr) == (1, True)
    assert "art. 4.1" in refused.stderr
    malformed = poort("report", "counts", "--quarter", "third", *coordination)
    assert (malformed.returncode, "not_a_quarter" in malformed.stderr) == (1, True)


def test_up_says_how_to_begin_in_lines_that_can_be_copied(sandbox: Sandbox) -> None:
    said = (sandbox.folder / "up.log").read_text("utf-8")
    content = json.loads(sandbox.file.read_bytes())
    assert f"Dossierpoort runs at {content['gateway']} (loopback only)\n" in said
    # The log is no terminal, so Rich takes it to be 80 columns wide: nothing may be cut for that.
    assert f"\n  export POORT_SANDBOX={sandbox.file} POORT_AS=vluchtelingenwerk\n" in said
    assert [line for line in said.splitlines() if line != line.rstrip()] == []
    commands = [
        line.strip() for line in said.replace("\\\n", " ").splitlines() if line.startswith("  poort ")
    ]
    assert len(commands) == 3
    at = {"POORT_SANDBOX": str(sandbox.file), "POORT_AS": "vluchtelingenwerk"}
    for command in commands:
        if " ID " not in command:
            words = shlex.split(command)[1:]
            done = subprocess.run(
                [*POORT, *words], capture_output=True, text=True, timeout=90, env=os.environ | at
            )
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.processes
def test_ctrl_c_ends_every_process_and_removes_the_sandbox_file(tmp_path: Path) -> None:
    stack = Sandbox(tmp_path)
    try:
        stack.wait()
        content = json.loads(stack.file.read_bytes())
    finally:
        stack.process.send_signal(signal.SIGINT)
        stack.process.wait(30)
    assert stack.process.returncode == 0
    assert not stack.file.exists()
    gone = poort("serve", "simulator", "nobody")
    assert gone.returncode == 2
    assert _nobody_listens(
        [content["gateway"], *content["adapters"].values(), *content["simulators"].values()]
    )


def _nobody_listens(urls: list[str]) -> bool:
    import socket

    for url in urls:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0:
                return False
    return True
