"""`poort policy`: hand the policies and the agreement in force to an OPA server."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.present import err, fail, out

if TYPE_CHECKING:
    from adapters.kit.keys import SigningKey

app = typer.Typer(
    no_args_is_help=True, help="Policies and agreement for an OPA server (POORT_POLICY_ENGINE=opa)."
)
PUBLIC_KEY, CONFIGURATION = "bundle-key.pem", "opa.json"


@app.command(short_help="Sign the bundle, and write how OPA takes it.")
def bundle(
    into: Annotated[Path, typer.Option("--out", help="The folder to write to; made if it is not there.")],
    gateway: Annotated[
        str,
        typer.Option(
            help="A gateway's base URL, at which OPA looks for later versions; else it takes this one."
        ),
    ] = "",
) -> None:
    """Sign the bundle of the agreement in the deployment folder, and write how OPA takes it.

    Settings are the gateway's own, in POORT_…; the revision is printed, which OPA then cites in each answer.
    """
    from pydantic import ValidationError

    from adapters.kit.keys import Keystore, KeystoreError
    from adapters.kit.register import Register, RegisterError
    from gateway import agreement
    from gateway.cli.serve import gateway_settings
    from gateway.clock import system_clock
    from gateway.policy.bundle import KEY_USE, bundle_of, opa_configuration
    from gateway.policy.port import PolicyBuildRefused

    now = system_clock()
    try:
        settings = gateway_settings()
        register = Register.load(settings.deployment_folder)
        in_force = agreement.load(settings.deployment_folder, register, now)
        made = bundle_of(settings.policies_folder, {in_force.digest: in_force.signed.data})
        key = Keystore.load(settings.keys_folder, settings.keys_passphrase.get_secret_value()).signing(
            KEY_USE
        )
    except ValidationError as missing:
        names = ", ".join(f"POORT_{str(each['loc'][0]).upper()}" for each in missing.errors() if each["loc"])
        fail(f"Settings of the gateway are missing or wrong: {names}.")
    except (RegisterError, agreement.AgreementInvalid, KeystoreError, PolicyBuildRefused) as refused:
        fail(f"No bundle can be made: {refused}.")
    packed = made.signed(key, issuer=register.issuer, now=now)
    configuration = write_bundle(packed, key, into, told=opa_configuration(key, into, gateway=gateway))
    out.print(made.revision, highlight=False, soft_wrap=True)
    command = shlex.join(("opa", *_arguments(configuration)))
    err.print(f"Written to {into}. Beside the gateway, run:\n  {command}", highlight=False, soft_wrap=True)
    err.print(
        "On another machine add --tls-cert-file, --tls-private-key-file, --tls-ca-cert-file and"
        " --authentication=tls; docs/policy.md says what the gateway needs then.",
        highlight=False,
        soft_wrap=True,
    )


def write_bundle(packed: bytes, key: SigningKey, into: Path, *, told: bytes) -> Path:
    """Write a signed archive, the public key and what OPA is told; return where the last of them is."""
    from gateway.policy.bundle import archive_in, public_pem

    files = {archive_in(into): packed, into / PUBLIC_KEY: public_pem(key), into / CONFIGURATION: told}
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Replaced whole: OPA may be reading the one before.
        half_made = path.with_name(f"{path.name}.new")
        half_made.write_bytes(content)
        half_made.replace(path)
    return into / CONFIGURATION


def _arguments(configuration: Path) -> tuple[str, ...]:
    from gateway.policy.bundle import opa_arguments

    return opa_arguments(configuration, "127.0.0.1:8181")
