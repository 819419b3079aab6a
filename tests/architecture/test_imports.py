"""Who may import whom. Read from the source with `ast`, so that no module has to be importable.

Imports inside functions and under TYPE_CHECKING count: a dependency is one at whatever moment it bites.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "consent", "adapters")
HTTP = ("aiohttp", "fastapi", "starlette", "uvicorn")


@dataclass(frozen=True)
class Rule:
    """Modules under `of`, save `exempt`, import nothing under `forbids`, save what is under `allows`."""

    of: str
    forbids: tuple[str, ...]
    why: str
    allows: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()


RULES = (
    Rule(
        of="adapters",
        forbids=("gateway", "consent"),
        why="a party runs its adapter without the gateway's code, and need not trust it",
    ),
    Rule(
        of="adapters.protocol",
        forbids=("adapters",),
        allows=("adapters.protocol",),
        why="the wire is what both ends share; it knows neither",
    ),
    Rule(
        of="adapters.kit",
        forbids=("adapters",),
        allows=("adapters.protocol", "adapters.kit"),
        why="the kit is what every party is made of, so it knows no single one",
    ),
    *(
        Rule(
            of=f"adapters.{source}",
            forbids=tuple(f"adapters.{other}" for other in ("ind", "dtv", "vvs") if other != source),
            why="a source is one folder; agencies share no code but the kit",
        )
        for source in ("ind", "dtv", "vvs")
    ),
    Rule(
        of="consent",
        forbids=("gateway", "adapters", "consent.desk", *HTTP),
        exempt=("consent.desk",),
        why="the law of consent is the same behind any door",
    ),
    Rule(
        of="consent.desk",
        forbids=("gateway",),
        why="the desk is an application of an NGO and speaks to the gateway over its API only",
    ),
    Rule(
        of="gateway",
        forbids=("adapters", "consent.desk"),
        allows=("adapters.protocol", "adapters.kit"),
        exempt=("gateway.cli",),  # the command line starts every process, so it must name them all
        why="the gateway knows sources by the wire alone",
    ),
    *(
        Rule(
            of=package,
            forbids=("sd_jwt", "jwcrypto", "tests"),
            why="the oracle accepts expired tokens and forged disclosures; only tests compare with it",
        )
        for package in PACKAGES
    ),
)


def under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full name of all that a file imports: `from a import b` counts as `a.b`."""
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package[: len(package) - level + 1] if level else ()
                stem = ".".join((*base, *([module] if module else [])))
                yield from ((node.lineno, f"{stem}.{alias.name}") for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def violations(root: Path) -> list[tuple[Rule, str]]:
    """Return every import that a rule forbids, with the rule and a line that says where."""
    found = []
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        module = module_name(path, root)
        bound = [
            rule
            for rule in RULES
            if under(module, rule.of) and not any(under(module, exempt) for exempt in rule.exempt)
        ]
        for line, name in imported_names(path, root):
            for rule in bound:
                forbidden = any(under(name, prefix) for prefix in rule.forbids)
                if forbidden and not any(under(name, prefix) for prefix in rule.allows):
                    place = path.relative_to(root).as_posix()
                    found.append((rule, f"{place}:{line} imports {name}: {rule.why}"))
    return found


def test_every_import_goes_the_way_of_the_house() -> None:
    assert list((ROOT / "gateway").rglob("*.py")), "there is nothing to look at"
    assert [words for _, words in violations(ROOT)] == []


PLANTED = [
    ("adapters/ind/service.py", "import gateway.errors"),
    ("adapters/kit/verify.py", "from consent import model"),
    ("adapters/protocol.py", "from adapters.kit import seal"),
    ("adapters/protocol.py", "from .kit import seal"),
    ("adapters/kit/seal.py", "from adapters.ind.mapping import FIELDS"),
    ("adapters/ind/service.py", "from adapters.dtv import client"),
    ("adapters/dtv/service.py", "from ..vvs import client"),
    ("adapters/vvs/service.py", "def f():\n    import adapters.ind.client"),
    ("consent/service.py", "from gateway.clock import Clock"),
    ("consent/model.py", "from adapters.protocol import Category"),
    ("consent/receipts.py", "from fastapi import Response"),
    ("consent/repository.py", "from . import desk"),
    ("consent/desk/pages.py", "from gateway import settings"),
    ("gateway/sources.py", "from adapters.ind.client import IndClient"),
    ("gateway/sources.py", "from adapters import ind"),
    ("gateway/sources.py", "import adapters"),
    ("gateway/sources.py", "from adapters import *"),
    ("gateway/app.py", "import importlib\nimportlib.import_module('adapters.ind')"),
    ("gateway/http/consents.py", "from consent.desk.app import create"),
    (
        "gateway/stages.py",
        "if TYPE_CHECKING:\n    import adapters.ind.client",
    ),
    ("gateway/release.py", "from sd_jwt.verifier import SDJWTVerifier"),
    ("consent/receipts.py", "import jwcrypto.jwk"),
    ("adapters/requester/verify.py", "from tests.builders import a_request"),
]


@pytest.mark.parametrize(("path", "source"), PLANTED)
def test_a_planted_violation_is_found(tmp_path: Path, path: str, source: str) -> None:
    plant(tmp_path, path, source)
    assert [words.split(":")[0] for _, words in violations(tmp_path)] == [path]


def test_every_rule_has_a_planted_violation(tmp_path: Path) -> None:
    broken = set()
    for number, (path, source) in enumerate(PLANTED):
        plant(tmp_path / str(number), path, source)
        broken |= {rule for rule, _ in violations(tmp_path / str(number))}
    assert broken == set(RULES)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("gateway/orders.py", "from adapters.protocol import ReleaseOrder\nfrom adapters.kit import seal"),
        ("gateway/orders.py", "from adapters import protocol"),
        ("gateway/exchange.py", "from consent.service import grant\nfrom gateway import release"),
        ("gateway/cli.py", "from adapters.ind import service\nfrom consent.desk import app"),
        ("consent/service.py", "from consent.model import Consent\nfrom .errors import Withdrawn"),
        (
            "consent/desk/app.py",
            "from adapters.requester import ask\nfrom consent import model\nimport fastapi",
        ),
        ("adapters/ind/service.py", "from adapters.kit import verify\nfrom . import mapping\nimport aiohttp"),
    ],
)
def test_what_the_house_allows_is_left_alone(tmp_path: Path, path: str, source: str) -> None:
    plant(tmp_path, path, source)
    assert violations(tmp_path) == []


def plant(root: Path, path: str, source: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True)
    target.write_text(source, encoding="utf-8")
