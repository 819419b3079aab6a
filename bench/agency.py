"""An agency's simulated system, with some hundred more people in its files: `-m bench.agency ind 40`."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import cast

from adapters.simulation.personas import BY_V_NUMBER, Persona

# The sandbox's people start with 99900; these are nobody either.
_FIRST = 9_991_000_000


def v_number(number: int) -> str:
    """Return the V-number of the benchmark's person of this number."""
    return str(_FIRST + number)


def people(count: int) -> list[Persona]:
    """Invent people with one decision of two kilobytes each."""
    return [
        Persona(
            name=f"person-{number}",
            story="one of many",
            v_number=v_number(number),
            vvs_number=f"VVS-{number:06d}",
            given_name="Persoon",
            family_name=f"Nummer {number}",
            birth_date="1990-01-01",
            nationality="Onbekend",
            perspective="yes" if number % 2 else "no",
            guidance=True,
            phase="screening",
            decisions=1,
            dossier_documents=1,
            document_kilobytes=2,
        )
        for number in range(count)
    ]


def main() -> None:
    """Serve one simulated agency on POORT_SIMULATOR_PORT."""
    import uvicorn

    source, count = sys.argv[1], int(sys.argv[2])
    cast("dict[str, Persona]", BY_V_NUMBER).update({one.v_number: one for one in people(count)})
    uvicorn.run(
        import_module(f"adapters.{source}.simulator").create_app(),
        host="127.0.0.1",
        port=int(os.environ["POORT_SIMULATOR_PORT"]),
        access_log=False,
        log_level="warning",
        loop="uvloop",
        http="httptools",
    )


if __name__ == "__main__":
    main()
