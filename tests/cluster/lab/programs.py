"""The cluster's programs, compiled from Go modules (and one C file) into the cache, and the kinds that a module has as files."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from cluster.lab.cache import Log, Recipe, file_inputs
from cluster.lab.errors import BuildError, LabError
from cluster.lab.golang import go_environment, go_tool
from cluster.lab.places import RECIPE

MONITORING_KINDS = ("podmonitors", "prometheusrules")
GATEWAY_KINDS = ("backendtlspolicies", "gatewayclasses", "gateways", "grpcroutes", "httproutes", "referencegrants")
KUBERNETES_COMMANDS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
# Nobody debugs them, and a ninth of a compiler's time is for that. In no key: what the programs do is the same.
_FLAGS = ("-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false")
_MACHINE = platform.machine().encode()


def module_version(folder: Path, module: str) -> str:
    """The version of a module that a folder's go.mod requires, as 1.2.3."""
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} v(\S+)", (folder / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise LabError(f"{folder / 'go.mod'} does not require {module}")
    return found[1]


def _go_recipe(
    what: str,
    title: str,
    usually: str,
    module: str,
    package: str,
    stamps: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
) -> Recipe:
    folder = RECIPE / what
    version = module_version(folder, module)
    program = "hyperkube" if names else what
    flags = " ".join(("-s", "-w", *(f"-X {stamp}" for stamp in stamps)))
    choice = ("-tags", ",".join(tags)) if tags else ()

    def make(place: Path, log: Log) -> None:
        go = go_tool()
        build: list[str | Path] = [go, "build", *_FLAGS, *choice, "-ldflags", flags, "-o", place / program, package]
        log.run(build, cwd=folder, env=go_environment(go))
        for name in names:
            (place / name).symlink_to(program)

    inputs = (*file_inputs(*sorted(folder.iterdir())), flags.encode(), package.encode(), " ".join(names).encode(), _MACHINE)
    return Recipe(what, f"{title} {version}", usually, (*inputs, *(part.encode() for part in choice)), make)


@cache
def kubernetes() -> Recipe:
    """etcd, the control plane, kubelet, kube-proxy and kubectl."""
    version = module_version(RECIPE / "kubernetes", "k8s.io/kubernetes")
    major, minor, _ = version.split(".", 2)
    stamps = (  # without these every component says v0.0.0-master, and helm's version checks refuse it
        f"k8s.io/component-base/version.gitVersion=v{version}",
        f"k8s.io/component-base/version.gitMajor={major}",
        f"k8s.io/component-base/version.gitMinor={minor}",
        f"k8s.io/client-go/pkg/version.gitVersion=v{version}",
    )
    usually = "9 min the first time, 1 min with Go's build cache"
    return _go_recipe("kubernetes", "Kubernetes and etcd", usually, "k8s.io/kubernetes", ".", stamps, KUBERNETES_COMMANDS)


@cache
def coredns() -> Recipe:
    """The cluster's DNS server."""
    return _go_recipe("coredns", "CoreDNS", "3 min the first time, 20 s with Go's build cache", "github.com/coredns/coredns", ".")


@cache
def traefik() -> Recipe:
    """The ingress controller."""
    module = "github.com/traefik/traefik/v3"
    return _go_recipe("traefik", "Traefik", "8 min the first time, 30 s with Go's build cache", module, f"{module}/cmd/traefik")


@cache
def helm() -> Recipe:
    """The helm command."""
    module = "helm.sh/helm/v4"
    return _go_recipe("helm", "Helm", "4 min the first time, 20 s with Go's build cache", module, f"{module}/cmd/helm")


@cache
def prometheus() -> Recipe:
    """Prometheus with the discovery of Kubernetes' pods, which Debian's lacks, and no other; without the pages for browsers."""
    module = "github.com/prometheus/prometheus"
    stamps = (f"github.com/prometheus/common/version.Version={prometheus_version()}",)
    tags = ("remove_all_sd", "enable_kubernetes_sd")
    usually = "5 min the first time, 30 s with Go's build cache"
    return _go_recipe("prometheus", "Prometheus", usually, module, f"{module}/cmd/prometheus", stamps, tags=tags)


def prometheus_version() -> str:
    """The release that the module is: 0.313.5 is Prometheus 3.13.5."""
    _, both, patch = module_version(RECIPE / "prometheus", "github.com/prometheus/prometheus").split(".")
    return f"{int(both) // 100}.{int(both) % 100}.{patch}"


@cache
def prometheus_adapter() -> Recipe:
    """The server of Kubernetes' metrics APIs that asks a Prometheus."""
    module = "sigs.k8s.io/prometheus-adapter"
    usually = "2 min the first time, 10 s with Go's build cache"
    return _go_recipe("prometheus-adapter", "prometheus-adapter", usually, module, f"{module}/cmd/adapter")


@cache
def actionlint() -> Recipe:
    """The checker of GitHub's workflows: of no use to a cluster, but made in the same way."""
    module = "github.com/rhysd/actionlint"
    return _go_recipe("actionlint", "actionlint", "1 min the first time, 5 s with Go's build cache", module, f"{module}/cmd/actionlint")


@cache
def kube_score() -> Recipe:
    """A judge of Kubernetes objects: of no use to a cluster either."""
    module = "github.com/zegl/kube-score"
    return _go_recipe("kube-score", "kube-score", "1 min the first time, 5 s with Go's build cache", module, f"{module}/cmd/kube-score")


@cache
def pause() -> Recipe:
    """The program that holds namespaces open; static, so it needs no image to run from."""
    source = RECIPE / "pause" / "pause.c"

    def make(place: Path, log: Log) -> None:
        log.run(["gcc", "-Os", "-static", "-s", "-o", place / "pause", source])

    return Recipe("pause", "the pause program", "1 s", (*file_inputs(source), _MACHINE), make)


@cache
def monitoring_kinds() -> Recipe:
    """The Prometheus operator's CustomResourceDefinitions, as its module has them: `<plural>.yaml` for each of MONITORING_KINDS."""
    module = "github.com/prometheus-operator/prometheus-operator"
    files = {f"{kind}.yaml": f"example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml" for kind in MONITORING_KINDS}
    return _module_files("monitoring-kinds", "the kinds of the Prometheus operator", "prometheus-operator", module, files)


@cache
def gateway_kinds() -> Recipe:
    """The Gateway API's CustomResourceDefinitions of the standard channel: `<plural>.yaml` for each of GATEWAY_KINDS."""
    files = {f"{kind}.yaml": f"config/crd/standard/gateway.networking.k8s.io_{kind}.yaml" for kind in GATEWAY_KINDS}
    return _module_files("gateway-kinds", "the kinds of the Gateway API", "gateway-api", "sigs.k8s.io/gateway-api", files)


def _module_files(what: str, title: str, recipe: str, module: str, files: Mapping[str, str]) -> Recipe:
    """Files of a module, by the names that they get; nothing of it is compiled."""
    folder = RECIPE / recipe
    version = module_version(folder, module)

    def make(place: Path, log: Log) -> None:
        go = go_tool()
        log.run([go, "mod", "download", module], cwd=folder, env=go_environment(go))  # go.sum decides whether it is the right one
        asked = [go, "mod", "download", "-json", module]
        told = subprocess.run(asked, cwd=folder, env=go_environment(go), capture_output=True, text=True, check=False)
        if told.returncode:
            raise BuildError(f"go does not say where {module} is: {told.stderr.strip() or told.stdout.strip()}")
        for name, path in files.items():
            shutil.copyfile(Path(json.loads(told.stdout)["Dir"]) / path, place / name)

    inputs = (*file_inputs(*sorted(folder.iterdir())), " ".join(files.values()).encode())
    return Recipe(what, f"{title} {version}", "5 s", inputs, make)


def all_programs() -> tuple[Recipe, ...]:
    """Every program of the cluster, quick ones first."""
    return (pause(), monitoring_kinds(), gateway_kinds(), coredns(), helm(), prometheus(), prometheus_adapter(), traefik(), kubernetes())
