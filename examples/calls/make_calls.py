#!/usr/bin/env python3
"""Writes the sample calls: speaks the dialogues below with espeak-ng into 8 kHz stereo WAVs (customer left, agent right) with a JSON each.

Run it with the project's Python, which has voiceassist_sim: ``python examples/calls/make_calls.py``. The same espeak-ng gives the same
bytes each time; ``--check`` writes nothing and says whether the files here are what it would write.

What the stand-ins' tests rely on:

* the pause between two utterances of one speaker is digital silence and at least 900 ms long, the last utterance is followed by 1500 ms;
* pauses inside an utterance are cut to 120 ms, so that a silence of 200 ms ends a turn and nothing inside an utterance does;
* a faint noise (about -61 dBFS) lies under each utterance and nowhere else, so that no stretch of speech repeats byte for byte.
"""

# ruff: noqa: T201 - a command, so it prints

from __future__ import annotations

import argparse
import io
import itertools
import json
import subprocess
import sys
import tempfile
import wave
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voiceassist_sim.audio import RATE, Samples, read_wav, resample

HERE = Path(__file__).resolve().parent
WINDOW = RATE // 100
SPEECH_RMS = 32768 * 10 ** (-20 / 20)
PEAK = 32768 * 10 ** (-1.5 / 20)
QUIET_RMS = 32768 * 10 ** (-39 / 20)
NOISE = 48
LEAD_MS = 500
TAIL_MS = 1500


@dataclass(frozen=True)
class Line:
    """One utterance: who says what after which pause, and for a relevant one what the agent could be told."""

    speaker: str
    text: str
    pause_ms: int = 600
    question: str = ""
    answer: str = ""

    @property
    def relevant(self) -> bool:
        """Whether the agent is told something."""
        return bool(self.answer)


@dataclass(frozen=True)
class Dialogue:
    """One sample call: title, voices (espeak-ng name, words a minute) and lines."""

    name: str
    title: str
    customer: tuple[str, int]
    agent: tuple[str, int]
    lines: list[Line] = field(default_factory=list)


def customer(text: str, question: str = "", answer: str = "", pause_ms: int = 703) -> Line:
    """A line of the customer."""
    return Line("customer", text, pause_ms, question, answer)


def agent(text: str, pause_ms: int = 557) -> Line:
    """A line of the agent."""
    return Line("agent", text, pause_ms)


DIALOGUES = [
    Dialogue(
        "lost-parcel",
        "A parcel that was due on Monday has not arrived",
        ("en-us+f3", 165),
        ("en-gb+m3", 170),
        [
            agent("Northline Parcels, good morning, this is Tom.", 0),
            customer("Good morning, Tom."),
            agent("How can I help you today?"),
            customer(
                "My parcel was due on Monday, and it still has not arrived. Where is it?",
                "Where is the parcel that was due on Monday?",
                "I am sorry about the delay. Please give me the tracking number and I will look up the last scan.",
            ),
            agent("I am sorry to hear that. May I have the tracking number?"),
            customer(
                "Yes. It is four, seven, one, one, two, nine.",
                "What happened to parcel 471129?",
                "Parcel 471129 reached our depot on Tuesday. We can deliver it tomorrow before noon, free of charge.",
            ),
            agent("Thank you. It reached our depot on Tuesday. We can deliver it tomorrow before noon."),
            customer(
                "And what do I get if it is really lost?",
                "What is paid when a parcel is lost?",
                "Lost parcels are covered up to 100 pounds. I will send you the claim form; it needs the invoice.",
            ),
            agent("Then we pay up to one hundred pounds. I will send you the claim form."),
            customer("Wonderful. Thank you, goodbye."),
            agent("You are welcome. Goodbye."),
        ],
    ),
    Dialogue(
        "card-charge",
        "A card was charged twice by a hotel",
        ("en-gb+m7", 160),
        ("en-us+f2", 170),
        [
            agent("Harbour Bank, card services, you are speaking with Anna.", 0),
            customer("Hello Anna, how are you?"),
            agent("Very well, thank you. What can I do for you?"),
            customer(
                "A hotel has charged my credit card twice for the same night.",
                "How can a double charge by a hotel be disputed?",
                "We can open a dispute for the second charge. I need the date, the amount and the name of the hotel.",
            ),
            agent("I see. Which hotel was it, and how much?"),
            customer(
                "The Grand Plaza, two hundred and forty dollars, on the third of May.",
                "Is the charge of 240 dollars by the Grand Plaza a duplicate?",
                "I see two charges of 240 dollars by the Grand Plaza on 3 May. I mark the second one as disputed.",
            ),
            agent("Yes, I see both charges. I will dispute the second one."),
            customer(
                "When do I get my money back?",
                "How long does a refund take after a dispute?",
                "You get a provisional credit within two business days. The hotel then has 30 days to answer.",
            ),
            agent("You will see a provisional credit within two business days."),
            customer(
                "Should I block the card now?",
                "Does the card have to be blocked after a double charge?",
                "No. A double charge by a shop is no fraud, so the card stays valid. We only block it when it was stolen.",
            ),
            agent("No, that is not necessary. Your card is safe."),
            customer("All right. Thanks a lot for your help."),
            agent("My pleasure."),
        ],
    ),
    Dialogue(
        "insurance-deductible",
        "Hail damage, and how the deductible works",
        ("en-us+f4", 160),
        ("en-us+m2", 165),
        [
            agent("Acme Insurance, claims department, Peter speaking.", 0),
            customer("Hi, this is Laura Miller."),
            agent("Hello, Mrs. Miller. What happened?"),
            customer(
                "Hail has damaged the roof of my car. Does my policy pay for that?",
                "Does the policy cover hail damage to a car?",
                "Hail is covered by your comprehensive policy. Please send photos of the roof and of the number plate.",
            ),
            agent("Yes, hail is covered. Please send us a few photos."),
            customer(
                "How much is my deductible?",
                "How high is the deductible for hail damage?",
                "Your deductible is 300 dollars per claim. We pay everything above that directly to the garage.",
            ),
            agent("It is three hundred dollars for each claim."),
            customer(
                "Will my premium go up next year because of this claim?",
                "Does a hail claim raise the premium?",
                "No. Hail is a comprehensive claim and does not change your no-claims discount.",
            ),
            agent("No, it will not. Your discount stays as it is."),
            customer(
                "Can I choose the garage myself?",
                "Is the customer free to choose the garage?",
                "Yes, you may choose any garage. With one of our partner garages the deductible drops to 150 dollars.",
            ),
            agent("Yes, any garage you like."),
            customer("That is good to know. Thank you very much."),
            agent("You are welcome, Mrs. Miller. Have a nice day."),
        ],
    ),
]


def speak(text: str, voice: str, words_a_minute: int) -> Samples:
    """Speak a text with espeak-ng; 8 kHz samples without pauses at the ends and with short ones inside."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = ["espeak-ng", "-v", voice, "-s", str(words_a_minute), "-w", str(path), text]
        subprocess.run(command, check=True, timeout=60)  # noqa: S603 - the words are those of this file
        rate, channels = read_wav(path)
    return level(shorten_pauses(resample(channels[0], rate)))


def loudness(samples: Samples) -> npt.NDArray[np.float64]:
    """Root mean square of each 10 ms."""
    whole = len(samples) // WINDOW * WINDOW
    return np.sqrt((samples[:whole].astype(np.float64).reshape(-1, WINDOW) ** 2).mean(axis=1))


def shorten_pauses(samples: Samples, longest_ms: int = 120, edge_ms: int = 40) -> Samples:
    """Cut what is quiet at both ends and shorten each quiet stretch inside."""
    scale = SPEECH_RMS / np.sqrt((samples.astype(np.float64) ** 2).mean())
    loud = np.flatnonzero(loudness(samples) * scale > QUIET_RMS)
    first, last = max(0, loud[0] - edge_ms // 10), loud[-1] + 1 + edge_ms // 10
    keep: list[Samples] = []
    begin = first
    half = longest_ms // 20
    for before, after in itertools.pairwise(loud):
        if after - before - 1 > 2 * half:
            keep.append(samples[begin * WINDOW : (before + 1 + half) * WINDOW])
            begin = after - half
    keep.append(samples[begin * WINDOW : last * WINDOW])
    return np.concatenate(keep)


def level(samples: Samples) -> Samples:
    """Bring speech to the same loudness without clipping, and lay the noise under it."""
    real = samples.astype(np.float64)
    active = loudness(samples)
    rms = np.sqrt((active[active > active.max() / 30] ** 2).mean())
    real *= SPEECH_RMS / rms
    real = np.where(np.abs(real) > PEAK * 0.7, np.sign(real) * (PEAK * 0.7 + PEAK * 0.3 * np.tanh((np.abs(real) / PEAK - 0.7) / 0.3)), real)
    noise = np.random.RandomState(zlib.crc32(samples.tobytes())).randint(-NOISE, NOISE + 1, len(samples))
    return np.clip(np.rint(real) + noise, -32768, 32767).astype(np.int16)


def build(dialogue: Dialogue) -> tuple[bytes, str]:
    """One sample call: the WAV file's bytes and the JSON text."""
    spoken: list[tuple[int, Line, Samples]] = []
    at = LEAD_MS
    for line in dialogue.lines:
        voice = dialogue.customer if line.speaker == "customer" else dialogue.agent
        audio = speak(line.text, *voice)
        at += line.pause_ms
        spoken.append((at, line, audio))
        at += -(-len(audio) * 1000 // RATE)
    total = (at + TAIL_MS) * RATE // 1000
    stereo = np.zeros((total, 2), np.int16)
    utterances: list[dict[str, object]] = []
    number = {"customer": 0, "agent": 0}
    for start_ms, line, audio in spoken:
        start = start_ms * RATE // 1000
        stereo[start : start + len(audio), 0 if line.speaker == "customer" else 1] = audio
        number[line.speaker] += 1
        utterances.append(
            {
                "id": f"{line.speaker[0]}{number[line.speaker]}",
                "speaker": line.speaker,
                "startMs": start_ms,
                "endMs": start_ms + -(-len(audio) * 1000 // RATE),
                "text": line.text,
                "relevant": line.relevant,
                "question": line.question,
                "answer": line.answer,
            }
        )
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(stereo.astype("<i2").tobytes())
    return file.getvalue(), json.dumps({"title": dialogue.title, "utterances": utterances}, indent=2) + "\n"


def main() -> int:
    """Write or check all sample calls; exit code 1 when a check finds a difference."""
    parser = argparse.ArgumentParser(description="Write the sample calls beside this script.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: beside this script)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the files differ from what would be written")
    options = parser.parse_args()
    different = 0
    for dialogue in DIALOGUES:
        sound, text = build(dialogue)
        seconds = (len(sound) - 44) / 4 / RATE
        for path, content in ((options.out / f"{dialogue.name}.wav", sound), (options.out / f"{dialogue.name}.json", text.encode())):
            if options.check:
                if not path.exists() or path.read_bytes() != content:
                    print(f"{path.name}: differs from what this espeak-ng gives")
                    different += 1
            else:
                path.write_bytes(content)
        print(f"{dialogue.name}: {seconds:.1f} s, {len(dialogue.lines)} utterances")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
