"""The bundle for an OPA server: what its revision stands for, and what its document tells to type."""

import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from adapters.kit import jose
from adapters.kit.keys import SigningKey
from adapters.kit.register import agreement_digest
from gateway.policy.bundle import (
    BUNDLE,
    SIGNATURE_TYP,
    bundle_of,
    opa_arguments,
    opa_configuration,
)
from gateway.policy.port import PolicyBuildRefused

ROOT = Path(__file__).resolve().parents[3]
DATA: dict[str, Any] = json.loads((ROOT / "policies" / "agreement" / "agreement.json").read_bytes())
HELD = {agreement_digest(DATA): DATA}
KEY = SigningKey.generate()


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    for source in (ROOT / "policies").glob("*.rego"):
        shutil.copy(source, tmp_path)
    return tmp_path


def test_the_same_content_has_the_same_revision_and_other_content_another(policies: Path) -> None:
    revision = bundle_of(policies, HELD).revision
    assert bundle_of(policies, HELD).revision == revision
    changed = {**DATA, "valid_until": DATA["valid_until"] + 1}
    seen = {
        revision,
        bundle_of(policies, {agreement_digest(changed): changed}).revision,
        bundle_of(policies, {**HELD, agreement_digest(changed): changed}).revision,
    }
    (policies / "terms_test.rego").unlink()  # tests decide nothing
    assert bundle_of(policies, HELD).revision == revision
    (policies / "terms.rego").write_text((policies / "terms.rego").read_text() + "\n")
    seen.add(bundle_of(policies, HELD).revision)
    (policies / "terms.rego").rename(policies / "renamed.rego")
    seen.add(bundle_of(policies, HELD).revision)
    assert len(seen) == 5


def test_the_archive_holds_policies_and_data_under_one_signature(policies: Path) -> None:
    made = bundle_of(policies, HELD)
    packed = made.signed(KEY, issuer="http://gateway.test", now=1)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert not [name for name in files if name.endswith("_test.rego")]
    assert json.loads(files["data.json"]).keys() == {"agreements"}
    assert json.loads(files["data.json"])["agreements"] == HELD
    assert json.loads(files[".manifest"])["revision"] == made.revision
    (signature,) = json.loads(files.pop(".signatures.json"))["signatures"]
    claims: Any = jose.verify(signature, {KEY.kid: KEY.public}, SIGNATURE_TYP)
    assert {file["name"] for file in claims["files"]} == files.keys()
    assert (claims["scope"], claims["keyid"]) == (BUNDLE, KEY.kid)


def test_opa_is_told_to_take_no_bundle_without_our_signature(tmp_path: Path) -> None:
    for gateway in ("", "https://gateway.test"):
        told = json.loads(opa_configuration(KEY, tmp_path, gateway=gateway))
        assert told["bundles"][BUNDLE]["signing"] == {"keyid": KEY.kid, "scope": BUNDLE}
        assert told["keys"].keys() == {KEY.kid}
        assert "PRIVATE" not in json.dumps(told)


def test_old_versions_leave_the_bundle_and_the_policies_stay(policies: Path) -> None:
    later = {**DATA, "valid_until": DATA["valid_until"] + 1}
    old, new = agreement_digest(DATA), agreement_digest(later)
    first = bundle_of(policies, HELD)
    for source in policies.glob("*.rego"):
        source.write_text("package changed\n")  # under a gateway that runs: it goes on with what it read
    both = first.holding({old: DATA, new: later})
    assert both.revision.split("+") == [first.revision.split("+")[0], *sorted((old, new))]
    last = both.holding({new: later})
    assert json.loads(last.files["data.json"])["agreements"] == {new: later}
    assert first.holding(HELD) == first
    assert [both.decides_as(last.revision, each) for each in (old, new)] == [False, True]
    assert [last.decides_as(both.revision, each) for each in (old, new)] == [False, True]
    changed = bundle_of(policies, HELD)
    assert changed.decides_as(changed.revision, old)
    assert not first.decides_as(changed.revision, old)
    for wrong in ({}, {new: {"valid_until": float("nan")}}):
        with pytest.raises(PolicyBuildRefused):
            both.holding(wrong)


def test_the_document_says_how_opa_is_run() -> None:
    words = (ROOT / "docs" / "policy.md").read_text().replace("\\\n", " ").split()
    for argument in opa_arguments(Path("opa/opa.json"), "127.0.0.1:8181"):
        assert argument in words
