"""Container images, built with buildah outside of the cluster (which reaches nothing) and kept as archives in the cache."""

from __future__ import annotations

import configparser
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from cluster.lab.cache import Log, Recipe, alone, ensure, file_inputs
from cluster.lab.node import PAUSE_IMAGE
from cluster.lab.places import REPOSITORY, cache_root
from cluster.lab.programs import pause

DISTRIBUTIONS = ("relay", "operator", "sim")
ARCHIVE = "image.tar"
SUITE = "bookworm"  # the Debian release with Python 3.11
BASE_PACKAGES = "python3,python3-venv,ca-certificates"
BASE_IMAGE = "localhost/voiceassist-base"
STORAGE_LIMIT = 6  # GB that buildah's layers may take before they are thrown away
_MACHINE = platform.machine().encode()
_IGNORED = {"__pycache__", "node_modules", ".venv", "dist", "build"}
# Settings of pip that an image's build takes over from this machine.
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")


def image_name(distribution: str) -> str:
    """The name under which a distribution's image is known in the cluster."""
    return f"localhost/voiceassist-{distribution}:lab"


def buildah(*arguments: str | Path) -> list[str]:
    """A command of buildah's, with a store of its own."""
    store = cache_root() / "containers"  # not the machine's own store: nothing of ours is left there
    return ["buildah", "--root", str(store / "storage"), "--runroot", str(store / "run"), *map(str, arguments)]


def _save(log: Log, image: str, place: Path) -> None:
    log.run(buildah("push", "-q", image, f"docker-archive:{place / ARCHIVE}:{image}"))


def pause_image() -> Recipe:
    """The image of the process that holds a pod's namespaces open."""
    program = pause()
    dockerfile = b'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n'

    def make(place: Path, log: Log) -> None:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(ensure(program) / "pause", folder)
            (Path(folder) / "Dockerfile").write_bytes(dockerfile)
            log.run(buildah("bud", "--isolation", "chroot", "-q", "-t", PAUSE_IMAGE, folder))
        _save(log, PAUSE_IMAGE, place)

    return Recipe("pause-image", "the pause image", "1 s", (program.key.encode(), dockerfile), make)


def _debian_mirror() -> list[str]:
    """The mirror that this machine's own apt uses for the suite, if it does; else debootstrap has a default."""
    listed = ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages", f"Codename: {SUITE}"]
    asked = subprocess.run(listed, capture_output=True, text=True, check=False)
    found = re.search(rf"^{SUITE} (\S*/debian/?)$", asked.stdout, re.MULTILINE)
    return [found[1]] if found else []


def base_image() -> Recipe:
    """A Debian with Python, in place of the Dockerfile's public base."""

    def make(place: Path, log: Log) -> None:
        root = place / "root"
        log.run(["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", SUITE, root, *_debian_mirror()])
        for useless in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/log"):
            shutil.rmtree(root / useless, ignore_errors=True)
            (root / useless).mkdir(parents=True)
        (place / "Dockerfile").write_text(
            "FROM scratch\nCOPY root /\nENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        )
        log.run(buildah("bud", "--isolation", "chroot", "-q", "-t", f"{BASE_IMAGE}:{SUITE}", place))
        _save(log, f"{BASE_IMAGE}:{SUITE}", place)
        shutil.rmtree(root)

    return Recipe(
        "base-image", f"the images' base (Debian {SUITE} with Python)", "1 min", (SUITE.encode(), BASE_PACKAGES.encode(), _MACHINE), make
    )


def _tree(*folders: Path) -> Iterator[bytes]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not _IGNORED.intersection(path.relative_to(folder).parts):
                yield str(path.relative_to(REPOSITORY)).encode()
                yield path.read_bytes()


def distribution_image(distribution: str) -> Recipe:
    """The image of one of our distributions, from the Dockerfile."""
    base = base_image()
    name = image_name(distribution)
    shared = (".dockerignore", "Dockerfile", f"requirements/{distribution}.lock", "requirements/dev.lock", "tools/lock_subset.py")
    folders = (REPOSITORY / distribution, REPOSITORY / ("examples/calls" if distribution == "sim" else "crds"))
    sources = (*file_inputs(*(REPOSITORY / path for path in shared)), *_tree(*folders))

    def make(place: Path, log: Log) -> None:
        with alone(cache_root() / "containers.lock", "an image"), pip_secrets() as secrets:
            base_name = have_base(base, log)
            arguments = ["--build-arg", f"BASE_IMAGE={base_name}", "--build-arg", f"DISTRIBUTION={distribution}"]
            options = ["--isolation", "chroot", "--layers", "--pull-never", *arguments, *secrets]
            log.run(buildah("bud", *options, "-t", name, "-f", REPOSITORY / "Dockerfile", REPOSITORY))
            _save(log, name, place)

    usually = "1 min, 15 s when only our own code changed"
    return Recipe(f"{distribution}-image", f"the {distribution}'s image", usually, (base.key.encode(), *sources, _MACHINE), make)


def have_base(base: Recipe, log: Log) -> str:
    """The base image's name in buildah's storage, which is emptied when it has grown too large."""
    archive = ensure(base) / ARCHIVE
    store = cache_root() / "containers"
    used = subprocess.run(
        ["du", "--summarize", "--one-file-system", "--block-size=1G", store], capture_output=True, text=True, check=False
    ).stdout
    if used and int(used.split()[0]) > STORAGE_LIMIT:
        log.run(buildah("rmi", "--all", "--force"))
    name = f"{BASE_IMAGE}:{base.key}"
    if subprocess.run(buildah("inspect", "--type", "image", name), capture_output=True, check=False).returncode:
        log.run(buildah("pull", "-q", f"docker-archive:{archive}"))
        log.run(buildah("tag", f"{BASE_IMAGE}:{SUITE}", name))
    return name


@contextmanager
def pip_secrets() -> Iterator[list[str]]:
    """Options that let pip in an image's build reach what pip on this machine reaches; nothing of it ends up in the image."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    found: dict[str, str] = {}
    for scope in ("global", "install", ":env:"):  # the later one wins
        for key, value in re.findall(rf"^{scope}\.([a-z-]+)='(.*)'$", listed, re.MULTILINE):
            found[key] = value
    if "index-url" not in found and (index := os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")):
        found["index-url"] = index
    certificates = found.get("cert") or os.environ.get("SSL_CERT_FILE")
    settings = {key: value for key, value in found.items() if key in _PIP_SETTINGS}
    with tempfile.TemporaryDirectory() as folder:  # readable for its owner alone
        options: list[str] = []
        if certificates and Path(certificates).is_file():
            options += ["--secret", f"id=ca_certificates,src={certificates}"]
            settings["cert"] = "/run/secrets/ca_certificates"
        config = configparser.RawConfigParser()
        config["global"] = settings
        text = io.StringIO()
        config.write(text)
        (Path(folder) / "pip.conf").write_text(text.getvalue())
        yield [*options, "--secret", f"id=pip_conf,src={folder}/pip.conf"]


@cache
def all_images() -> tuple[Recipe, ...]:
    """Every image of ours, as the sources are when this is first asked for."""
    return tuple(distribution_image(name) for name in DISTRIBUTIONS)


def image_archive(recipe: Recipe) -> Path:
    """The archive of an image, built now if need be."""
    return ensure(recipe) / ARCHIVE
