"""Find the Rego that decides: what is compiled, and what an OPA server is given."""

from __future__ import annotations

from pathlib import Path


def rego_files(policies_dir: Path) -> dict[str, bytes]:
    """Return name → content of every policy below a folder, in order of name and without their tests."""
    return {
        path.relative_to(policies_dir).as_posix(): path.read_bytes()
        for path in sorted(policies_dir.rglob("*.rego"))
        if not path.name.endswith("_test.rego")
    }
