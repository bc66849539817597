"""Decides what goes on the wire, in which order and under which number: the good case and every fault that is not about time."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from .faults import StreamFaults
from .messages import CONNECTED, GARBAGE, MessageWriter, with_unknown_field
from .request import SILENCE, Recording, StreamRequest
from .train import FrameTrain, MediaFrame


class Kind(Enum):
    """How a message is framed."""

    TEXT = "text"
    BINARY = "binary"


class Emission(NamedTuple):
    """One message for the wire; ``frame`` is set when it carries audio of the recording."""

    kind: Kind
    data: bytes
    frame: MediaFrame | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """What is sent at one point in time: the messages, and how many samples of each track they stand for."""

    samples: int
    emissions: list[Emission]


class Playout:
    """The messages of one stream, drawn slot by slot. ``sequence`` is the last sequence number given."""

    def __init__(self, request: StreamRequest, recording: Recording, faults: StreamFaults) -> None:
        self._faults = faults
        self._writer = MessageWriter(request)
        self._slots = 0
        self._held: Emission | None = None
        self.train = FrameTrain(recording, request.wire_tracks)
        self.sequence = 0
        self.started = False
        self.skipped = 0
        self.duplicated = 0

    def connected(self) -> list[Emission]:
        """The first message."""
        return [] if self._faults.no_connected else self._texts(CONNECTED)

    def start(self) -> list[Emission]:
        """``start``; it may be drawn again for the fault of a second one."""
        self.started = True
        faults = self._faults
        return self._texts(self._writer.start(self._number(), fields=faults.start_fields, parameters=faults.parameters))

    @property
    def coming(self) -> int:
        """Samples of the next slot, which can be sent when the last of them is spoken."""
        lengths = self._faults.payload_lengths
        return lengths[self._slots % len(lengths)] if any(lengths) else self._faults.frame_bytes

    def slot(self) -> Slot:
        """The next slot of media."""
        faults, samples = self._faults, self.coming
        self._slots += 1
        emissions: list[Emission] = []
        for frame in self.train.next(samples, shared_chunk=faults.shared_chunk, silent_gaps=faults.silent_gaps):
            self._media(frame, emissions)
        return Slot(samples, emissions)

    def stop(self) -> list[Emission]:
        """The last messages: a frame that was held back, then ``stop``."""
        emissions = self._release()
        if not self._faults.no_stop:
            emissions += self._texts(self._writer.stop(self._number()))
        return emissions

    def _number(self) -> int:
        self.sequence += 1
        return self.sequence

    def _texts(self, *messages: bytes) -> list[Emission]:
        unknown = self._faults.unknown_fields
        return [Emission(Kind.TEXT, with_unknown_field(message) if unknown else message) for message in messages]

    def _release(self) -> list[Emission]:
        held, self._held = self._held, None
        return [held] if held is not None else []

    def _media(self, frame: MediaFrame, out: list[Emission]) -> None:
        faults, number = self._faults, frame.number
        data = self._writer.media(frame.track, self._number(), frame.chunk, frame.timestamp_ms, b64encode(frame.audio))
        if faults.unknown_fields:
            data = with_unknown_field(data)
        emission = Emission(Kind.TEXT, data, frame)
        if number in faults.skip:
            self.skipped += 1
        elif number in faults.swap and self._held is None:
            self._held = emission
        else:
            out.append(emission)
            if number in faults.duplicate:
                self.duplicated += 1
                out.append(emission)
            if self._held is not None:
                out += self._release()
        self._extras(frame, out)

    def _extras(self, frame: MediaFrame, out: list[Emission]) -> None:
        faults, number, writer = self._faults, frame.number, self._writer
        if number in faults.garbage_at:
            out.append(Emission(Kind.TEXT, GARBAGE))
        if number in faults.binary_at:
            out.append(Emission(Kind.BINARY, frame.audio))
        if number in faults.oversize_at:
            payload = b64encode(SILENCE * (faults.oversize_bytes * 3 // 4))
            out += self._texts(writer.media(frame.track, self._number(), frame.chunk, frame.timestamp_ms, payload))
        if faults.unknown_events_every and number % faults.unknown_events_every == 0:
            out += self._texts(writer.dtmf(self._number()), writer.mark(self._number()), writer.unknown(self._number()))
        if number == faults.second_start_at:
            out += self.start()
