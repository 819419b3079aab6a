"""An OPA server beside the demonstration's gateways: given the first version, it fetches the later ones."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from adapters.kit.register import Register
from gateway import agreement
from gateway.cli.policy import write_bundle
from gateway.cli.stack import Process, StackFailed, free_ports
from gateway.policy.bundle import KEY_USE, bundle_of, opa_arguments, opa_configuration

if TYPE_CHECKING:
    from gateway.cli.provision import Deployment

POLICIES = Path(__file__).resolve().parents[2] / "policies"
# Between two looks, at least and at most: here a new version is in force within seconds.
_POLL_SECONDS = (1, 2)


def find_opa(named: Path | None) -> Path:
    """Return the OPA to run: the one named, else the one on PATH; raise StackFailed where there is none."""
    found = shutil.which(named or "opa")
    if found is None:
        raise StackFailed(
            f"There is no OPA at {named}."
            if named
            else "There is no `opa` on PATH: name one with --opa. `.ci/opa` builds one and prints its path."
        )
    return Path(found).resolve()


def beside(
    deployment: Deployment, binary: Path, *, now: int, url: str = ""
) -> tuple[Process, dict[str, str]]:
    """Write the first bundle of the deployment; return the process and the gateways' settings for it.

    Later ones it fetches from the last gateway (the demonstration kills the first). It listens at `url`,
    `http://<address>:<port>` of this machine, or at a free port.
    """
    gateway = deployment["gateway"]
    register = Register.load(gateway.deployment_folder)
    in_force = agreement.load(gateway.deployment_folder, register, now)
    key, folder = gateway.keystore().signing(KEY_USE), deployment.folder / "opa"
    first = bundle_of(POLICIES, {in_force.digest: in_force.signed.data})
    configuration = write_bundle(
        first.signed(key, issuer=register.issuer, now=now),
        key,
        folder,
        told=opa_configuration(
            key, folder, gateway=deployment.addresses.gateways[-1], poll_seconds=_POLL_SECONDS
        ),
    )
    url = url or _free_url(deployment)
    listen = urlsplit(url).netloc
    # Its own authorisation travels in the bundle: /health answers once the bundle was verified and taken.
    process = Process("opa", opa_arguments(configuration, listen), f"{url}/health", {}, (str(binary),))
    return process, {"POORT_POLICY_ENGINE": "opa", "POORT_OPA_URL": url}


def _free_url(deployment: Deployment) -> str:
    # More ports than the stack has processes: one of them is nobody's.
    addresses = deployment.addresses
    taken = {*addresses.gateways, *addresses.adapters.values(), *addresses.simulators.values()}
    offered = [f"http://127.0.0.1:{port}" for port in free_ports(1 + len(taken))]
    return next(url for url in offered if url not in taken)
