"""What the stack says when a process of it does not start, and that none is left behind."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.cli.stack import Process, Stack, StackFailed, free_ports


def simulator(port: int, name: str = "ind") -> Process:
    url = f"http://127.0.0.1:{port}/openapi.json"
    return Process(
        f"{name}-simulator", ("serve", "simulator", name), url, {"POORT_SIMULATOR_PORT": str(port)}
    )


@pytest.mark.processes
def test_a_process_that_dies_is_named_with_its_last_words_and_none_is_left(tmp_path: Path) -> None:
    good, other = free_ports(2)
    stack = Stack([simulator(good), simulator(other, "dtv")], tmp_path)
    ready: list[str] = []
    stack.start(lambda name, _: ready.append(name))
    stack.watch()
    stack.stop()
    assert sorted(ready) == ["dtv-simulator", "ind-simulator"]

    broken = Stack([simulator(good), simulator(other, "nobody")], tmp_path)
    with pytest.raises(StackFailed, match="nobody-simulator ended with exit code 2") as failed:
        broken.start(lambda *_: None)
    assert "one of ind, dtv, vvs" in str(failed.value)
    time.sleep(0.1)
    assert free_ports(1, first=good) == [good]


def test_a_port_in_use_is_an_error_that_names_the_option() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StackFailed, match="--port"):
            free_ports(1, first=taken.getsockname()[1])
