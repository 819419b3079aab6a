"""Which processes make the stack, with the settings of each."""

from __future__ import annotations

from gateway.cli.cast import SOURCES
from gateway.cli.opa_server import beside
from gateway.cli.provision import GATEWAY, Addresses, Deployment, gateway_environment
from gateway.cli.shape import SMALLEST, Shape
from gateway.cli.stack import Process, free_ports
from gateway.clock import system_clock


def choose_addresses(gateway_port: int | None = None, *, gateways: int = 1) -> Addresses:
    """Choose free loopback ports for every process; `gateway_port` fixes the first gateway's."""
    names = [source.name for source in SOURCES]
    half = len(names)
    ports = free_ports(gateways + 2 * half, first=gateway_port)
    first, *others = (f"http://127.0.0.1:{port}" for port in ports)
    return Addresses(
        gateway=first,
        adapters=dict(zip(names, others[:half], strict=True)),
        simulators=dict(zip(names, others[half : 2 * half], strict=True)),
        more_gateways=tuple(others[2 * half :]),
    )


def gateway_names(addresses: Addresses) -> tuple[str, ...]:
    """Name the processes of the gateways: `gateway`, or numbered where there are several."""
    if not addresses.more_gateways:
        return (GATEWAY,)
    return tuple(f"{GATEWAY}-{number}" for number, _ in enumerate(addresses.gateways, 1))


def processes(deployment: Deployment, shape: Shape = SMALLEST) -> list[Process]:
    """List gateways, adapters and simulated agencies; each gets its own keys and nobody else's.

    As many gateways as the deployment has addresses for; the rest is as `shape` says.
    """
    addresses = deployment.addresses
    started: list[Process] = []
    of_opa: dict[str, str] = {}
    if shape.opa is not None:
        server, of_opa = beside(deployment, shape.opa, now=system_clock(), url=shape.opa_url)
        started.append(server)
    for number, (name, address) in enumerate(zip(gateway_names(addresses), addresses.gateways, strict=True)):
        settings = gateway_environment(deployment, number=number, database_url=shape.database_url)
        started.append(Process(name, ("serve", "gateway"), f"{address}/readyz", settings | of_opa))
    for number, source in enumerate(SOURCES):
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
                    "POORT_ADAPTER_GATEWAY_ADDRESSES": " ".join(addresses.gateways_for(number)),
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
