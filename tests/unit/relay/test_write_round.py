"""The round of writes: what waits goes out in order, in one write for each socket, and a socket that broke stops no other."""

from __future__ import annotations

from functools import partial

from voiceassist_relay.write_round import WriteRound


class Sockets:
    """Writes in the order in which they came."""

    def __init__(self) -> None:
        self.wrote: list[tuple[str, bytes]] = []
        self.a, self.b = partial(self._write, "a"), partial(self._write, "b")

    def _write(self, name: str, data: bytes) -> None:
        self.wrote.append((name, data))

    def broken(self, _: bytes) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


def held(writes: WriteRound, *what: tuple[object, bytes]) -> None:
    assert writes.held is not None
    writes.held.extend(what)  # type: ignore[arg-type]


def test_write_round_what_waits_goes_out_at_the_end_and_in_one_write_for_each_socket() -> None:
    writes, to = WriteRound(), Sockets()
    assert writes.held is None
    writes.begin()
    held(writes, (to.a, b"1"), (to.a, b"2"), (to.b, b"3"), (to.a, b"4"))
    writes.begin()
    assert to.wrote == []
    writes.end()
    assert to.wrote == [("a", b"12"), ("b", b"3"), ("a", b"4")]
    assert writes.held is None
    writes.end()
    assert len(to.wrote) == 3


def test_write_round_a_flush_writes_what_waits_and_the_round_goes_on() -> None:
    writes, to = WriteRound(), Sockets()
    writes.flush()
    assert writes.held is None
    writes.begin()
    held(writes, (to.a, b"1"))
    writes.flush()
    assert to.wrote == [("a", b"1")]
    held(writes, (to.a, b"2"))
    writes.end()
    assert to.wrote == [("a", b"1"), ("a", b"2")]


def test_write_round_a_socket_that_broke_stops_no_other() -> None:
    writes, to = WriteRound(), Sockets()
    writes.begin()
    broken = to.broken
    held(writes, (to.a, b"1"), (broken, b"2"), (broken, b"3"), (to.b, b"4"), (to.broken, b"5"))
    writes.end()
    assert to.wrote == [("a", b"1"), ("b", b"4")]


def test_write_round_what_a_write_leads_to_waits_for_the_next_one() -> None:
    """A socket's buffer runs full, or takes up again, while others are written to."""
    writes, to = WriteRound(), Sockets()

    def full(data: bytes) -> None:
        to.a(data)
        held(writes, (to.a, b"2"))

    writes.begin()
    held(writes, (full, b"1"), (to.b, b"3"))
    writes.flush()
    assert to.wrote == [("a", b"1"), ("b", b"3")]
    writes.end()
    assert to.wrote[2:] == [("a", b"2")]


def test_write_round_then_is_when_it_is_written() -> None:
    writes, to = WriteRound(), Sockets()
    writes.then(partial(to.b, b"at once"))
    writes.begin()
    writes.then(partial(to.b, b"nothing waits"))
    held(writes, (to.a, b"1"))
    writes.then(partial(to.b, b"after it"))
    held(writes, (to.a, b"2"))
    writes.end()
    assert to.wrote == [("b", b"at once"), ("b", b"nothing waits"), ("a", b"1"), ("b", b"after it"), ("a", b"2")]


async def test_write_round_a_loop_has_one() -> None:
    assert WriteRound.shared() is WriteRound.shared()
