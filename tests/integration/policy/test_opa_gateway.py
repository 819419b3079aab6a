"""A gateway that decides by an OPA server: ready with it, not ready without, and what it offers to it."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from adapters.kit import jose
from adapters.kit.register import verify_key_list
from gateway.app import create_app
from gateway.cli.processes import choose_addresses
from gateway.cli.provision import Deployment, gateway_environment, provision
from gateway.http.health import SHARED_SECONDS
from gateway.http.policy_bundle import MEDIA_TYPE
from gateway.policy.bundle import KEY_USE, PATH, SIGNATURE_TYP, archive_in, bundle_of
from gateway.policy.opa import OpaMisconfigured
from gateway.policy.port import PolicyBuildRefused
from gateway.settings import Settings
from tests.contract.test_policy_matrix import POLICIES
from tests.integration.policy.server import Opas

pytestmark = pytest.mark.opa


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return provision(tmp_path_factory.mktemp("own"), choose_addresses(), now=int(time.time()))


def bundle_from_the_command_line(deployment: Deployment, into: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", "policy", "bundle", "--out", str(into)],
        env=os.environ | gateway_environment(deployment),
        capture_output=True,
        text=True,
        check=False,
    )


def settings(deployment: Deployment, folder: Path, **changes: object) -> Settings:
    holder = deployment["gateway"]
    usual: dict[str, object] = {
        "issuer": deployment.addresses.gateway,
        "database_url": f"sqlite:///{folder / 'gateway.sqlite'}",
        "keys_folder": holder.keys_folder,
        "keys_passphrase": SecretStr(holder.passphrase),
        "deployment_folder": holder.deployment_folder,
        "policy_engine": "opa",
        "profile": "demo",
    }
    return Settings.model_validate({**usual, **changes})


@contextmanager
def gateway(deployment: Deployment, folder: Path, url: str, **changes: object) -> Iterator[TestClient]:
    with TestClient(create_app(settings(deployment, folder, opa_url=url, **changes))) as client:
        yield client


def test_the_gateway_is_ready_while_its_opa_answers_and_no_longer(
    own: Deployment, opas: Opas, tmp_path: Path
) -> None:
    written = bundle_from_the_command_line(own, tmp_path / "opa")
    assert written.returncode == 0, written.stderr
    assert written.stdout.startswith("sha-256:")
    with opas.started(tmp_path / "opa" / "opa.json") as opa, gateway(own, tmp_path, opa.url) as client:
        assert client.get("/readyz").status_code == 200
        opa.stop()
        time.sleep(SHARED_SECONDS)  # for so long the last look is good for all
        away = client.get("/readyz")
        assert (away.status_code, away.json()["code"]) == (503, "policy_unavailable")
        assert client.get("/livez").status_code == 200


def test_a_gateway_that_starts_before_its_opa_waits_for_it(
    own: Deployment, opas: Opas, tmp_path: Path
) -> None:
    bundle_from_the_command_line(own, tmp_path / "opa")
    with opas.started(tmp_path / "opa" / "opa.json") as first:
        url = first.url
    with gateway(own, tmp_path, url) as client:
        assert client.get("/readyz").status_code == 503
        with opas.started(tmp_path / "opa" / "opa.json", listen=url.removeprefix("http://")):
            time.sleep(SHARED_SECONDS)
            assert client.get("/readyz").status_code == 200


def test_a_gateway_beside_an_opa_with_other_policies_decides_nothing_and_offers_its_own(
    own: Deployment, opas: Opas, tmp_path: Path
) -> None:
    bundle_from_the_command_line(own, tmp_path / "opa")
    policies = tmp_path / "policies"
    policies.mkdir()
    for source in POLICIES.glob("*.rego"):
        (policies / source.name).write_bytes(source.read_bytes())
    with opas.started(tmp_path / "opa" / "opa.json") as opa:
        with gateway(own, tmp_path, opa.url, policies_folder=policies) as same:
            assert same.get("/readyz").status_code == 200
            first = same.get(PATH).headers["ETag"]
        (policies / "terms.rego").write_text((policies / "terms.rego").read_text() + "\n# changed\n")
        with gateway(own, tmp_path, opa.url, policies_folder=policies) as changed:
            beside = changed.get("/readyz")
            assert (beside.status_code, beside.json()["code"]) == (503, "policy_unavailable")
            offered = changed.get(PATH)
    assert offered.headers["ETag"] != first
    archive_in(tmp_path / "opa").write_bytes(offered.content)
    with (
        opas.started(tmp_path / "opa" / "opa.json") as opa,
        gateway(own, tmp_path, opa.url, policies_folder=policies) as changed,
    ):
        assert changed.get("/readyz").status_code == 200


def test_the_bundle_is_offered_to_anyone_under_its_revision(own: Deployment, tmp_path: Path) -> None:
    with gateway(own, tmp_path, "http://127.0.0.1:9") as client:
        whole = client.get(PATH)
        tag = whole.headers["ETag"]
        assert (whole.status_code, whole.headers["Content-Type"]) == (200, MEDIA_TYPE)
        assert client.get(PATH).content == whole.content  # packed and signed once
        for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
            same = client.get(PATH, headers={"If-None-Match": known})
            assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
        for other in ("", '"other"', tag.replace("sha-256", "sha-257"), tag.strip('W/"')):
            assert client.get(PATH, headers={"If-None-Match": other}).status_code == 200
        assert client.get(f"{PATH}?agreement=other").status_code == 400
        assert client.post(PATH).status_code == 405
        services = client.app.state.services  # type: ignore[attr-defined]
        register, now = services.register, services.clock()
        keys = verify_key_list(services.key_lists.compact("gateway"), "gateway", register, now)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(whole.content))) as tar:
        read = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    (signature,) = json.loads(read[".signatures.json"])["signatures"]
    claims = jose.verify(signature, keys.keys(KEY_USE, now), SIGNATURE_TYP)
    assert claims["iss"] == register.issuer
    assert tag == f'W/"{json.loads(read[".manifest"])["revision"]}"'
    assert list(json.loads(read["data.json"])["agreements"]) == [services.agreement.digest]


def test_a_gateway_that_decides_by_itself_has_no_bundle_to_offer(own: Deployment, tmp_path: Path) -> None:
    with gateway(own, tmp_path, "http://127.0.0.1:9") as client:
        assert client.get(PATH).status_code == 200
    with gateway(own, tmp_path, "", policy_engine="wasm") as client:
        refused = client.get(PATH)
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "changes",
    [
        {"opa_url": ""},
        {"opa_url": "127.0.0.1:8181"},
        {"opa_url": "http://127.0.0.1"},
        {"opa_url": "http://opa.internal:8181"},
        {"opa_url": "https://127.0.0.1:8181/v1"},
        {"opa_url": "https://user:word@127.0.0.1:8181"},
        {"opa_url": "http://127.0.0.1:8181", "opa_ca_file": "ca.pem"},
        {"opa_url": "https://127.0.0.1:8181", "opa_ca_file": "ca.pem"},
        {"opa_url": "https://127.0.0.1:8181", "opa_certificate_file": "own.pem"},
    ],
)
def test_no_gateway_starts_with_half_a_setting(
    own: Deployment, tmp_path: Path, changes: dict[str, str]
) -> None:
    create: Callable[..., object] = lambda **more: create_app(settings(own, tmp_path, **more))  # noqa: E731
    create(opa_url="http://127.0.0.1:8181")
    create(opa_url="https://127.0.0.1:8181")
    with pytest.raises(OpaMisconfigured):
        create(**changes)


def test_no_bundle_without_policies(own: Deployment, tmp_path: Path) -> None:
    from adapters.kit.register import Register
    from gateway import agreement

    folder = own["gateway"].deployment_folder
    signed = agreement.load(folder, Register.load(folder), int(time.time())).signed
    held = {signed.digest: signed.data}
    assert bundle_of(POLICIES, held).revision
    with pytest.raises(PolicyBuildRefused):
        bundle_of(tmp_path, held)
    with pytest.raises(PolicyBuildRefused):
        bundle_of(POLICIES, {})


def test_the_command_says_which_settings_it_lacks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "policy", "bundle", "--out", str(tmp_path / "out")],
        env={name: value for name, value in os.environ.items() if not name.startswith("POORT_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "POORT_KEYS_FOLDER" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.processes
@pytest.mark.slow
def test_the_demo_tells_its_story_on_an_opa(opa_binary: str, tmp_path: Path) -> None:
    def demo(opa: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gateway.cli", "demo", "--json", "--folder", str(tmp_path / "demo")]
        return subprocess.run(
            [*command, "--policy-engine", "opa", "--opa", opa], capture_output=True, text=True, check=False
        )

    told = demo(opa_binary)
    assert told.returncode == 0, told.stdout + told.stderr
    assert json.loads(told.stdout)["completed"] is True
    assert (tmp_path / "demo" / "opa" / "opa.json").is_file()
    missing = demo(str(tmp_path / "nowhere"))
    assert missing.returncode == 1
    assert "There is no OPA at" in missing.stderr
