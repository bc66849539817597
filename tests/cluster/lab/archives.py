"""Joins image archives into one: layers that several images share are then read, sent and checked once."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

CHUNK = 1 << 20  # bytes that are written at once


def join(archives: Iterable[Path], out: IO[bytes]) -> None:
    """Write one archive with the images of several (docker-archive: layers named by their hashes, and manifest.json)."""
    manifests: list[dict[str, Any]] = []
    written: set[str] = set()
    with tarfile.open(fileobj=out, mode="w|", bufsize=CHUNK, format=tarfile.PAX_FORMAT) as joined:
        for archive in archives:
            with tarfile.open(archive) as one:
                index = one.extractfile("manifest.json")
                assert index is not None
                images: list[dict[str, Any]] = json.load(index)
                manifests += images
                for name in [part for image in images for part in (image["Config"], *image["Layers"])]:
                    if name not in written:
                        written.add(name)
                        joined.addfile(one.getmember(name), one.extractfile(name))
        text = json.dumps(manifests).encode()
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(text)
        joined.addfile(entry, io.BytesIO(text))
