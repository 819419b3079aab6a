"""`poort policy`: hand the policies and the agreement in force to an OPA server."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.present import err, fail, out

if TYPE_CHECKING:
    from adapters.kit.keys import SigningKey
    from gateway.policy.bundle import PolicyBundle

app = typer.Typer(
    no_args_is_help=True, help="Policies and agreement for an OPA server (POORT_POLICY_ENGINE=opa)."
)
ARCHIVE, PUBLIC_KEY, CONFIGURATION = "bundle.tar.gz", "bundle-key.pem", "opa.json"


@app.command(short_help="Sign the bundle, and write how OPA takes it.")
def bundle(
    into: Annotated[Path, typer.Option("--out", help="The folder to write to; made if it is not there.")],
) -> None:
    """Sign the bundle of the agreement in force by the gateway's key, and write how OPA takes it.

    Settings are the gateway's own, in POORT_…; the revision is printed, which a gateway asks of its OPA.
    """
    from pydantic import ValidationError

    from adapters.kit.keys import Keystore, KeystoreError
    from adapters.kit.register import Register, RegisterError
    from gateway import agreement
    from gateway.cli.serve import gateway_settings
    from gateway.clock import system_clock
    from gateway.policy.bundle import KEY_USE, BundleRefused, bundle_of

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
    except (RegisterError, agreement.AgreementInvalid, KeystoreError, BundleRefused) as refused:
        fail(f"No bundle can be made: {refused}.")
    configuration = write_bundle(made, key, into, issuer=register.issuer, now=now)
    out.print(made.revision, highlight=False, soft_wrap=True)
    command = shlex.join(("opa", *_arguments(configuration)))
    err.print(f"Written to {into}. Beside the gateway, run:\n  {command}", highlight=False, soft_wrap=True)
    err.print(
        "On another machine add --tls-cert-file, --tls-private-key-file, --tls-ca-cert-file and"
        " --authentication=tls; docs/policy.md says what the gateway needs then.",
        highlight=False,
        soft_wrap=True,
    )


def write_bundle(made: PolicyBundle, key: SigningKey, into: Path, *, issuer: str, now: int) -> Path:
    """Write archive, public key and OPA's configuration; return where the configuration is."""
    from gateway.policy.bundle import opa_configuration, public_pem

    into.mkdir(parents=True, exist_ok=True)
    files = {
        ARCHIVE: made.signed(key, issuer=issuer, now=now),
        PUBLIC_KEY: public_pem(key),
        CONFIGURATION: opa_configuration(key, into / ARCHIVE),
    }
    for name, content in files.items():
        # Replaced whole: OPA may be reading the one before.
        half_made = into / f"{name}.new"
        half_made.write_bytes(content)
        half_made.replace(into / name)
    return into / CONFIGURATION


def _arguments(configuration: Path) -> tuple[str, ...]:
    from gateway.policy.bundle import opa_arguments

    return opa_arguments(configuration, "127.0.0.1:8181")
