"""Which processes make the stack, with the settings of each."""

from __future__ import annotations

from pathlib import Path

from gateway.cli.cast import SOURCES
from gateway.cli.opa_server import beside
from gateway.cli.provision import GATEWAY, Addresses, Deployment, gateway_environment
from gateway.cli.stack import Process, free_ports
from gateway.clock import system_clock


def choose_addresses(gateway_port: int | None = None) -> Addresses:
    """Choose free loopback ports for every process; `gateway_port` fixes the gateway's."""
    names = [source.name for source in SOURCES]
    first, *others = (
        f"http://127.0.0.1:{port}" for port in free_ports(1 + 2 * len(names), first=gateway_port)
    )
    half = len(names)
    return Addresses(
        gateway=first,
        adapters=dict(zip(names, others[:half], strict=True)),
        simulators=dict(zip(names, others[half:], strict=True)),
    )


def processes(deployment: Deployment, *, opa: Path | None = None) -> list[Process]:
    """List gateway, adapters and simulated agencies; each gets its own keys and nobody else's.

    `opa`: a program that decides beside the gateway, in place of the compiled policy inside it.
    """
    addresses = deployment.addresses
    settings = gateway_environment(deployment)
    started = [Process(GATEWAY, ("serve", "gateway"), f"{addresses.gateway}/readyz", settings)]
    if opa is not None:
        server, settings_for_it = beside(deployment, opa, now=system_clock())
        settings |= settings_for_it
        started.append(server)
    for source in SOURCES:
        adapter, simulator = addresses.adapters[source.name], addresses.simulators[source.name]
        started.append(
            Process(
                f"{source.name}-simulator",
                ("serve", "simulator", source.name),
                # An agency's system has no readiness page of ours; its own description will do.
                f"{simulator}/openapi.json",
                {"POORT_SIMULATOR_PORT": simulator.rpartition(":")[2]},
            )
        )
        holder = deployment[source.party]
        started.append(
            Process(
                f"{source.name}-adapter",
                ("serve", "adapter", source.name),
                f"{adapter}/readyz",
                {
                    "POORT_ADAPTER_PARTY": source.party,
                    "POORT_ADAPTER_GATEWAY_URL": addresses.gateway,
                    "POORT_ADAPTER_KEYS_FOLDER": str(holder.keys_folder),
                    "POORT_ADAPTER_KEYS_PASSPHRASE": holder.passphrase,
                    "POORT_ADAPTER_DEPLOYMENT_FOLDER": str(holder.deployment_folder),
                    "POORT_ADAPTER_AGENCY_URL": simulator,
                    "POORT_ADAPTER_STATE_PATH": str(deployment.folder / f"{source.name}-adapter.sqlite"),
                    "POORT_ADAPTER_HOST": "127.0.0.1",
                    "POORT_ADAPTER_PORT": adapter.rpartition(":")[2],
                },
            )
        )
    return started
