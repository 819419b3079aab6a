"""What the documents say of a setting is what the code says: its name, and its default where one is given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from adapters.settings import AdapterSettings
from gateway.cli.connect import ADDRESSES_VARIABLE, STATE_VARIABLE, TLS_VARIABLES, VARIABLES
from gateway.http.app_factory import build_app
from gateway.limits import SourceLimits
from gateway.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENT = ROOT / "docs" / "deployment.md"
READERS = (DEPLOYMENT, ROOT / "compose" / "README.md", ROOT / "compose" / "compose.yaml")
REQUESTER = {*VARIABLES, *TLS_VARIABLES, ADDRESSES_VARIABLE, STATE_VARIABLE}
# Of containers, not of a process of ours; and a name that stands for all of its kind.
OTHERS = {"POORT_UID", "POORT_GID", "POORT_SIMULATOR_HOST", "POORT_SIMULATOR_PORT"}


def names(settings: Any) -> dict[str, Any]:
    """Return the default of every variable that a process reads."""
    prefix = settings.model_config["env_prefix"]
    return {f"{prefix}{name}".upper(): field.default for name, field in settings.model_fields.items()}


def said(text: str) -> set[str]:
    return set(re.findall(r"POORT_[A-Z][A-Z_]*[A-Z]\b", text))


def defaults(text: str) -> dict[str, float]:
    """Read the rows whose first cell names settings and whose second gives as many numbers."""
    found: dict[str, float] = {}
    for first, second in re.findall(r"(?m)^\| (`POORT_[^|]*`) \| ([\d., ]+) \|", text):
        given = zip(sorted(said(first), key=first.index), second.split(", "), strict=True)
        found |= {name: float(number) for name, number in given}
    return found


def unknown(text: str) -> set[str]:
    return said(text) - set(names(Settings)) - set(names(AdapterSettings)) - REQUESTER - OTHERS


@pytest.mark.parametrize("path", READERS, ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    assert said(path.read_text("utf-8"))
    assert unknown(path.read_text("utf-8")) == set()


def test_every_default_that_is_given_is_the_one_that_holds() -> None:
    given = defaults(DEPLOYMENT.read_text("utf-8"))
    assert len(given) == 9
    assert given == {name: float(names(Settings)[name]) for name in given}


def test_wrong_ones_are_found() -> None:
    assert unknown("`POORT_MAX_FLIGHT`") == {"POORT_MAX_FLIGHT"}
    assert defaults("| `POORT_ONE`, `POORT_TWO` | 1, 2.5 | x |") == {"POORT_ONE": 1.0, "POORT_TWO": 2.5}


def test_each_default_stands_once() -> None:
    limits = SourceLimits()
    fields = {f"source_{name}": getattr(limits, name) for name in SourceLimits.__dataclass_fields__}
    assert {name: Settings.model_fields[name].default for name in fields} == fields
    assert "max_in_flight" not in build_app.__annotations__
