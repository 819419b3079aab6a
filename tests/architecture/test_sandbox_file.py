"""`sandbox.json` holds the demonstration's private keys: not in git, and no process of the stack reads it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from gateway.cli.processes import choose_addresses, processes
from gateway.cli.provision import provision

ROOT = Path(__file__).resolve().parents[2]
NAME = "sandbox.json"


def test_git_ignores_it() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone")
    ignored = ["git", "check-ignore", "--quiet", f"var/{NAME}"]
    assert subprocess.run(ignored, cwd=ROOT, check=False).returncode == 0


def test_no_process_is_told_of_it(tmp_path: Path) -> None:
    deployment = provision(tmp_path, choose_addresses(), now=int(time.time()))
    started = processes(deployment)
    assert len(started) == 7
    told = [(*one.arguments, *one.environment, *one.environment.values()) for one in started]
    assert any(str(tmp_path) in word for words in told for word in words)
    # The folder's own name stands in every path, so it is taken away first.
    said = [word.replace(str(tmp_path), "").lower() for words in told for word in words]
    assert [word for word in said if "sandbox" in word] == []


def test_only_the_command_line_knows_its_name() -> None:
    modules = [
        path for folder in ("gateway", "adapters", "consent") for path in (ROOT / folder).rglob("*.py")
    ]
    knowing = {
        path.relative_to(ROOT).parent.as_posix() for path in modules if NAME in path.read_text("utf-8")
    }
    assert knowing == {"gateway/cli"}
    assert NAME not in (ROOT / "gateway" / "cli" / "serve.py").read_text("utf-8")
