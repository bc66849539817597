#!/usr/bin/env python3
"""Builds the images of relay, operator and stand-ins for this machine, and prints their sizes and digests.

    tools/images.py --version 0.2.0 [--out dist/images] [--base debian] [--only relay]

With Docker where its engine answers, else with buildah, each image also as an OCI archive in the folder. `--base debian` builds upon a
Debian made here by debootstrap, as the cluster tests do, where no registry can be reached (buildah alone).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from cluster.lab import LabError  # noqa: E402 - the builder is the test cluster's
from cluster.lab.cache import Log, alone  # noqa: E402
from cluster.lab.images import DISTRIBUTIONS, base_image, buildah, have_base, pip_secrets  # noqa: E402
from cluster.lab.places import cache_root  # noqa: E402

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Built:
    """An image as an OCI archive: its manifest's digest, and bytes of its layers as they travel, base first."""

    name: str
    archive: Path
    digest: str
    layers: tuple[int, ...]

    @property
    def line(self) -> str:
        """For people: all of it, and the layer with our own code."""
        return f"{self.name:42} {sum(self.layers) / MEGABYTE:6.1f} MB packed, own code {self.layers[-1] / MEGABYTE:5.2f} MB  {self.digest}"


def read(name: str, archive: Path) -> Built:
    """What an OCI archive holds."""
    with tarfile.open(archive) as tar:

        def blob(path: str) -> dict[str, object]:
            found = tar.extractfile(path)
            assert found is not None
            return json.load(found)  # type: ignore[no-any-return]

        index = blob("index.json")
        digest = index["manifests"][0]["digest"]  # type: ignore[index]
        manifest = blob(f"blobs/{digest.replace(':', '/')}")
    return Built(name, archive, digest, tuple(layer["size"] for layer in manifest["layers"]))  # type: ignore[attr-defined]


def docker_answers() -> bool:
    """Is there a Docker engine?"""
    return shutil.which("docker") is not None and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def build(distribution: str, version: str, base: str | None, out: Path) -> Built:
    """Builds one image. Raises LabError with the end of the builder's output."""
    name = f"voiceassist-{distribution}:{version}"
    archive = out / f"voiceassist-{distribution}-{version}.oci.tar"
    archive.unlink(missing_ok=True)
    log = Log(out / f"voiceassist-{distribution}.log")
    arguments = ["--build-arg", f"DISTRIBUTION={distribution}", "--build-arg", f"VERSION={version}"]
    if base is None and docker_answers():
        log.run(["docker", "buildx", "build", *arguments, "-t", name, "--load", ROOT])
        log.run(["docker", "buildx", "build", *arguments, "-t", name, "--output", f"type=oci,dest={archive}", ROOT])
        return read(name, archive)
    with alone(cache_root() / "containers.lock", "an image"), pip_secrets() as secrets:
        if base == "debian":
            arguments += ["--pull-never", "--build-arg", f"BASE_IMAGE={have_base(base_image(), log)}"]
        elif base:
            arguments += ["--build-arg", f"BASE_IMAGE={base}"]
        log.run(buildah("bud", "--isolation", "chroot", "--layers", *arguments, *secrets, "-t", name, "-f", ROOT / "Dockerfile", ROOT))
        log.run(buildah("push", "-q", name, f"oci-archive:{archive}:{name}"))
    return read(name, archive)


def main() -> int:
    """Builds, prints, and writes the digests beside the archives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "dist/images")
    parser.add_argument("--base", help="another base image, or `debian`")
    parser.add_argument("--only", choices=DISTRIBUTIONS, action="append")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        made = [build(one, options.version, options.base, options.out) for one in options.only or DISTRIBUTIONS]
    except LabError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    for one in made:
        print(one.line)
    (options.out / "digests.json").write_text(json.dumps({one.name: one.digest for one in made}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
