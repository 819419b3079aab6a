"""Run the matrix on every processor: each worker has both engines, and takes every n-th block.

What comes back is counted in one place; a difference, a broken property or an engine that stops fails the
run.
"""

from __future__ import annotations

import itertools
import multiprocessing
import queue
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.matrix import product, properties, removals
from tests.matrix.agreements import Variant, variants
from tests.matrix.compare import Difference, Expected, asked_of, differing, expect, explained
from tests.matrix.engines import (
    RELEASING,
    Batch,
    EngineFailed,
    OpaBatch,
    WasmBatch,
    batch_input,
    compiled,
    data_of,
    sources,
)
from tests.matrix.space import Block, blocks
from tests.matrix.totals import Totals

WORKERS = 2
# One in so many questions is asked of the product's own engine, singly.
SAMPLED = 200
REMOVED_FROM = 500
_REPORT_SECONDS = 2.0


def engines(opa: Path, held: Sequence[Variant], folder: Path) -> tuple[WasmBatch, OpaBatch]:
    """Start both engines with the harness and every agreement."""
    data = data_of(held)
    folder.mkdir(parents=True, exist_ok=True)
    wasm = WasmBatch(compiled(opa, sources(), folder), data)
    return wasm, OpaBatch(opa, sources(), data, folder)


def compare_block(block: Block, both: Sequence[Batch], totals: Totals) -> Expected:
    """Ask both engines one block and count what they say; the properties are looked at where they agree."""
    started = time.process_time()
    expected = expect(block)
    asked = asked_of(block, expected)
    totals.cpu_seconds["oracle"] += time.process_time() - started
    agreed = True
    for engine in both:
        started = time.process_time()
        found = differing(engine, block, asked)
        totals.cpu_seconds[f"{engine.name} (asking)"] += time.process_time() - started
        agreed = agreed and not found
        totals.differences += len(found)
        for at in found[:1]:
            totals.say(explained(engine, block, expected, at).words())
        totals.cells[f"{block.variant.name} {engine.name}"] += block.cells
        totals.vectors[f"{block.variant.name} {engine.name}"] += block.vectors
    if agreed:
        for words in properties.broken(block, expected):
            totals.broken += 1
            totals.say(words)
    for answer in expected.answers:
        totals.outcomes.update(_outcomes(answer))
    totals.blocks += 1
    return expected


def matrix(
    number: int, workers: int, opa: Path, folder: Path, until: float, report: Callable[[Totals], None]
) -> None:
    """Compare every block that is this worker's, until the moment (time.monotonic) `until`."""
    every = variants()
    mine = blocks(every)[number::workers]
    both = engines(opa, every, folder)
    singly = product.Product(every)
    counter = itertools.count(number)
    totals, reported = Totals(), time.monotonic()
    try:
        for block in mine:
            expected = compare_block(block, both, totals)
            started = time.process_time()
            for at in product.every_so_often(block, counter, SAMPLED):
                totals.vectors["product"] += 1
                found = singly.ask(block, at)
                if found != expected.at(*at):
                    totals.differences += 1
                    totals.say(Difference("product", block, at, expected.at(*at), found).words())
            totals.cpu_seconds["product"] += time.process_time() - started
            if time.monotonic() - reported > _REPORT_SECONDS:
                report(totals)
                totals, reported = Totals(), time.monotonic()
            if time.monotonic() > until:
                break
        totals.cpu_seconds["opa"] += both[1].cpu_seconds()
    finally:
        both[1].close()
    report(totals)


def removal(
    number: int, workers: int, opa: Path, folder: Path, until: float, report: Callable[[Totals], None]
) -> None:
    """Take each fact from each of this worker's permitted questions, on both engines."""
    every = variants()
    both = engines(opa, every, folder)
    try:
        for single in itertools.islice(removals.permitted_alone(every), number, REMOVED_FROM, workers):
            totals = Totals()
            bent = list(removals.of(single))
            asked = batch_input({"questions": [single.question(0, 0, 0), *(each for _, each in bent)]})
            for engine in both:
                totals.removals[f"questions {engine.name}"] += 1
                totals.removals[f"removals {engine.name}"] += len(bent)
                released = engine.ask(RELEASING, asked)
                if 0 not in released:
                    raise EngineFailed(f"{engine.name} withholds what is permitted: {single.words(0, 0, 0)}")
                for still in (each for each in released if each):
                    totals.broken += 1
                    totals.say(f"{engine.name}: {single.words(0, 0, 0)}: permitted {bent[still - 1][0]}")
            report(totals)
            if time.monotonic() > until:
                break
    finally:
        both[1].close()


def _outcomes(answer: dict[str, Any]) -> Iterator[str]:
    if answer["refusal"] is not None:
        yield f"refused: {answer['refusal']['code']}"
    for decision in answer["decisions"].values():
        yield f"{decision['outcome']}: {decision['ground'] or decision['reason']}"


# --- two processes ---------------------------------------------------------------------------------

Task = Callable[[int, int, Path, Path, float, Callable[[Totals], None]], None]


def on_every_processor(task: Task, opa: Path, seconds: float, progress: Callable[[Totals], None]) -> Totals:
    """Run a task in as many processes as there are workers; return what they did. Raises EngineFailed."""
    spawning = multiprocessing.get_context("spawn")
    reports: Any = spawning.Queue()
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        started = [
            spawning.Process(
                target=_working,
                args=(task, number, opa, Path(folder) / str(number), until, reports),
                daemon=True,
            )
            for number in range(WORKERS)
        ]
        for process in started:
            process.start()
        try:
            return _gathered(started, reports, progress)
        finally:
            for process in started:
                process.join(10)
                if process.is_alive():
                    process.terminate()


def _working(task: Task, number: int, opa: Path, folder: Path, until: float, reports: Any) -> None:
    try:
        task(number, WORKERS, opa, folder, until, reports.put)
    except Exception as error:  # told in the parent, which fails
        reports.put(f"{type(error).__name__}: {error}")
        raise
    used = resource.getrusage(resource.RUSAGE_SELF)
    last = Totals()
    last.cpu_seconds["workers"] = used.ru_utime + used.ru_stime
    reports.put(last)
    reports.put(None)


def _gathered(started: Sequence[Any], reports: Any, progress: Callable[[Totals], None]) -> Totals:
    totals, working = Totals(), len(started)
    while working:
        try:
            told = reports.get(timeout=5)
        except queue.Empty:
            if not any(process.is_alive() for process in started):
                raise EngineFailed("a worker ended without a word") from None
            continue
        if told is None:
            working -= 1
        elif isinstance(told, str):
            raise EngineFailed(told)
        else:
            totals.add(told)
            progress(totals)
    return totals
