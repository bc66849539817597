"""The operator's log: a reader who does not read holds up nobody, and what is missing is told and counted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fcntl import F_SETPIPE_SZ, fcntl

import pytest

from support.eventually import eventually
from voiceassist_operator.log_writer import LogWriter
from voiceassist_operator.metrics import OperatorMetrics

PIPE = 4096


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    fcntl(ends[1], F_SETPIPE_SZ, PIPE)
    yield ends
    for end in ends:
        os.close(end)


def gap(lines: int) -> str:
    return f"(missing: {lines})\n"


def read(end: int, until: str) -> str:
    text = ""
    while not text.endswith(until):
        text += os.read(end, 65_536).decode()
    return text


def test_log_writer_lines_come_in_order_and_whole(pipe: tuple[int, int]) -> None:
    writer = LogWriter(pipe[1], gap)
    lines = [f"line {number} \u2014\n" for number in range(200)]
    for line in lines:
        assert writer.write(line) == len(line)
    assert read(pipe[0], lines[-1]) == "".join(lines)
    assert writer.drain(30)


def test_log_writer_without_a_reader_lines_are_dropped_counted_and_their_place_is_marked(pipe: tuple[int, int]) -> None:
    metrics = OperatorMetrics()
    writer = LogWriter(pipe[1], gap, most_bytes=2 * PIPE)
    writer.on_dropped = metrics.log_dropped
    line = "x" * 99 + "\n"
    for _ in range(200):
        writer.write(line)
    assert not writer.drain(0.01)
    dropped = metrics.registry.get_sample_value("voiceassist_operator_log_lines_dropped_total")
    assert dropped is not None and 200 - 3 * PIPE // 100 <= dropped <= 200 - 2 * PIPE // 100
    held = "".join(os.read(pipe[0], 100).decode() for _ in range(int(200 - dropped)))
    assert held == line * int(200 - dropped)
    assert writer.drain(30)
    writer.write("again\n")
    assert read(pipe[0], "again\n") == f"(missing: {int(dropped)})\nagain\n"


async def test_log_writer_a_reader_that_is_gone_is_counted() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    gone: list[int] = []
    writer = LogWriter(writing, gap)
    writer.on_dropped = gone.append
    writer.write("one\n")
    await eventually(lambda: gone == [1])
    os.close(writing)
