"""P2: against the usual way to put a policy before a source: nginx `auth_request` → OPA → the source.

nginx asks OPA, with our own policies and agreement and the facts in a header, then passes the body on.
It checks no consent again, seals nothing, records nothing: what it leaves out is what P2 weighs.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.kit.register import Register, SignedAgreement
from bench.against_bare import capacity
from bench.figures import Figure, percentile, ratio
from bench.load import Call, poisson
from bench.measuring import Measuring
from bench.processes import ROOT, Program
from bench.rounds import Round, abba, together
from bench.town import GATEWAY
from bench.workload import EXCHANGE, NOT_PASSED, PASSED
from gateway.cli.stack import free_ports
from gateway.cli.world import VW
from gateway.clock import system_clock

NGINX = "nginx"
_GOALS = {"p50": 2.5, "throughput": 0.3}
# Undefined, which OPA's v0 API answers with 404, unless the source may be asked.
_ALLOW = "package bench\n\nimport data.dossier\n\nallow := true if dossier.decision.ask_source\n"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A running nginx before the same source."""

    url: str


async def measure(measuring: Measuring) -> list[Figure]:
    """Measure P2 where nginx and OPA can be had; else say what is missing, and measure nothing."""
    nginx, opa = _nginx(), await asyncio.to_thread(opa_program)
    if nginx is None or opa is None:
        missing = " and ".join(name for name, path in (("nginx", nginx), ("OPA", opa)) if path is None)
        measuring.say(f"P2: {missing} cannot be had here, so nothing was compared")
        measuring.note("p2_missing", missing)
        return []
    async with _running(measuring, nginx, opa) as sidecar:
        measuring.routes[NGINX] = lambda arrivals: _calls(measuring, sidecar, len(arrivals))
        throughput = [
            (await capacity(measuring, GATEWAY), await capacity(measuring, NGINX))
            for _ in range(measuring.effort.blocks)
        ]
        rate = 0.5 * min(throughput[0])
        blocks = await abba(
            measuring.effort.blocks,
            lambda: _round(measuring, GATEWAY, rate),
            lambda: _round(measuring, NGINX, rate),
        )
    p50 = [(percentile(together(a, EXCHANGE), 0.5), percentile(together(b, PASSED), 0.5)) for a, b in blocks]
    return [
        Figure(
            "P2",
            "p50, whole exchange ÷ nginx `auth_request` → OPA → source",
            ratio(p50),
            _GOALS["p50"],
            at_most=True,
            remark=f"{1000 * p50[0][0]:.1f} ms ÷ {1000 * p50[0][1]:.1f} ms in one block at {rate:.0f}/s",
        ),
        Figure(
            "P2",
            "throughput, whole exchange ÷ the same, 32 at once",
            ratio(throughput),
            _GOALS["throughput"],
            at_most=False,
            remark=f"{throughput[0][0]:.1f}/s ÷ {throughput[0][1]:.1f}/s in the first block",
        ),
    ]


async def _round(measuring: Measuring, variant: str, rate: float) -> Round:
    arrivals = poisson(rate, measuring.effort.seconds, measuring.chance)
    return await measuring.open(variant, arrivals, label=f"P2 {variant}")


def _calls(measuring: Measuring, sidecar: Sidecar, count: int) -> list[Call]:
    """Take the pass-through's calls, with the facts that policy reads in a header."""
    calls, agreement = [], _signed(measuring).digest
    for call in measuring.workload.passed(count):
        refused = call.kind == NOT_PASSED
        facts = json.dumps(_facts(agreement, on_case=not refused), separators=(",", ":"))
        headers = {**call.headers, "X-Facts": facts}
        # The adapter's interface takes the order alone.
        body = json.dumps({"order": json.loads(call.body).get("order", "")}).encode()
        calls.append(replace(call, url=sidecar.url + "/v1/orders", headers=headers, body=body))
    return calls


def _facts(agreement: str, *, on_case: bool) -> dict[str, object]:
    """Return what the gateway would ask its own policy engine about such a request."""
    from gateway.policy.port import ConsentFact, Question
    from gateway.policy.rego import document

    now = system_clock()
    consent = ConsentFact(
        id="AAAAAAAAAAAAAAAAAAAAAA",
        category="decisions",
        source="ind",
        recipient=VW,
        purpose="legal_screening",
        status="active",
        confirmed=True,
        explicit=False,
        minor=False,
        guardian=False,
        valid_from=now - 60,
        valid_until=now + 86_400,
    )
    return dict(
        document(
            Question(
                now=now,
                agreement=agreement,
                founding_signed=True,
                requester=VW,
                requester_status="active",
                requester_signed=True,
                source="ind",
                source_status="active",
                source_signed=True,
                purpose="legal_screening",
                categories=("perspective", "partners", "decisions"),
                role="caseworker",
                on_case=on_case,
                case_basis="mandate" if on_case else None,
                worker_on_case=on_case,
                consents=(consent,),
            )
        )
    )


@asynccontextmanager
async def _running(measuring: Measuring, nginx: str, opa: str) -> AsyncIterator[Sidecar]:
    town, fleet = measuring.town, measuring.town.fleet
    folder = town.folder / "sidecar"
    folder.mkdir()
    front, policy = free_ports(2)
    (folder / "nginx.conf").write_text(
        _configuration(front, policy, town.deployment.addresses.adapters["ind"])
    )
    (folder / "data.json").write_text(json.dumps(_data(measuring)))
    (folder / "allow.rego").write_text(_ALLOW)
    rego = [str(path) for path in (ROOT / "policies").glob("*.rego") if not path.stem.endswith("_test")]
    files = [*rego, str(folder / "allow.rego"), str(folder / "data.json")]
    address = f"127.0.0.1:{policy}"
    programs = [
        Program(
            "opa",
            (
                opa,
                "run",
                "--server",
                "--skip-version-check",
                "--log-level",
                "error",
                "--addr",
                address,
                *files,
            ),
            f"http://{address}/health",
            measured=True,
        ),
        Program(
            NGINX,
            (nginx, "-p", f"{folder}/", "-c", "nginx.conf", "-e", "error.log", "-g", "daemon off;"),
            f"http://127.0.0.1:{front}/ready",
            measured=True,
        ),
    ]
    await asyncio.to_thread(fleet.start, *programs)
    try:
        yield Sidecar(f"http://127.0.0.1:{front}")
    finally:
        fleet.stop("opa", NGINX)


def _data(measuring: Measuring) -> dict[str, object]:
    """Return the base document of our policies: the agreement."""
    from gateway.policy.rego import base_document

    signed = _signed(measuring)
    return dict(base_document({signed.digest: signed.data}))


def _signed(measuring: Measuring) -> SignedAgreement:
    from adapters.kit.agreement_chain import anchor

    folder = measuring.town.deployment[VW].deployment_folder
    return anchor(folder, Register.load(folder), system_clock()).signed


def _configuration(front: int, policy: int, source: str) -> str:
    return f"""
worker_processes 1;
pid nginx.pid;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    client_body_buffer_size 256k; client_max_body_size 1m; large_client_header_buffers 8 16k;
    upstream source {{ server {source.removeprefix("http://")}; keepalive 64; }}
    upstream policy {{ server 127.0.0.1:{policy}; keepalive 64; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {{
        listen 127.0.0.1:{front};
        location = /ready {{ return 200; }}
        location / {{
            auth_request /_may;
            proxy_pass http://source;
        }}
        location = /_may {{
            internal;
            proxy_method POST;
            proxy_set_header Content-Type application/json;
            proxy_set_body $http_x_facts;
            proxy_intercept_errors on;
            error_page 404 = @no;
            proxy_pass http://policy/v0/data/bench/allow;
        }}
        location @no {{ return 403; }}
    }}
}}
"""


def _nginx() -> str | None:
    return os.environ.get("BENCH_NGINX") or shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def opa_program() -> str | None:
    """Ask for the pinned OPA; it is built once where there is a Go toolchain."""
    found = subprocess.run([str(ROOT / ".ci" / "opa")], stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    path = found.stdout.strip()
    return path if found.returncode == 0 and Path(path).is_file() else None
