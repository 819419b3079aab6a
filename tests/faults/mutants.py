"""Seed bugs, one at a time, into a copy of the repository, and see whether the tests notice.

    python -m tests.faults.mutants [NAME …]

A positive control: a suite that passes says something only if it would not pass on a gateway that is
wrong. Each bug is an edit of one place in the product; the tests that ought to see it must fail on it,
and pass on the copy without it. The repository itself is never changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_COPIED = (".ci", "gateway", "adapters", "consent", "policies", "tests", "pyproject.toml")
_TEST_SECONDS = 600
_FAILED = 1  # pytest: tests ran, and some failed
KILLS = "tests/faults/test_kills.py"
REPLAYS = "tests/faults/test_replays.py"
RACE = "tests/integration/promises/test_race.py"
OVERLOAD = "tests/integration/test_overload.py"
RECORD = "tests/integration/promises/test_no_record_no_release.py"
TURN = "tests/integration/test_agreement_turn.py"


@dataclass(frozen=True)
class Mutant:
    """A bug: `old` stands once in `file`, and becomes `new`. `tests` are pytest's arguments."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, root: Path) -> None:
        """Edit the copy; raise ValueError where the product no longer says what is to be spoiled."""
        target = root / self.file
        text = target.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.file} holds it {text.count(self.old)} times, not once")
        target.write_text(text.replace(self.old, self.new))


_BEFORE_RECORDING = """\
    def write(tx: Transaction) -> Exchange:
        taken = _claimed(tx, request, exchange, now=now)
        if taken is not None:
"""


def _race(change: str, method: str = "GET") -> tuple[str, ...]:
    return (f"{RACE}::test_nothing_that_a_change_forbids_leaves_after_it[file-{change}-{method}]",)


def _kill(cell: str) -> tuple[str, ...]:
    return (f"{KILLS}::test_a_gateway_killed_at_a_step_comes_back_and_breaks_no_promise[{cell}]",)


MUTANTS = (
    Mutant(
        "compare no revision",
        "gateway/facts.py",
        'clients_table.c.revision == bindparam("revision")',
        "clients_table.c.revision >= 0",
        _race("a withdrawal"),
    ),
    Mutant(
        "ignore the party epoch",
        "gateway/facts.py",
        'gateway_state.c.party_epoch == bindparam("party_epoch")',
        "gateway_state.c.party_epoch >= 0",
        _race("a suspension"),
    ),
    Mutant(
        "record under a version of the agreement whose time is over",
        "gateway/facts.py",
        'gateway_state.c.next_agreement_at > bindparam("at")',
        "gateway_state.c.next_agreement_at > 0",
        (f"{TURN}::test_what_is_decided_before_the_instant_is_not_recorded_after_it[sqlite]",),
    ),
    Mutant(
        "ignore the clock under the lock",
        "gateway/release.py",
        "return not self.permitted or at < self.valid_until",
        "return True",
        _race("the end of a consent"),
    ),
    Mutant(
        "skip the second check",
        "gateway/release.py",
        "keep = {Category(name) for name in permit.permitted}",
        "keep = set(held.claims.answers) | {Category.PARTNERS} if held.claims else set()",
        _race("a withdrawal"),
    ),
    Mutant(
        "answer before COMMIT",
        "gateway/storage/unit_of_work.py",
        "            return tx._close()",
        "            _tell([waiting])\n"
        # Long enough for the caller to have it, however busy the machine is.
        "            threading.Event().wait(0.2)\n            return tx._close()",
        (f"{RECORD}::test_when_a_commit_of_a_look_at_it_fails_nothing_leaves[file-not_persisted]",),
    ),
    Mutant(
        "send the order before it is recorded",
        "gateway/exchange_recording.py",
        _BEFORE_RECORDING,
        "    if exchange.order_jws:\n"
        "        await services.sources.send_order(exchange.source, exchange.order_jws)\n\n"
        + _BEFORE_RECORDING,
        _kill("write exchange_recording.record_decision #1 before"),
    ),
    Mutant(
        "keep no order until it is sent",
        "gateway/exchange_recording.py",
        "            orders.queue_order(tx.conn, stored",
        "            (lambda *_, **__: None)(tx.conn, stored",
        _kill("send order #1 before"),
    ),
    Mutant(
        "remember no idempotency key",
        "gateway/exchange_records.py",
        "    if known is None:\n        conn.execute(\n            _CLAIM",
        "    if known is None and not party:\n        conn.execute(\n            _CLAIM",
        _kill("write exchange_recording.record_decision #1 after"),
    ),
    Mutant(
        "commit without waiting for the disk",
        "gateway/storage/engine.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
        ("tests/faults/test_disk.py::test_the_writer_waits_for_the_disk_at_every_commit",),
    ),
    Mutant(
        "give out places and write no entries",
        "gateway/storage/unit_of_work.py",
        "        self._entries.append(entry)\n        return self._next_index + len(self._entries) - 1",
        "        return self._next_index",
        (f"{RECORD}::test_each_release_has_exactly_one_entry_and_one_row_per_category[file]",),
    ),
    Mutant(
        "keep what a withdrawal took the ground from",
        "gateway/exchange_recording.py",
        "        if not current.ordered[document.category.value].lost\n",
        "",
        ("tests/faults/test_crossing.py",),
    ),
    Mutant(
        "take other categories than were ordered",
        "gateway/release.py",
        "set(claims.answers) == ordered",
        "bool(ordered)",
        ("tests/integration/test_hostile_sources.py",),
    ),
    Mutant(
        "start without a signing key",
        "gateway/app.py",
        "        keys.signing(use)",
        "        pass",
        ("tests/faults/test_starts.py",),
    ),
    Mutant(
        "let a proof count twice",
        "gateway/oauth/resource.py",
        "        replay.claim(tx, key, proof.accepted_until)\n",
        "",
        (f"{REPLAYS}::test_a_message_that_comes_again_counts_once",),
    ),
    Mutant(
        "accept HS256",
        "adapters/kit/jose.py",
        'if header.get("alg") != "ES256":',
        'if header.get("alg") not in ("ES256", "HS256"):',
        ("tests/unit/kit/test_jose.py::test_the_public_key_is_no_hmac_secret",),
    ),
    Mutant(
        "let an assertion count twice",
        "gateway/oauth/replay.py",
        "    if claimed.rowcount != 1:",
        "    if claimed.rowcount < 0:",
        ("tests/integration/oauth/test_token_endpoint.py::test_the_same_assertion_twice_is_refused",),
    ),
    Mutant(
        "grant room always",
        "gateway/limits.py",
        "            if queued.size > free:\n"
        "                return  # first come, first served: else a large answer would wait for ever\n"
        "            if self._held[queued.holder] + queued.size > self._share:\n"
        "                continue\n",
        "",
        (f"{OVERLOAD}::test_answers_that_nobody_takes_off_do_not_pile_up_in_memory",),
    ),
)
SHORT = ("compare no revision", "answer before COMMIT")


@dataclass(frozen=True)
class Outcome:
    """What the tests said of a copy; `last_words` names the test that noticed."""

    name: str
    code: int
    seconds: float
    last_words: str

    @property
    def caught(self) -> bool:
        return self.code == _FAILED


@contextmanager
def copied() -> Iterator[Path]:
    """Copy what the tests need, for the length of a `with`."""
    with tempfile.TemporaryDirectory(prefix="poort-mutant-") as folder:
        root = Path(folder)
        for name in _COPIED:
            source = _ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, root / name)
        yield root


def run(root: Path, name: str, tests: Sequence[str]) -> Outcome:
    """Run tests of a copy, on the copy's own code."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=line", *tests],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=_TEST_SECONDS,
        check=False,
    )
    words = [line for line in done.stdout.splitlines() if line.strip()] or [done.stderr[-300:]]
    failed = [line.partition(" - ")[0] for line in words if line.startswith(("FAILED ", "ERROR "))]
    return Outcome(name, done.returncode, time.monotonic() - began, (failed or words)[-1])


def hunt(mutants: Sequence[Mutant]) -> Iterator[Outcome]:
    """Run each bug's tests on a copy that has it; first all those tests on a copy that has none."""
    with copied() as root:
        # Sorted: a town that several tests share must not stand still while others run in between.
        yield run(root, "no bug", sorted({test for mutant in mutants for test in mutant.tests}))
        for mutant in mutants:
            healthy = (root / mutant.file).read_text()
            mutant.apply(root)
            yield run(root, mutant.name, mutant.tests)
            (root / mutant.file).write_text(healthy)


def main(names: Sequence[str]) -> int:
    """Print a line per bug; return how many of them nobody noticed."""
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    wrong = 0
    for outcome in hunt(chosen):
        control = outcome.name.startswith("no bug")
        fine = outcome.code == 0 if control else outcome.caught
        wrong += not fine
        said = ("passes" if fine else "FAILS") if control else ("caught" if fine else "NOT CAUGHT")
        line = f"{said:11} {outcome.seconds:6.1f} s  {outcome.name}\n{'':22}{outcome.last_words}"
        print(line, flush=True)  # noqa: T201
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
