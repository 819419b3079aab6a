"""What the repository may hold: its top level, sizes and names of modules, nothing of anyone's machine."""

import re
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TOP_LEVEL = re.compile(
    r"(pyproject\.toml|gateway|policies|consent|adapters|tests|compose|README\.md|Makefile|docs|bench|\.ci"
    r"|requirements[a-z-]*\.(txt|in)|LICENCE|\.git[a-z]*)"
)
LINES_OF_A_MODULE = 320  # a hard look at 300; beyond this a module has more than one duty
LINES_OF_A_TEST_MODULE = 640
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "core"}

# Each pattern is written so that it does not match itself.
NOT_OURS_TO_TELL = {
    "the host of a package registry": r"\b(pypi|pythonhosted|npmjs|golang|crates|maven)\.(org|io|com)\b",
    "a file on somebody's machine": r"\bfile:/{3}",
    "a home folder": r"(?<![\w.}/-])/(home/\w+|Users/\w+|root)/",
    "this very folder": re.escape(f"{ROOT}/"),
}


def files() -> list[Path]:
    """List what git has or would take: tracked, and new without being ignored."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone: what belongs to the repository cannot be told")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in names.split("\0") if name and (path := ROOT / name).is_file()]


def modules() -> list[Path]:
    return [path for path in files() if path.suffix == ".py"]


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def told(text: str) -> list[str]:
    """Return what a text tells that it should not."""
    return [what for what, pattern in NOT_OURS_TO_TELL.items() if re.search(pattern, text)]


def test_the_top_level_holds_what_the_design_names_and_nothing_else() -> None:
    names = {path.relative_to(ROOT).parts[0] for path in files()}
    assert "pyproject.toml" in names
    assert {name for name in names if not TOP_LEVEL.fullmatch(name)} == set()


def test_no_module_has_grown_past_one_duty() -> None:
    lengths = {place(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    # A migration is generated whole and never edited; tests are tables of cases, and read as such.
    too_long = {
        name: lines
        for name, lines in lengths.items()
        if lines > (LINES_OF_A_TEST_MODULE if name.startswith("tests/") else LINES_OF_A_MODULE)
        and "/migrations/versions/" not in name
    }
    assert too_long == {}


def test_every_module_is_named_after_its_duty() -> None:
    def words(path: Path) -> set[str]:
        parts = path.relative_to(ROOT).with_suffix("").parts
        return set(chain.from_iterable(part.lower().split("_") for part in parts))

    assert words(ROOT / "gateway" / "http_utils.py") & EMPTY_NAMES == {"utils"}
    assert [place(path) for path in modules() if words(path) & EMPTY_NAMES] == []


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {
        path.parent for path in modules() if place(path).split("/")[0] in {"gateway", "consent", "adapters"}
    }
    assert [place(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("--index-url https://{}.org/simple".format("pypi"), "the host of a package registry"),
        ("https://files.{}.org/packages".format("pythonhosted"), "the host of a package registry"),
        ("https://registry.{}.org/".format("npmjs"), "the host of a package registry"),
        ("GOPROXY=https://proxy.{}.org".format("golang"), "the host of a package registry"),
        ("see {}:///etc/hosts".format("file"), "a file on somebody's machine"),
        ("python = '/{}/anna/.pyenv/bin/python'".format("home"), "a home folder"),
        (f"({ROOT}/gateway/cli.py)", "this very folder"),
    ],
)
def test_a_planted_trace_of_a_machine_is_found(text: str, what: str) -> None:
    assert what in told(text)


def test_no_file_tells_of_a_machine_or_a_registry() -> None:
    traces = {}
    for path in files():
        content = path.read_bytes()
        if b"\0" not in content and (found := told(content.decode(errors="replace"))):
            traces[place(path)] = found
    assert traces == {}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_locked_dependency_has_a_version_and_hashes_and_no_address(name: str) -> None:
    lock = (ROOT / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n", "", lock).strip())
    assert len(entries) > 20
    assert [entry for entry in entries if not re.match(r"[a-z0-9.-]+==\S+", entry)] == []
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in lock


def test_the_lock_has_all_that_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    dev = [entry for entry in groups["dev"] if isinstance(entry, str)]
    for name, asked in {
        "requirements.txt": project["project"]["dependencies"] + groups["build"],
        "requirements-dev.txt": project["project"]["dependencies"] + groups["build"] + dev,
    }.items():
        locked = set(re.findall(r"(?m)^([a-z0-9.-]+)==", (ROOT / name).read_text(encoding="utf-8")))
        wanted = {match[0].lower() for entry in asked if (match := re.match(r"[A-Za-z0-9-]+", entry))}
        assert wanted - locked == set(), f"run `make lock`: {name} is older than pyproject.toml"


def test_both_locks_choose_the_same_versions() -> None:
    def versions(name: str) -> dict[str, str]:
        return dict(re.findall(r"(?m)^([a-z0-9.-]+)==(\S+)", (ROOT / name).read_text(encoding="utf-8")))

    assert versions("requirements.txt").items() <= versions("requirements-dev.txt").items()
