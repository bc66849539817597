"""The log's queue: a reader who does not read holds up nobody, and what is missing is told."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from fcntl import F_SETPIPE_SZ, fcntl

import pytest

from support.eventually import eventually
from voiceassist_relay.log_writer import LogWriter

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
    assert writer.drain(10)


def test_log_writer_without_a_reader_lines_are_dropped_and_counted_and_their_place_is_marked(pipe: tuple[int, int]) -> None:
    dropped: list[int] = []
    writer = LogWriter(pipe[1], gap, most_bytes=10_000)
    writer.on_dropped = dropped.append
    line = "x" * 99 + "\n"
    for _ in range(1000):
        writer.write(line)
    assert not writer.drain(0.05), "it says that not all is written, in time"
    missing = len(dropped)
    assert 1000 - (10_000 + PIPE) // 100 - 1 <= missing <= 900
    kept = os.read(pipe[0], 65_536).decode()
    while len(kept) < (1000 - missing) * 100:
        kept += os.read(pipe[0], 65_536).decode()
    assert kept == line * (1000 - missing)
    assert writer.drain(10)
    writer.write("after\n")
    assert read(pipe[0], "after\n") == f"(missing: {missing})\nafter\n"


def test_log_writer_a_descriptor_that_does_not_wait_loses_nothing(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    writer = LogWriter(pipe[1], gap)
    lines = [f"{number:099d}\n" for number in range(500)]
    for line in lines:
        writer.write(line)
    assert read(pipe[0], lines[-1]) == "".join(lines)


async def test_log_writer_a_reader_who_has_gone_is_no_fault_of_the_process(pipe: tuple[int, int]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    dropped: list[int] = []
    writer = LogWriter(theirs, gap)
    writer.on_dropped = dropped.append
    writer.write("nobody reads this\n")
    await eventually(lambda: dropped == [1])
    assert writer.drain(10)
    os.close(theirs)


@pytest.mark.parametrize("reading", [True, False])
def test_log_writer_at_the_end_what_waits_is_written_if_somebody_reads(reading: bool) -> None:
    program = (
        "from voiceassist_relay.log_writer import LogWriter\n"
        "writer = LogWriter(2, str)\nfor number in range(5000):\n    writer.write(f'{number:099d}\\n')\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) as process:
        if reading:
            assert process.stderr is not None
            assert process.stderr.read().splitlines()[-1] == b"%099d" % 4999
        began = time.monotonic()
        assert process.wait(60) == 0
        assert time.monotonic() - began < 50
