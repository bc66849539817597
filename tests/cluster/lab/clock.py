"""A node whose clock is wrong, as far as our programs in its pods can see: by a library of ours that an image of the same name preloads."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

from cluster.lab.cache import Log, Recipe, ensure, file_inputs
from cluster.lab.places import RECIPE

_INSIDE = "opt/clock.so"


@cache
def clock() -> Recipe:
    """The library that is preloaded."""
    source = RECIPE / "clock" / "clock.c"

    def make(place: Path, log: Log) -> None:
        log.run(["gcc", "-Os", "-shared", "-fPIC", "-s", "-o", place / "clock.so", source])

    return Recipe("clock", "a clock that is wrong", "1 s", (*file_inputs(source), platform.machine().encode()), make)


def skewed(archive: Path, seconds: int, out: Path) -> Path:
    """An image archive like `archive`, in whose containers the time of day is that many seconds ahead; steady clocks are as they are."""
    with tarfile.open(archive) as source, tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as target:
        [image] = json.load(_member(source, "manifest.json"))
        config: dict[str, Any] = json.load(_member(source, image["Config"]))
        for name in image["Layers"]:
            target.addfile(source.getmember(name), source.extractfile(name))
        layer = _layer()
        digest = hashlib.sha256(layer).hexdigest()
        config["rootfs"]["diff_ids"].append(f"sha256:{digest}")
        config.setdefault("history", []).append({"created_by": "a clock that is wrong"})
        config["config"]["Env"] += [f"LD_PRELOAD=/{_INSIDE}", f"CLOCK_AHEAD={seconds}"]
        text = json.dumps(config).encode()
        image |= {"Config": f"{hashlib.sha256(text).hexdigest()}.json", "Layers": [*image["Layers"], f"{digest}.tar"]}
        for name, content in ((f"{digest}.tar", layer), (image["Config"], text), ("manifest.json", json.dumps([image]).encode())):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            target.addfile(entry, io.BytesIO(content))
    return out


def _member(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.extractfile(name)
    assert found is not None
    return found


def _layer() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as layer:
        entry = tarfile.TarInfo(_INSIDE)
        content = (ensure(clock()) / "clock.so").read_bytes()
        entry.size, entry.mode = len(content), 0o755
        layer.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
