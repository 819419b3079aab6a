"""`poort agreement` at a gateway: a version goes from a draft to one that waits for its instant."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapters.kit.register import agreement_digest
from gateway.cli.commands import app
from gateway.cli.processes import choose_addresses
from gateway.cli.provision import AGREEMENT, Deployment, gateway_environment, provision
from gateway.cli.up import write_sandbox

pytestmark = [pytest.mark.processes, pytest.mark.slow]
DATA: dict[str, Any] = json.loads(AGREEMENT.read_bytes())
IN_FORCE = agreement_digest(DATA)
VW = "vluchtelingenwerk"


@dataclass
class Place:
    """A gateway in a process of its own, and the parties' keys."""

    folder: Path
    deployment: Deployment

    def run(self, *arguments: str, party: str = VW, answer: str | None = None) -> Result:
        given = ["agreement", *arguments, "--sandbox", str(self.folder / "sandbox.json"), "--as", party]
        return CliRunner().invoke(app, given, input=answer)

    def done(self, *arguments: str, party: str = VW, answer: str | None = None) -> str:
        done = self.run(*arguments, party=party, answer=answer)
        assert done.exit_code == 0, done.output
        return done.stdout

    def refused(self, *arguments: str, party: str = VW, answer: str | None = None) -> str:
        done = self.run(*arguments, party=party, answer=answer)
        assert done.exit_code == 1, done.output
        return " ".join(done.stderr.split())

    def json(self, *arguments: str, party: str = VW) -> Any:
        return json.loads(self.done(*arguments, "--json", party=party))

    def draft(self, **changes: Any) -> str:
        """Write a version that follows the one in force: contact opens on consent, family closes."""
        document = copy.deepcopy(DATA)
        document |= {"version": "2026.2", "supersedes": IN_FORCE, "valid_from": int(time.time()) + 3600}
        to_ind = document["rules"]["legal_screening"]["ngo"]["ind"]
        to_ind["contact"] = {**to_ind["decisions"], "id": "legal_screening.ngo.ind.contact"}
        del to_ind["family"]
        file = self.folder / "draft.json"
        file.write_text(json.dumps(document | changes), encoding="utf-8")
        return str(file)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A gateway without sources: nothing is asked of any here."""
    folder = tmp_path_factory.mktemp("var")
    deployment = provision(folder, choose_addresses(), now=int(time.time()))
    write_sandbox(folder / "sandbox.json", deployment)
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "serve", "gateway"],
            env={**os.environ, **gateway_environment(deployment)},
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "gateway.log").read_text()
            try:
                urllib.request.urlopen(f"{deployment.addresses.gateway}/livez", timeout=1).close()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.1)
        yield Place(folder, deployment)
    finally:
        process.terminate()
        process.wait(20)


def test_the_version_in_force_is_listed_shown_and_rendered_with_its_verified_signatures(place: Place) -> None:
    header, row = place.done("list", "--lang", "en").splitlines()
    assert header.split() == ["version", "state", "signed", "from", "digest"]
    assert row.split() == [DATA["version"], "in", "force", "4", "of", "4", "2025-01-01T00:00:00Z", IN_FORCE]
    assert "in werking  4 van 4" in place.done("list")
    shown = place.json("show")
    assert (shown["digest"], shown["state"]) == (IN_FORCE, "in_force")
    assert shown["verified_signatures"] == shown["signed_by"]
    assert "ASKV, AVIM, DT&V" in place.done("show", IN_FORCE)
    assert "stand           in werking; ondertekend door 4 van 4" in place.done("show", IN_FORCE)
    assert "state           in force; signed by 4 of 4" in place.done("show", IN_FORCE, "--lang", "en")
    rendered = place.done("render")
    assert "- **Stand:** in werking" in rendered
    assert "| Goedwerk | terugkeerorganisatie | ja | nee | ja |" in rendered
    assert "| IOM | terugkeerorganisatie | nog niet | nee | ja |" in rendered
    assert place.done("render", IN_FORCE, "--lang", "en").startswith("# Privacy agreement")


def test_a_party_takes_its_signature_back_and_gives_it_again(place: Place) -> None:
    as_goedwerk = {"party": "goedwerk"}
    assert (
        "goedwerk"
        not in place.json("withdraw", IN_FORCE, "--worker", "gw-beheer-3", **as_goedwerk)["signed_by"]
    )
    assert "| Goedwerk | terugkeerorganisatie | nog niet |" in place.done("render")
    time.sleep(1.1)  # a signature counts again once it is later than the withdrawal, in whole seconds
    assert "goedwerk" in place.json("sign", IN_FORCE, "--worker", "gw-beheer-3", **as_goedwerk)["signed_by"]
    assert "| Goedwerk | terugkeerorganisatie | ja |" in place.done("render")


def test_a_party_signs_with_the_keys_of_its_own_system(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = place.deployment["avim"]
    monkeypatch.setenv("POORT_REQUESTER_PARTY", "avim")
    monkeypatch.setenv("POORT_REQUESTER_GATEWAY_URL", place.deployment.addresses.gateway)
    monkeypatch.setenv("POORT_REQUESTER_KEYS_FOLDER", str(holder.keys_folder))
    monkeypatch.setenv("POORT_REQUESTER_KEYS_PASSPHRASE", holder.passphrase)
    monkeypatch.setenv("POORT_REQUESTER_DEPLOYMENT_FOLDER", str(holder.deployment_folder))
    for command, stands in (("withdraw", False), ("sign", True)):
        time.sleep(1.1)
        given = ["agreement", command, IN_FORCE, "--worker", "avim-beheer-2:admin", "--json"]
        done = CliRunner().invoke(app, given)
        assert done.exit_code == 0, done.output
        assert ("avim" in json.loads(done.stdout)["signed_by"]) == stands


def test_what_is_refused_is_said_with_its_code_and_what_to_do(place: Place) -> None:
    nobody = "sha-256:" + "A" * 43
    assert place.refused("show", nobody).startswith("not_found ")
    assert place.refused("show", "2026.1").startswith("not_a_digest ")
    draft = place.draft()
    by_role = place.refused("propose", draft, "--worker", "vw-balie-01")
    assert by_role.startswith("role_may_not ")
    by_other = place.refused("propose", draft, "--worker", "gw-beheer-3", party="goedwerk")
    assert by_other.startswith("not_for_this_party ")
    stray = place.refused("propose", place.draft(supersedes=nobody), "--worker", "vw-fg-01")
    assert stray.startswith("agreement_not_ready ")
    assert f"It must say that it supersedes {IN_FORCE}" in stray
    assert [one["digest"] for one in place.json("list")["agreements"]] == [IN_FORCE]


def test_a_draft_with_faults_does_not_leave_for_the_gateway(place: Place) -> None:
    done = place.run("propose", place.draft(valid_until=1), "--worker", "vw-fg-01")
    assert done.exit_code == 1
    assert done.stdout == "Geldig tot — de overeenkomst eindigt voor zij begint.\n"
    assert len(place.json("list")["agreements"]) == 1


def test_a_version_is_proposed_approved_signed_and_waits_for_its_instant(place: Place) -> None:
    draft = place.draft()
    digest = json.loads(CliRunner().invoke(app, ["agreement", "check", draft, "--json"]).stdout)["digest"]
    proposed = place.done("propose", draft, "--worker", "vw-fg-01", "--lang", "en")
    assert proposed.startswith("version 2026.2  proposed; signed by 0 of 4 founding parties\n")
    assert f"    poort agreement approve {digest} --worker ID:dpo\n" in proposed
    assert place.refused("approve", digest, "--worker", "vw-fg-01", "--yes").startswith("same_worker ")

    as_askv = ("approve", digest, "--worker", "askv-fg-4")
    asked = place.run(*as_askv, party="askv", answer="n\n")
    assert asked.exit_code == 1
    assert "Nieuw toegestaan" in asked.stdout
    assert "contactgegevens" in asked.stdout
    assert "Versie 2026.2 goedkeuren?" in asked.stderr
    assert place.json("show", digest)["state"] == "proposed"
    assert "gezin en familie" in place.done(*as_askv, party="askv", answer="y\n")
    assert place.json("show", digest)["state"] == "approved"
    assert place.run(*as_askv, "--json", party="askv").exit_code == 2  # nobody could be asked

    by_admin = {VW: "vw-beheer-02", "askv": "askv-beheer-5", "ind": "ind-beheer-3"}
    for signed, (party, worker) in enumerate(by_admin.items(), 1):
        told = place.done("sign", digest, "--worker", worker, party=party)
        assert f"ondertekend door {signed} van 4 oprichtende partijen" in told
    early = place.refused("activate", digest, "--worker", "vw-beheer-02")
    assert early.startswith("agreement_not_ready ")
    assert "dtv" in early
    assert "wacht op        DT&V" in place.done("show", digest)
    last = place.done("sign", digest, "--worker", "dtv-beheer-3", party="dtv")
    assert f"    poort agreement activate {digest} --worker ID:admin\n" in last

    assert "ingepland: in werking vanaf" in place.done("activate", digest, "--worker", "vw-beheer-02")
    assert [one["state"] for one in place.json("list")["agreements"]] == ["in_force", "scheduled"]
    changes = place.json("diff", IN_FORCE, digest)
    assert [change["categories"] for change in changes["permits"]] == [["contact"]]
    assert "ondertekend, gaat in op de eerste dag" in place.done("render", digest)
