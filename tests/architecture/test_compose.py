"""compose/ holds against what it starts: settings, commands, mounts, secrets, the OPA that is pinned.

It was never started here (its README says so); what can be read is checked instead.
"""

from __future__ import annotations

import json
import re
import shlex
import stat
import subprocess
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from typer.main import get_command

from adapters.kit.register import Register, verify_key_list
from adapters.settings import AdapterSettings
from gateway.cli.commands import app
from gateway.cli.connect import TLS_VARIABLES, VARIABLES
from gateway.cli.containers import ADDRESSES, ISSUER, provision_containers
from gateway.oauth.certificate import HEADER
from gateway.policy.bundle import opa_arguments
from gateway.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("dossierpoort:")}
MADE = "../var/compose/"
NOW = 1_800_000_000
SIMULATOR = {"POORT_SIMULATOR_PORT", "POORT_SIMULATOR_HOST"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `poort provision --compose` makes."""
    folder = tmp_path_factory.mktemp("compose")
    provision_containers(folder, now=NOW)
    return folder


def variables(service: Mapping[str, Any]) -> dict[str, str]:
    """Return what a process is given: its environment, and its secrets under the names it reads."""
    given = {name.upper(): "…" for each in service.get("secrets", []) for name in [each["target"]]}
    return {**service.get("environment", {}), **given}


def unknown_settings(service: Mapping[str, Any]) -> set[str]:
    """Return the variables that the process of this command would not read."""
    known = SIMULATOR if service["command"][1:2] == ["simulator"] else _names(_settings_of(service))
    return set(variables(service)) - known


def command_trouble(command: list[str]) -> str | None:
    """Walk the command tree; say what does not exist, or None."""
    words, found = list(command), get_command(app)
    while hasattr(found, "commands"):
        word = words.pop(0) if words else ""
        if word not in found.commands:
            return f"no command {word!r}"
        found = found.commands[word]
    try:
        found.make_context("poort", words, resilient_parsing=False)
    except Exception as wrong:
        return str(wrong) or type(wrong).__name__
    return None


def _settings_of(service: Mapping[str, Any]) -> type[Settings] | type[AdapterSettings]:
    return AdapterSettings if service["command"][:2] == ["serve", "adapter"] else Settings


def _names(settings: type[Settings] | type[AdapterSettings]) -> set[str]:
    prefix = settings.model_config["env_prefix"]
    return {f"{prefix}{field}".upper() for field in settings.model_fields}


def mounts(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for each in service.get("volumes", []):
        source, target, *_ = each.split(":")
        yield source, target


# --- settings and commands -----------------------------------------------------------------


def test_the_shape_is_the_one_that_is_described() -> None:
    assert set(SERVICES) == {
        "proxy",
        "gateway-1",
        "gateway-2",
        "migrations",
        "bundle",
        "opa",
        "database",
        *(f"{kind}-{name}" for kind in ("adapter", "simulator") for name in ("ind", "dtv", "vvs")),
    }


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    assert command_trouble(OURS[name]["command"]) is None
    health = OURS[name].get("healthcheck", {}).get("test", ["CMD", "poort", "health", "http://x"])
    assert health[:2] == ["CMD", "poort"]
    assert command_trouble(health[2:]) is None


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_of_its_process(name: str) -> None:
    assert unknown_settings(OURS[name]) == set()


@pytest.mark.parametrize("name", [name for name in OURS if not name.startswith("simulator")])
def test_the_settings_are_read_as_they_stand(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in variables(OURS[name]).items():
        monkeypatch.setenv(variable, value)
    settings = _settings_of(OURS[name])()
    if isinstance(settings, Settings):
        assert settings.issuer == ISSUER
        addresses = {
            "vluchtelingenwerk" if name == "vvs" else name: url for name, url in ADDRESSES.adapters.items()
        }
        assert settings.sources == addresses
    else:
        source = name.removeprefix("adapter-")
        assert settings.agency_url == ADDRESSES.simulators[source]
        assert ADDRESSES.adapters[source] == f"https://{name}:{settings.port}"
        assert settings.gateway_url == ISSUER
    # Nothing that it must be given may come from elsewhere.
    for variable in variables(OURS[name]):
        monkeypatch.delenv(variable)
    with pytest.raises(ValidationError):
        _settings_of(OURS[name])()


def test_wrong_ones_are_found() -> None:
    wrong = deepcopy(SERVICES["gateway-1"])
    wrong["environment"]["POORT_OPAURL"] = "https://opa:8181"
    assert unknown_settings(wrong) == {"POORT_OPAURL"}
    assert command_trouble(["serve", "gateways"]) == "no command 'gateways'"
    assert command_trouble(["policy", "bundle", "--into", "/bundle"]) is not None
    assert command_trouble(["serve", "adapter"]) is not None


# --- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_every_mounted_file_is_in_the_repository_or_made_by_provisioning(name: str, made: Path) -> None:
    for source, _ in mounts(SERVICES[name]):
        if source.startswith(MADE):
            assert (made / source.removeprefix(MADE)).exists(), source
        elif source.startswith("."):
            assert (FOLDER / source).is_file(), source
        else:
            assert source in COMPOSE["volumes"], source


@pytest.mark.parametrize("name", SERVICES)
def test_every_file_that_a_setting_names_is_mounted(name: str) -> None:
    service = SERVICES[name]
    targets = [target for _, target in mounts(service)]
    text = json.dumps([service.get("environment", {}), service.get("command", [])])
    # `migrations` and `bundle` are given the gateway's settings and use neither OPA nor a source.
    named = set(re.findall(r"(?<![\w:/.])/(?:keys|deployment|tls|state|bundle)[\w./-]*", text))
    missing = {one for one in named if not any(one == t or one.startswith(t + "/") for t in targets)}
    assert {one for one in missing if name != "bundle" or not one.startswith("/tls/")} == set()


def test_every_secret_is_made_with_its_mode_and_used(made: Path) -> None:
    used = {
        each["source"] if isinstance(each, dict) else each
        for service in SERVICES.values()
        for each in service.get("secrets", [])
    }
    assert used == set(COMPOSE["secrets"])
    for name, secret in COMPOSE["secrets"].items():
        path = made / secret["file"].removeprefix(MADE)
        assert secret["file"] == f"{MADE}secrets/{name}"
        assert path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((made / "secrets").stat().st_mode) == 0o700
    password = (made / "secrets" / "database-password").read_text()
    url = (made / "secrets" / "database-url").read_text()
    database = SERVICES["database"]["environment"]
    assert url == (
        f"postgresql+asyncpg://{database['POSTGRES_USER']}:{password}@database:5432/{database['POSTGRES_DB']}"
    )


def test_no_secret_stands_in_the_file_or_in_an_environment() -> None:
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            assert "PASSPHRASE" not in variable
            assert "PASSWORD" not in variable or value.startswith("/run/secrets/")
            assert variable != "POORT_DATABASE_URL"


def test_the_certificates_are_for_the_host_names_and_stand_in_the_key_lists(made: Path) -> None:
    from cryptography import x509

    register = Register.load(made / "deployment" / "gateway")
    for source, party in (("ind", "ind"), ("dtv", "dtv"), ("vvs", "vluchtelingenwerk")):
        pem = (made / "tls" / party / "certificate.pem").read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
        hosts = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert hosts.get_values_for_type(x509.DNSName) == [f"adapter-{source}"]
        listed = (made / "deployment" / "gateway" / "key-lists" / f"{party}.jws").read_text()
        assert len(verify_key_list(listed, party, register, NOW).tls(NOW)) == 1
    assert register.issuer == ISSUER


def test_what_is_made_is_ignored_by_git() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone")
    path = (FOLDER / MADE / "secrets" / "database-url").resolve().relative_to(ROOT)
    subprocess.run(["git", "check-ignore", "-q", str(path)], cwd=ROOT, check=True)


# --- what protects ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].startswith("${POORT_UID:?")
    image, _, tag = service["image"].partition(":")
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?[a-z0-9.-]*", tag), "pinned by a full tag"
    assert "." not in image.split("/")[0], "no registry is named"
    assert "ports" not in service or name == "proxy"


@pytest.mark.parametrize("name", [name for name in OURS if name.startswith(("gateway", "adapter"))])
def test_what_serves_says_whether_it_can(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][1:3] == ["poort", "health"]


def test_the_gateways_believe_the_proxy_and_nobody_else() -> None:
    address = SERVICES["proxy"]["networks"]["front"]["ipv4_address"]
    for name in ("gateway-1", "gateway-2"):
        assert SERVICES[name]["environment"]["POORT_CLIENT_CERT_FROM"] == address
    on_front = {name for name, one in SERVICES.items() if "front" in one.get("networks", [])}
    assert on_front == {"proxy", "gateway-1", "gateway-2"}
    nginx = (FOLDER / "nginx.conf").read_text("utf-8")
    assert re.findall(r"(?im)^\s*proxy_set_header (ssl-client-cert) (\S+);", nginx) == [
        (HEADER.decode().title(), "$ssl_client_escaped_cert")
    ]
    upstream = set(re.findall(r"server (gateway-\d:\d+)", nginx))
    assert upstream == {f"{one}:8400" for one in ("gateway-1", "gateway-2")}


def planned_memory() -> dict[str, int]:
    """Read the table of docs/deployment.md: MiB per process."""
    table = (ROOT / "docs" / "deployment.md").read_text("utf-8").split("| process | MiB |")[1]
    rows = re.findall(r"(?m)^\| (\w+) \| (\d+) \|$", table.split("\n\n")[0])
    return {process.lower(): int(size) for process, size in rows}


def test_every_container_has_the_memory_that_its_process_may_take() -> None:
    planned = planned_memory()
    assert set(planned) == {"gateway", "adapter", "proxy", "opa", "postgresql"}
    assert planned["gateway"] << 20 >= 4 * Settings.model_fields["max_held_bytes"].default + (256 << 20)
    for name, service in SERVICES.items():
        given = re.fullmatch(r"(\d+)m", service["mem_limit"])
        assert given is not None, name
        process = {"database": "postgresql"}.get(name, name.partition("-")[0])
        assert int(given[1]) >= planned.get(process, 0), name


def test_what_is_for_those_who_run_the_gateways_is_not_for_those_who_call() -> None:
    nginx = (FOLDER / "nginx.conf").read_text("utf-8")
    front = nginx.split("listen 8443")[1].split("listen 127.0.0.1:8080")[0]
    locations = dict(re.findall(r"location (.+?) \{([^}]*)\}", front))
    assert set(locations) == {"/", "= /oauth/token", "= /readyz", "= /livez"}
    for page in ("= /readyz", "= /livez"):
        assert locations[page].split() == ["return", "404;"]
    # A location's own header would take the place of the server's, that of the certificate included.
    assert not [body for body in locations.values() if "proxy_set_header" in body]


def test_the_proxy_waits_for_nobody_for_ever_and_gives_nobody_all_of_it() -> None:
    nginx = (FOLDER / "nginx.conf").read_text("utf-8")
    for directive in ("client_header_timeout", "client_body_timeout", "send_timeout", "keepalive_timeout"):
        seconds = [int(found) for found in re.findall(rf"(?m)^\s*{directive} (\d+)s;", nginx)]
        assert seconds
        assert min(seconds) > 0
        assert max(seconds) <= 30
    (connections,) = re.findall(r"(?m)^\s*limit_conn callers (\d+);", nginx)
    assert 0 < int(connections) <= Settings.model_fields["max_in_flight"].default // 4
    body, buffered = re.findall(r"client_(?:max_body|body_buffer)_size (\d+)k;", nginx)
    assert body == buffered, "else the rest of a form would be written to the disk"


def test_no_party_shares_a_network_with_what_is_the_gateways_alone() -> None:
    parties = {name for name in SERVICES if name.startswith(("adapter", "simulator"))}
    for network in ("front", "store", "policy"):
        assert not {name for name in parties if network in SERVICES[name].get("networks", [])}
        assert COMPOSE["networks"][network]["internal"] is True


def test_each_process_gets_its_own_keys_and_nobody_elses() -> None:
    for name, service in SERVICES.items():
        holders = {
            source.removeprefix(MADE).split("/")[1]
            for source, _ in mounts(service)
            if source.startswith((MADE + "keys/", MADE + "deployment/"))
        }
        expected = {"adapter-vvs": "vluchtelingenwerk", "migrations": "gateway", "bundle": "gateway"}.get(
            name, name.removeprefix("adapter-").removesuffix("-1").removesuffix("-2")
        )
        assert holders <= {expected}, name


def test_opa_is_the_pinned_one_and_runs_as_the_bundle_asks() -> None:
    version = subprocess.run(
        [ROOT / ".ci" / "opa", "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert SERVICES["opa"]["image"] == f"openpolicyagent/opa:{version}-static"
    out = SERVICES["bundle"]["command"][-1]
    asked = opa_arguments(Path(out) / "opa.json", "0.0.0.0:8181")
    assert SERVICES["opa"]["command"][: len(asked)] == list(asked)
    assert "--authentication=tls" in SERVICES["opa"]["command"]


def test_opa_fetches_from_the_gateways_and_keeps_what_it_found() -> None:
    command = SERVICES["bundle"]["command"]
    address = command[command.index("--gateway") + 1]
    for name in ("gateway-1", "gateway-2"):
        assert "policy" in SERVICES["opa"]["networks"]
        (alias,) = SERVICES[name]["networks"]["policy"]["aliases"]
        assert address == f"http://{alias}:{SERVICES[name]['environment']['POORT_PORT']}"
    assert f"bundle:{command[-1]}" in SERVICES["opa"]["volumes"], "its own to write"


# --- the image and the words -----------------------------------------------------------------


def test_the_image_is_built_of_what_is_there() -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text("utf-8")
    stages = re.findall(r"(?m)^FROM (\S+)", dockerfile)
    assert len(stages) == 2
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", stage) for stage in stages)
    assert re.search(r"(?m)^USER (?!0|root)", dockerfile)
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text("utf-8")
    for line in re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", dockerfile):
        for source in line.split():
            assert (ROOT / source).exists()
            assert f"!{source}\n" in ignored
    assert ignored.splitlines()[1] == "*"
    folder = re.search(r"POORT_POLICIES_FOLDER=(\S+)", dockerfile)
    assert folder is not None
    assert f"COPY policies {folder[1]}" in dockerfile


def test_the_readme_says_that_it_was_not_started_and_names_what_exists() -> None:
    text = (FOLDER / "README.md").read_text("utf-8")
    assert "**It was not started.**" in text
    commands = [line.strip() for line in text.splitlines() if line.startswith("    poort ")]
    assert len(commands) == 2
    for line in commands:
        assert command_trouble(shlex.split(line)[1:]) is None
    exported = set(re.findall(r"\b(POORT_REQUESTER_\w+)=", text))
    assert exported == {*VARIABLES, *TLS_VARIABLES}
