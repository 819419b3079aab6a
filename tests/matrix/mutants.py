"""Policies with one seeded fault each: the matrix must tell every one of them from the policy.

A positive control. A comparison that passes says something only if it would not pass on a policy that is
wrong. Each faulty policy is compiled by OPA and asked a few hundred blocks, those of most variety first; one
difference catches it. What survives is listed in survivors.json with the reason why no answer can show it.
"""

from __future__ import annotations

import heapq
import itertools
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.matrix import removals
from tests.matrix.agreements import Variant, variants
from tests.matrix.compare import Expected, asked_of, differing, expect
from tests.matrix.engines import (
    HARNESS,
    RELEASING,
    EngineFailed,
    WasmBatch,
    batch_input,
    compiled,
    data_of,
    sources,
)
from tests.matrix.faults import Fault, faults
from tests.matrix.run import on_every_processor
from tests.matrix.space import ROTATED, Block, blocks, opened
from tests.matrix.totals import Totals, say

SURVIVORS = Path(__file__).with_name("survivors.json")
CAUGHT = 0.95
# Of how many blocks between which an agreement opens something parts are looked at; of others a tenth.
_CANDIDATES_PER_AGREEMENT = 250
# A faulty policy that no part catches is asked all of them, so they are not many.
_QUESTIONS = 8_000
_COST_OF_A_BLOCK = 3
_REMOVED_FROM = 60


@dataclass(frozen=True)
class Killer:
    """One block with what the oracle expects, as the engine reads it."""

    block: Block
    asked: bytes


@dataclass(frozen=True)
class Killers:
    """The blocks by which faults are caught, those of most variety first, and the agreements they need."""

    chosen: tuple[Killer, ...]
    withheld: bytes  # questions to which nothing is permitted, each by one fact
    data: bytes

    def catch(self, module: bytes) -> bool:
        """Tell whether some block is answered otherwise by this module, or not at all."""
        try:
            engine = WasmBatch(module, self.data)
            if any(differing(engine, each.block, each.asked) for each in self.chosen):
                return True
            return bool(engine.ask(RELEASING, self.withheld))
        except EngineFailed:
            return True


def killers() -> Killers:
    """Choose parts of blocks greedily, by how many kinds of answers each adds for what it costs."""
    every = variants()
    candidates = [(part, expect(part)) for block in _candidates(every) for part in _parts(block)]
    gains = [(frozenset(_variety(part, expected)), part, expected) for part, expected in candidates]
    chosen: list[tuple[Block, Expected]] = []
    seen: set[Any] = set()
    # Lazily: what was chosen since only lowers a gain, so one that stays the best when looked at again is it.
    waiting = [(-float(len(gain)), number) for number, (gain, _, _) in enumerate(gains)]
    heapq.heapify(waiting)
    left = _QUESTIONS
    while waiting and left > 0:
        _, number = heapq.heappop(waiting)
        gain, part, expected = gains[number]
        worth = len(gain - seen) / (part.vectors + _COST_OF_A_BLOCK)
        if not worth:
            continue
        if waiting and -waiting[0][0] > worth:
            heapq.heappush(waiting, (-worth, number))
            continue
        seen |= gain
        left -= part.vectors
        chosen.append((part, expected))
    asked = tuple(Killer(part, asked_of(part, expected)) for part, expected in chosen)
    singles = list(itertools.islice(removals.permitted_alone(every), _REMOVED_FROM))
    bent = [question for single in singles for _, question in removals.of(single)]
    read = [*(part for part, _ in chosen), *singles]
    return Killers(asked, batch_input({"questions": bent}), data_of(_reduced(every, read)))


def _candidates(every: Sequence[Variant]) -> Iterator[Block]:
    """Yield, of each agreement, blocks between which it opens something, and some of the others."""
    between = {variant.name: set(opened(variant)) for variant in every}
    count: Counter[tuple[str, bool]] = Counter()
    for block in blocks(every):
        rich = (block.kinds, block.purpose) in between[block.variant.name]
        key = (block.variant.name, rich)
        count[key] += 1
        if count[key] <= (_CANDIDATES_PER_AGREEMENT if rich else _CANDIDATES_PER_AGREEMENT // 10):
            yield block


def _parts(block: Block) -> Iterator[Block]:
    """Yield the block in parts that vary one thing each, or two."""
    given = tuple(state for state in ("explicit", ROTATED) if state in block.states)
    yield replace(block, cases=block.cases[:1], states=given)
    yield replace(block, roles=block.roles[:1], states=given[:1] + block.states[:1])
    yield replace(block, roles=block.roles[:2], cases=block.cases[:2])


def _variety(block: Block, expected: Expected) -> Iterator[Any]:
    """Yield what kinds of answers are in a block."""
    variant, (requester, source) = block.variant.name, block.kinds
    for role, case, state in itertools.product(
        range(len(block.roles)), range(len(block.cases)), range(len(block.states))
    ):
        said = expected.at(role, case, state)
        if said["refusal"] is not None:
            yield variant, said["refusal"]["code"], requester, source == "nobody", bool(_table(block))
            return
        for category, decision in said["decisions"].items():
            why = decision["ground"] or decision["reason"]
            yield variant[0], requester, why, decision["next_step"], block.states[state]
            yield variant[0], category, why, requester
            yield variant[0], why, block.roles[role], block.cases[case]
            rule = _table(block).get(category, {})
            yield variant, category, rule.get("ground"), rule.get("statute"), why
        yield variant[0], said["ask_source"], *said["obligations"].items()


def _table(block: Block) -> Mapping[str, Any]:
    requester, source = block.kinds
    table: Any = block.variant.document["rules"].get(block.purpose, {}).get(requester, {}).get(source)
    return (
        {name: rule for name, rule in table.items() if isinstance(rule, dict)}
        if isinstance(table, dict)
        else {}
    )


def _reduced(every: Sequence[Variant], chosen: Sequence[Block]) -> list[Variant]:
    """Return the agreements with the rules that these blocks read, so that a faulty policy starts fast."""
    needed: dict[str, set[tuple[str, str, str]]] = {}
    for block in chosen:
        needed.setdefault(block.variant.digest, set()).add((block.purpose, *block.kinds))
    kept = []
    for variant in {each.digest: each for each in every if each.held}.values():
        rules: Any = variant.document["rules"]
        tables: dict[str, Any] = {}
        for purpose, requester, source in sorted(needed.get(variant.digest, ())):
            table = rules.get(purpose, {}).get(requester, {})
            if source in table:
                tables.setdefault(purpose, {}).setdefault(requester, {})[source] = table[source]
        kept.append(replace(variant, document={**variant.document, "rules": tables}))
    return kept


# --- one fault after the other ------------------------------------------------------------------


def hunt(
    number: int,
    workers: int,
    opa: Path,
    folder: Path,
    until: float,
    report: Callable[[Totals], None],
    every_nth: int = 1,
) -> None:
    """Seed this worker's faults into copies of the policy; report which are caught."""
    folder.mkdir(parents=True, exist_ok=True)
    own = [path for path in sources() if path != HARNESS]
    by = killers()
    if by.catch(unchanged(opa, folder)):
        raise EngineFailed("the policy without a fault differs from the oracle: run the matrix first")
    for fault in faults(opa, own)[::every_nth][number::workers]:
        totals = Totals()
        module = faulty(fault, opa, own, folder)
        if module is None:
            totals.mutants["do not compile"] += 1
        elif by.catch(module):
            totals.mutants[f"caught {fault.kind}"] += 1
        else:
            totals.mutants[f"survived {fault.kind}"] += 1
            totals.survivors.append(fault.name)
        report(totals)
        if time.monotonic() > until:
            break


def unchanged(opa: Path, folder: Path) -> bytes:
    """Return the compiled policy as it is."""
    return compiled(opa, sources(), folder)


def faulty(fault: Fault, opa: Path, own: Sequence[Path], folder: Path) -> bytes | None:
    """Return the compiled policy with the fault; None where it does not compile."""
    copied = folder / "faulty"
    shutil.rmtree(copied, ignore_errors=True)
    copied.mkdir()
    for path in own:
        text = path.read_text()
        (copied / path.name).write_text(fault.seeded(text) if path.name == fault.file else text)
    try:
        return compiled(opa, [*sorted(copied.glob("*.rego")), HARNESS], folder)
    except EngineFailed:
        return None


def shown(opa: Path, seconds: float, progress: Callable[[Totals], None], every_nth: int = 1) -> bool:
    """Hunt all faults and print what became of them; False where one survived that is not listed."""
    listed: Mapping[str, str] = json.loads(SURVIVORS.read_text())
    began = time.monotonic()
    totals = on_every_processor(partial(hunt, every_nth=every_nth), opa, seconds, progress)
    counted = totals.mutants
    caught = sum(count for name, count in counted.items() if name.startswith("caught"))
    survived = sum(count for name, count in counted.items() if name.startswith("survived"))
    for name, count in sorted(counted.items()):
        say(f"{name}: {count}")
    rate = caught / max(1, caught + survived)
    whole = sum(counted.values()) == len(faults(opa, [path for path in sources() if path != HARNESS]))
    unlisted = sorted(set(totals.survivors) - listed.keys())
    stale = sorted(listed.keys() - set(totals.survivors)) if whole else []
    for name in unlisted:
        say(f"SURVIVED, and survivors.json has no reason: {name}")
    for name in stale:
        say(f"listed in survivors.json, and did not survive: {name}")
    say(
        f"{caught + survived} faulty policies, {caught} caught ({rate:.1%}), {survived} survived, "
        f"{survived - len(unlisted)} of them with a reason, in {time.monotonic() - began:.0f} s"
    )
    if not whole:
        say("not all of them: it was told to stop early")
    # The share is one of all of them: a part may by chance begin with those that survive.
    enough = rate >= CAUGHT if whole else caught > 0
    return enough and not unlisted and not stale
