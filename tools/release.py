#!/usr/bin/env python3
"""Makes a release into dist/release, and publishes it unless told otherwise.

    tools/release.py 0.2.0 [--dry-run] [--registry ghcr.io/voiceassist] [--base debian]

The steps: check the version and the tree; images; the chart, which names the images by their digests; an SBOM for each image (CycloneDX);
notes from changelog.d; sums. Published are the images for two kinds of machines, with provenance, and the chart, each signed with
cosign. A dry run builds for this machine alone, and lists what it leaves out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import helm_python

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
DISTRIBUTIONS = ("relay", "operator", "sim")
PLATFORMS = "linux/amd64,linux/arm64"
VERSION = re.compile(r"\d+\.\d+\.\d+(-(alpha|beta|rc)\.\d+)?")


class ReleaseError(Exception):
    """Something that keeps this tree from being a release; says what to do."""


@dataclass(frozen=True)
class Release:
    """What is released, where to, and whether it really is."""

    version: str
    registry: str
    out: Path
    dry: bool
    base: str | None

    def image(self, distribution: str) -> str:
        """An image's repository."""
        return f"{self.registry}/{distribution}"


def run(*words: str | Path, **settings: object) -> str:
    """What a command prints. Raises ReleaseError with the end of what it complained about."""
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, **settings)  # type: ignore[call-overload]
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise ReleaseError(f"{Path(str(words[0])).name} {words[1] if len(words) > 1 else ''} failed:\n{tail}")
    return str(done.stdout)


def check(one: Release) -> list[str]:
    """What speaks against a release of this tree. A dry run only says so."""
    found = []
    if VERSION.fullmatch(one.version) is None:
        found.append(f"{one.version} is no version: 1.2.3, or 1.2.3-rc.1")
    if run("git", "status", "--porcelain").strip():
        found.append("the tree has changes that are in no commit")
    here = run(BIN / "python", ROOT / "tools/version.py").strip()
    if here != one.version:
        found.append(f"this commit has no tag v{one.version} (its version is {here}): git tag -s v{one.version}")
    if waiting := sorted(path.name for path in (ROOT / "changelog.d").glob("*.md") if path.name != "README.md"):
        found.append(f"{len(waiting)} fragments wait in changelog.d: towncrier build --version {one.version}, then commit")
    if found and not one.dry:
        raise ReleaseError("\n".join(found))
    return found


def images(one: Release) -> dict[str, str]:
    """The digest of each image: pushed for all platforms, or built here."""
    digests = {}
    if one.dry:
        base = ["--base", one.base] if one.base else []
        print(run(BIN / "python", ROOT / "tools/images.py", "--version", one.version, "--out", one.out / "images", *base), end="")
        built = json.loads((one.out / "images/digests.json").read_text())
        return {name: built[f"voiceassist-{name}:{one.version}"] for name in DISTRIBUTIONS}
    for name in DISTRIBUTIONS:
        told = one.out / f"{name}.json"
        arguments = ["--build-arg", f"DISTRIBUTION={name}", "--build-arg", f"VERSION={one.version}", "--platform", PLATFORMS]
        proofs = ["--provenance=mode=max", "--sbom=true", "--metadata-file", str(told), "--push"]
        run("docker", "buildx", "build", *arguments, *proofs, "-t", f"{one.image(name)}:{one.version}", ".")
        digests[name] = json.loads(told.read_text())["containerimage.digest"]
        told.unlink()
    return digests


def with_digests(values: str, version: str, digests: dict[str, str]) -> str:
    """The chart's values with the images' tags set to version and digest. Raises ReleaseError if they are not where they were."""
    for key, distribution in (("image", "operator"), ("relayImage", "relay")):
        pattern = re.compile(rf"(^{key}:\n(?:  .*\n)*?  tag: )\"\".*$", re.MULTILINE)
        values, count = pattern.subn(rf'\g<1>"{version}@{digests[distribution]}"', values)
        if count != 1:
            raise ReleaseError(f"the chart's values have no {key}.tag that is empty")
    return values


def chart(one: Release, digests: dict[str, str]) -> Path:
    """The chart as an archive, with the version and the images' digests in it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "voiceassist"
        shutil.copytree(ROOT / "charts/voiceassist", copy)
        values = copy / "values.yaml"
        values.write_text(with_digests(values.read_text(), one.version, digests))
        made = helm_python.package(copy, destination=str(one.out), version=one.version, app_version=one.version)
    return Path(made)


def bill(one: Release, distribution: str) -> Path:
    """The Python packages of an image, as its lock file has them (CycloneDX)."""
    path = one.out / f"voiceassist-{distribution}-{one.version}.cdx.json"
    lock, project = ROOT / f"requirements/{distribution}.lock", ROOT / distribution / "pyproject.toml"
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / "pyproject.toml"  # CycloneDX' tool wants the version in the file
        named.write_text(project.read_text().replace('dynamic = ["version"]', f'version = "{one.version}"'))
        run(BIN / "cyclonedx-py", "requirements", "--output-reproducible", "--pyproject", named, "-o", path, lock)
    return path


def notes(one: Release) -> Path:
    """The release's part of CHANGELOG.md; in a dry run, what changelog.d would make of it."""
    path = one.out / "NOTES.md"
    if one.dry:
        path.write_text(run(BIN / "towncrier", "build", "--draft", "--version", one.version))
        return path
    text = (ROOT / "CHANGELOG.md").read_text()
    found = re.search(rf"^## {re.escape(one.version)} .*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ReleaseError(f"CHANGELOG.md has no part for {one.version}: towncrier build --version {one.version}, then commit")
    path.write_text(found[0])
    return path


def sums(one: Release) -> Path:
    """SHA-256 of every file of the release."""
    path = one.out / "SHA256SUMS"
    files = sorted(file for file in one.out.iterdir() if file.is_file() and file != path)
    path.write_text("".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files))
    return path


def publish(one: Release, digests: dict[str, str], archive: Path, bills: dict[str, Path]) -> None:
    """Pushes the chart, signs chart and images, and attests the SBOMs. Signatures are keyless: who ran this is in the transparency log."""
    for name, digest in digests.items():
        run("cosign", "sign", "--yes", f"{one.image(name)}@{digest}")
        run("cosign", "attest", "--yes", "--type", "cyclonedx", "--predicate", bills[name], f"{one.image(name)}@{digest}")
    config = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker")) / "config.json"
    client = helm_python.RegistryClient(credentials_file=config)
    pushed = helm_python.push(archive, f"oci://{one.registry}/charts", client=client)
    run("cosign", "sign", "--yes", f"{one.registry}/charts/voiceassist@{pushed['digest']}")
    run("cosign", "sign-blob", "--yes", "--bundle", one.out / "SHA256SUMS.bundle", one.out / "SHA256SUMS")


def main() -> int:
    """Makes the release, or says in a line each what keeps it from being one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--registry", default=os.environ.get("REGISTRY", "ghcr.io/voiceassist"))
    parser.add_argument("--base", help="dry run: another base image, or `debian`")
    options = parser.parse_args()
    one = Release(options.version, options.registry, ROOT / "dist/release", options.dry_run, options.base)
    try:
        shutil.rmtree(one.out, ignore_errors=True)
        one.out.mkdir(parents=True)
        against = check(one)
        digests = images(one)
        archive = chart(one, digests)
        bills = {name: bill(one, name) for name in DISTRIBUTIONS}
        notes(one)
        sums(one)
        if not one.dry:
            publish(one, digests, archive, bills)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    for path in sorted(one.out.iterdir()):
        print(f"{path.stat().st_size:10}  {path.relative_to(ROOT)}")
    if one.dry:
        for line in (*against, f"images for {PLATFORMS}: only this machine's were built", f"nothing was pushed to {one.registry}"):
            print(f"NOT DONE  {line}")
        print("NOT DONE  signatures and provenance: they are made where the images are pushed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
