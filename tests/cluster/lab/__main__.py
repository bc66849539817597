"""The commands behind `make cluster` and its friends: one cluster that stays until it is told to go."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.lab.cache import ensure
from cluster.lab.enclosure import reap
from cluster.lab.errors import LabError
from cluster.lab.images import all_images, image_archive
from cluster.lab.lab import Lab
from cluster.lab.places import KEPT, REPOSITORY
from cluster.lab.prerequisites import install_packages, missing_prerequisites
from cluster.lab.programs import all_programs
from cluster.lab.progress import say, spelled, step
from cluster.lab.sandbox import AUTHORITY_SECRET, authority_secret, sandbox_voiceassist, with_our_images

RECORD = KEPT / "lab.json"
NAMESPACE = "voiceassist"
CHART = REPOSITORY / "charts" / "voiceassist"
CHART_VALUES = REPOSITORY / "tests" / "cluster" / "values.yaml"
SANDBOX = REPOSITORY / "examples" / "sandbox.yaml"

NEXT = """
The cluster is up: two nodes, an ingress controller (class traefik, https://<name>.voiceassist.test inside), and in the
namespace {namespace} the stand-ins for Twilio and the model, the operator, and a VoiceAssist named sandbox.

  make cluster-shell                    a shell in its network, with kubectl, helm and KUBECONFIG
  make cluster-shell CMD='kubectl get pods -A'
  make cluster-down                     removes it, and leaves nothing

In that shell, `kubectl describe voiceassist sandbox` tells how it is, `kubectl edit voiceassist sandbox` changes its prompt, and
docs/tutorial.md plays a call (section 5). The cluster reaches nothing outside, and nothing outside reaches it.
Logs of its programs: {folder}/log
"""


def kept_lab() -> Lab:
    """The cluster that `make cluster` has left running. Raises LabError if there is none."""
    try:
        folder = Path(json.loads(RECORD.read_text())["folder"])
    except FileNotFoundError:
        raise LabError("no cluster is up; `make cluster` brings one up") from None
    try:
        return Lab.attach(folder)
    except LabError:
        reap()
        RECORD.unlink()
        raise LabError("the cluster is no longer there; `make cluster` brings up another one") from None


def check() -> None:
    """Raise LabError with everything that is missing, after trying to install it."""
    failed = install_packages()
    missing = missing_prerequisites()
    if missing:
        raise LabError("\n".join([*missing, failed] if failed else missing))


def build(_: argparse.Namespace) -> int:
    """Build all programs and images that are not in the cache."""
    check()
    for recipe in (*all_programs(), *all_images()):
        ensure(recipe)
    return 0


def up(options: argparse.Namespace) -> int:
    """Bring a cluster up with our images, the stand-ins and the chart."""
    if RECORD.exists():
        try:
            kept_lab()
        except LabError:
            pass
        else:
            say("a cluster is up already: `make cluster-shell` uses it, `make cluster-down` removes it")
            return 0
    build(options)
    lab = Lab(keep=True)
    with step(f"bringing up {options.nodes} node(s)", "12 s"):
        lab.up(nodes=options.nodes)
    KEPT.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps({"folder": str(lab.folder)}))
    try:
        furnish(lab)
    except (LabError, OSError):
        say("the cluster itself is up and is left as it is: `make cluster-shell` to look, `make cluster-down` to remove it")
        raise
    print(NEXT.format(namespace=NAMESPACE, folder=lab.folder))
    return 0


def furnish(lab: Lab) -> None:
    """Put into a new cluster what `make cluster` promises. Raises LabError, or OSError if a stand-in refuses something."""
    wait = ("-n", NAMESPACE, "--timeout=300s")
    with step("loading our images", "15 s"):
        lab.load(*[image_archive(recipe) for recipe in all_images()])
    with step("starting the stand-ins", "5 s"):
        lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        lab.apply(*with_our_images(SANDBOX.read_text()), namespace=NAMESPACE)
        lab.kubectl("wait", "deployment", "--all", "--for=condition=Available", *wait)
    with step("installing the chart", "10 s"):
        lab.apply(authority_secret(lab), namespace=NAMESPACE)
        values: list[str | Path] = ["--values", CHART_VALUES, "--set", f"endpoint.caSecret={AUTHORITY_SECRET}"]
        lab.helm("install", "voiceassist", CHART, "-n", NAMESPACE, *values, "--wait", "--timeout", "100s")
    with step("applying a VoiceAssist", "10 s"):
        lab.apply(sandbox_voiceassist(), namespace=NAMESPACE)
        lab.kubectl("wait", "--for=condition=Ready", "voiceassist/sandbox", *wait)


def shell(options: argparse.Namespace) -> int:
    """Run a shell, or one command, in the cluster's network."""
    lab = kept_lab()
    environment = lab.environment
    if options.command:
        argv = ["bash", "-c", " ".join(options.command)]
    else:
        start = lab.folder / "bashrc"
        path, kubeconfig = environment["PATH"], environment["KUBECONFIG"]
        start.write_text(
            f'[ ! -f ~/.bashrc ] || . ~/.bashrc\nexport PATH="{path}" KUBECONFIG="{kubeconfig}"\nPS1="(cluster) $PS1"\n'
            f"kubectl config set-context --current --namespace={NAMESPACE} >/dev/null\n"
        )
        argv = ["bash", "--rcfile", str(start), "-i"]
    command = lab.enclosure.in_network([shutil.which("bash") or "/bin/bash", *argv[1:]])
    sys.stdout.flush()
    os.execvpe(command[0], command, environment)


def down(_: argparse.Namespace) -> int:
    """Remove the cluster; does nothing if there is none."""
    try:
        lab = kept_lab()
    except LabError as error:
        say(str(error).partition(";")[0])
        return 0
    lab.down()
    RECORD.unlink()
    say(f"removed in {spelled(lab.seconds['down'])}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 1 if something is missing or does not come up."""
    parser = argparse.ArgumentParser(prog="python -m cluster.lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    table: dict[str, Callable[[argparse.Namespace], int]] = {"build": build, "up": up, "shell": shell, "down": down}
    for name, run in table.items():
        added = commands.add_parser(name, help=run.__doc__)
        added.set_defaults(run=run)
        if name == "up":
            added.add_argument("--nodes", type=int, choices=(1, 2), default=2)
        if name == "shell":
            added.add_argument("command", nargs="*", help="a command instead of a shell")
    options = parser.parse_args(argv)
    try:
        return int(options.run(options))
    except (LabError, OSError) as error:
        for line in str(error).splitlines():
            say(line)
        return 1


if __name__ == "__main__":
    sys.exit(main())
