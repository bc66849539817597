"""One cluster: brought up, used, taken down."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cluster.lab.addresses import API_PORT, INGRESS_DOMAIN, IPV4, Families, Family
from cluster.lab.archives import CHUNK, join
from cluster.lab.cache import ensure
from cluster.lab.certificates import Pair, client_kubeconfig
from cluster.lab.control_plane import ControlPlane, Programs
from cluster.lab.enclosure import GOGC, Daemon, Enclosure, reap
from cluster.lab.errors import CommandError, LabError
from cluster.lab.forwarding import Forwarding
from cluster.lab.images import image_archive, pause_image
from cluster.lab.node import Node
from cluster.lab.programs import coredns, helm, kubernetes, pause, traefik
from cluster.lab.reading import Reader

PATIENCE = 300.0  # seconds until something that is being started has to answer: seconds on a quiet machine, minutes on a busy one
POLL = 0.1
IMAGES_IN_MEMORY = (
    6 * 2**30
)  # bytes of memory that must be available for a node to keep its images (1 GB) in memory: loaded in half the time
_NETWORK = """set -e
ip link set lo up
ip link add lab0 type veth peer name lab0peer
ip link set lab0peer up
ip link set lab0 up
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/netns
mount -t tmpfs tmpfs /var/log
mkdir -p /run/var-lib/upper /run/var-lib/work
mount -t overlay overlay -o lowerdir=/var/lib,upperdir=/run/var-lib/upper,workdir=/run/var-lib/work /var/lib
"""
_FORWARDING = {4: "net.ipv4.ip_forward=1", 6: "net.ipv6.conf.all.forwarding=1"}
# Why so: the kernel may lack the `dummy` network device, and a veth pair with both ends inside does the same; service addresses need a
# route before nftables rewrites them; kubelets want shared mounts; and what programs keep in global folders (/run/containerd, /run/netns,
# /var/lib/cni, /var/log/containers) is to be this cluster's own, and to vanish with it.


_AT_ONCE = {4: (), 6: ("nodad",)}  # an IPv6 address is else not used for a second, in which others are asked whether they have it


def _addressing(family: Family) -> str:
    """Commands that give the network namespace its addresses of one family."""
    at_once = " ".join(_AT_ONCE[family.version])
    given = [
        f"ip address add {address}/{family.node_bits} dev lab0 {at_once}" for address in (family.api_server, family.ingress, family.outside)
    ]
    return "\n".join([*given, f"ip route add {family.service_network} dev lab0", f"sysctl -qw {_FORWARDING[family.version]}", ""])


def _available_memory() -> int:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


class Lab:
    """A Kubernetes cluster in namespaces of its own. Nothing in it reaches the network, and what is left of it after `down` is nothing.

    It ends with the process that made it, however that ends, unless it was made to stay (`keep`).
    """

    def __init__(self, *, keep: bool = False, families: Families = (IPV4,), own_disks: bool = False) -> None:
        """`own_disks`: what the kubelet of a node stores is on a file system of its own, in memory, which can be filled up."""
        self._keep, self._own_disks = keep, own_disks
        self.families = families
        self._enclosure: Enclosure | None = None
        self._control_plane: ControlPlane | None = None
        self._forwarding: Forwarding | None = None
        self._programs: Programs | None = None
        self._reads: tuple[Path, Reader] | None = None
        self._daemons: dict[str, Daemon] = {}
        self._namespaces = 0
        self.nodes: list[Node] = []
        self.seconds: dict[str, float] = {}  # what took how long

    # Up and down

    def control_plane_only(self) -> Self:
        """etcd, the API server and the controller manager: all that a test needs in which no pod has to run. Raises LabError."""
        with self._timed("control plane"), self._down_after_failure():
            self._start_control_plane(nodes=False)
        return self

    def up(self, nodes: int = 1) -> Self:
        """Everything: the control plane, nodes, DNS, services and an ingress controller. Raises LabError."""
        with self._timed(f"up with {nodes} node(s)"), self._down_after_failure():
            self._start_control_plane(nodes=True)
            plane = self._plane
            for daemon in (plane.scheduler(), plane.coredns(), plane.proxy(), plane.traefik()):
                self._start(daemon)
            for _ in range(nodes):
                self._start_node()
            self._create_ingress_class()
            self._wait_for_nodes()
            self._wait("Traefik", lambda: self.forwarding.reaches(self.first.ingress, 443), "traefik")
            self._wait("CoreDNS", lambda: self.forwarding.reaches(self.first.api_server, 53), "coredns")
        return self

    def add_node(self) -> Node:
        """One more node. Raises LabError."""
        with self._timed("another node"):
            node = self._start_node()
            self._wait_for_nodes()
        return node

    def down(self) -> None:
        """End every process and remove everything. Raises LabError if something is left; does nothing if nothing is up."""
        if self._forwarding is not None:
            self._forwarding.close()
            self._forwarding = None
        enclosure, self._enclosure = self._enclosure, None
        self._control_plane = None
        self._daemons.clear()
        self.nodes.clear()
        if enclosure is not None:
            with self._timed("down"):
                enclosure.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.down()

    @classmethod
    def attach(cls, folder: Path) -> Self:
        """A cluster that another process has made; it can be used and taken down, but not be changed. Raises LabError."""
        lab = cls(keep=True)
        enclosure = Enclosure.read(folder)
        if not enclosure.alive:
            raise LabError("the cluster is no longer there")
        lab._enclosure = enclosure
        return lab

    def _start_control_plane(self, *, nodes: bool) -> None:
        if self._enclosure is not None:
            raise LabError("this cluster is up already")
        reap()
        self._programs = Programs(*(ensure(recipe) for recipe in (kubernetes(), coredns(), traefik(), helm(), pause())))
        self._enclosure = Enclosure.make(self._programs.pause / "pause", None if self._keep else os.getpid())
        self._forwarding = Forwarding(self._enclosure.network)
        prepared = subprocess.run(
            self._enclosure.inside(["sh", "-c", _NETWORK + "".join(map(_addressing, self.families))]),
            capture_output=True,
            text=True,
            check=False,
        )
        if prepared.returncode:
            raise LabError(f"the cluster's network could not be made: {prepared.stderr.strip()}")
        self._control_plane = plane = ControlPlane(self._enclosure, self._programs, self.families)
        self._start(plane.etcd())
        self._start(plane.api_server())
        self._wait("the API server", lambda: self.kubectl("get", "--raw", "/readyz") == "ok", "etcd", "apiserver")
        self._start(plane.controller_manager(nodes=nodes))
        # Its schema is made when it is first asked for, which on a busy machine takes longer than the 32 s that kubectl waits for it.
        nothing = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "nothing"}})
        self._wait("its schema", lambda: bool(self.kubectl("apply", "--dry-run=client", "-f", "-", stdin=nothing)), "apiserver")

    def _start_node(self) -> Node:
        assert self._programs is not None
        node = Node(len(self.nodes), self.enclosure, self._programs, self._plane, self.families)
        self.nodes.append(node)
        if _available_memory() > IMAGES_IN_MEMORY:
            subprocess.run(self.enclosure.inside(["mount", "-t", "tmpfs", "tmpfs", node.images]), check=True)
        if self._own_disks:
            subprocess.run(self.enclosure.inside(["mount", "-t", "tmpfs", "tmpfs", node.disk]), check=True)
        for family, address in zip(self.families, node.addresses, strict=True):
            if address != family.api_server:
                self.run(["ip", "address", "add", f"{address}/{family.node_bits}", "dev", "lab0", *_AT_ONCE[family.version]])
        self._start(node.containerd)
        answers = self.enclosure.inside(node.ctr("version"))
        self._wait("containerd", lambda: not subprocess.run(answers, capture_output=True, check=False).returncode, node.containerd.name)
        self._load(node, image_archive(pause_image()))
        self._start(node.kubelet)
        return node

    def _create_ingress_class(self) -> None:
        ingress_class = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "traefik", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
            "spec": {"controller": "traefik.io/ingress-controller"},
        }
        self.apply(ingress_class)

    def _wait_for_nodes(self) -> None:
        ready = '{range .items[*]}{range .status.conditions[?(@.type=="Ready")]}{.status} {end}{end}'
        wanted = ["True"] * len(self.nodes)
        names = [daemon.name for node in self.nodes for daemon in (node.containerd, node.kubelet)]
        self._wait("the nodes", lambda: self.kubectl("get", "nodes", "-o", f"jsonpath={ready}").split() == wanted, *names)

    # Daemons

    def _start(self, daemon: Daemon) -> None:
        self._daemons[daemon.name] = daemon
        daemon.start()

    def daemon(self, name: str) -> Daemon:
        """One of the cluster's programs, to be stopped and started: etcd, apiserver, controller-manager, coredns, traefik, kubelet0, ..."""
        return self._daemons[name]

    def _wait(self, what: str, ready: Callable[[], bool], *names: str) -> None:
        """Wait until something answers. Raises LabError, at once if one of the daemons that it consists of has ended."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if ready():
                    return
            except CommandError:
                pass
            daemons = [self._daemons[name] for name in names]
            ended = [daemon for daemon in daemons if not daemon.running]
            if ended or time.monotonic() > deadline:
                ends = "\n".join(f"  the end of {daemon.name}'s log:\n{daemon.last_lines()}" for daemon in ended or daemons)
                raise LabError(f"{what} did not come up{f' within {PATIENCE:.0f} s' if not ended else ''}\n{ends}")
            time.sleep(POLL)

    @contextmanager
    def _down_after_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            if self._enclosure is not None and (kept := os.environ.get("VOICEASSIST_LAB_LOGS")):
                self.save_logs(Path(kept))
            self.down()
            raise

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[what] = time.monotonic() - started

    # What is there

    @property
    def first(self) -> Family:
        """The addresses that Services and pods have first."""
        return self.families[0]

    @property
    def is_up(self) -> bool:
        """Has it been brought up, and not been taken down?"""
        return self._enclosure is not None

    @property
    def enclosure(self) -> Enclosure:
        """The cluster's namespaces. Raises LabError if it is not up."""
        if self._enclosure is None:
            raise LabError("this cluster is not up")
        return self._enclosure

    @property
    def forwarding(self) -> Forwarding:
        """The forwarder of the cluster."""
        if self._forwarding is None:
            self._forwarding = Forwarding(self.enclosure.network)
        return self._forwarding

    @property
    def _plane(self) -> ControlPlane:
        if self._control_plane is None:
            raise LabError("this cluster is not up, or was made by another process")
        return self._control_plane

    @property
    def folder(self) -> Path:
        """All state of the cluster on disk; its name is the cluster's."""
        return self.enclosure.folder

    @property
    def _reader(self) -> Reader:
        if self._reads is None or self._reads[0] != self.folder:
            pki, server = self.folder / "pki", self.first.api_server
            self._reads = (
                self.folder,
                Reader(lambda: self.forward(server, API_PORT), self.authority, (pki / "admin.crt", pki / "admin.key")),
            )
        return self._reads[1]

    @property
    def kubeconfig(self) -> Path:
        """An administrator's kubeconfig, for programs that run in the cluster's network."""
        return self.folder / "kubeconfig"

    @property
    def authority(self) -> Path:
        """The certificate (PEM) of the authority that signed the API server's certificate and the ingress controller's."""
        return self.folder / "pki" / "ca.crt"

    @property
    def environment(self) -> dict[str, str]:
        """Variables for commands that use the cluster: KUBECONFIG, kubectl and helm on PATH, helm's folders."""
        own = self.folder / "helm"
        helm_folders = {f"HELM_{kind}_HOME": str(own / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        path = f"{ensure(kubernetes())}:{ensure(helm())}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "KUBECONFIG": str(self.kubeconfig), "GOGC": GOGC, **helm_folders}

    # Use

    def run(
        self, argv: Sequence[str | Path], *, stdin: str | None = None, env: Mapping[str, str] | None = None, timeout: float = 400.0
    ) -> str:
        """Run a command in the cluster's network; returns what it printed. Raises CommandError, or LabError if it does not end in time."""
        environment = {**self.environment, **(env or {})}
        # nsenter looks the program up in this process's PATH, not in the one it is given.
        program = shutil.which(str(argv[0]), path=environment["PATH"]) or argv[0]
        command = self.enclosure.in_network([program, *argv[1:]])
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            raise LabError(f"{' '.join(map(str, argv))[:300]} did not end within {timeout:.0f} s") from None
        if done.returncode:
            raise CommandError([str(part) for part in argv], done.returncode, done.stdout, done.stderr)
        return done.stdout

    def popen(self, argv: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
        """Start a command in the cluster's network; `options` are those of subprocess.Popen."""
        environment = {**self.environment, **options.pop("env", {})}
        program = shutil.which(str(argv[0]), path=environment["PATH"]) or argv[0]
        return subprocess.Popen(self.enclosure.in_network([program, *argv[1:]]), env=environment, **options)

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, timeout: float = 400.0) -> str:
        """What kubectl prints, run as administrator. Raises CommandError."""
        return self.run(["kubectl", *arguments], stdin=stdin, timeout=timeout)

    def helm(self, *arguments: str | Path, stdin: str | None = None, timeout: float = 700.0) -> str:
        """What helm prints, run as administrator. Raises CommandError."""
        return self.run(["helm", *arguments], stdin=stdin, timeout=timeout)

    def get(self, *arguments: str) -> dict[str, Any]:
        """The object or the list that `kubectl get` finds, by a kind, a name, -n, -A and -l. Raises CommandError if there is none."""
        return self._reader.get(*arguments)

    def apply(self, *objects: Mapping[str, Any], namespace: str | None = None) -> None:
        """Apply objects, given as dictionaries. Raises CommandError."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.kubectl("apply", *(["-n", namespace] if namespace else []), "-f", "-", stdin=text)

    def load(self, *archives: Path, into: Sequence[Node] = ()) -> None:
        """Import image archives into every node, or into these. Raises CommandError."""
        with self._timed(f"load {len(archives)} image(s)"), ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: self._load(node, *archives), into or self.nodes))

    def _load(self, node: Node, *archives: Path) -> None:
        argv = self.enclosure.inside(node.ctr("images", "import", "-"))
        # A wide pipe: ctr sends on what one read gives it, and waits for an answer to each such piece.
        with (
            tempfile.TemporaryFile() as output,
            subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=output, stderr=output, pipesize=CHUNK) as process,
        ):
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin:
                join(archives, process.stdin)
            code = process.wait()
            output.seek(0)
            if code:
                raise CommandError(argv, code, "", output.read().decode(errors="replace"))

    @contextmanager
    def namespace(self, prefix: str = "test", *, pod_security: str = "restricted") -> Iterator[str]:
        """A Kubernetes namespace of its own, deleted afterwards (which is not waited for)."""
        self._namespaces += 1
        name = f"{prefix[:40].strip('-')}-{self._namespaces}"
        labels = {"pod-security.kubernetes.io/enforce": pod_security}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    def forward(self, ip: str, port: int) -> int:
        """The port of this machine's 127.0.0.1 that leads to ip:port in the cluster (a node's, a service's or a pod's address)."""
        return self.forwarding.forward(ip, port)

    def expose(self, port: int) -> tuple[str, int]:
        """Where pods reach the port of this machine's 127.0.0.1: an address and a port in the cluster."""
        return self.first.outside, self.forwarding.expose(self.first.outside, port)

    @property
    def ingress_port(self) -> int:
        """The port of this machine's 127.0.0.1 that leads to the ingress controller's TLS entry point."""
        return self.forward(self.first.ingress, 443)

    def another_ingress_certificate(self) -> Pair:
        """A certificate of its own for every name below voiceassist.test, signed by the authority."""
        return self._plane.authority.issue("ingress-another", f"*.{INGRESS_DOMAIN}", INGRESS_DOMAIN)

    def outside_kubeconfig(self, user: str = "admin", *groups: str) -> Path:
        """A kubeconfig for programs that run outside of the cluster's network, such as a test itself; `groups`: at most one."""
        if len(groups) > 1:
            raise ValueError("a client certificate made here has at most one group")
        server = f"https://127.0.0.1:{self.forward(self.first.api_server, API_PORT)}"
        organization = groups[0] if groups else ("system:masters" if user == "admin" else None)
        pair = self._plane.authority.issue(f"outside-{user}", common_name=user, organization=organization)
        return client_kubeconfig(self.folder / f"outside-{user}.kubeconfig", server, self.authority, pair)

    def audit_events(self, user: str | None = None) -> Iterator[dict[str, Any]]:
        """The API server's audit events so far (metadata only), of one user if given, such as system:serviceaccount:NAMESPACE:NAME."""
        named = json.dumps(user)[1:-1] if user is not None else ""  # most lines are others', and need not be read as JSON
        for path in sorted((self.folder / "audit").glob("audit*.log")):
            with path.open() as lines:
                for line in lines:
                    if named not in line:
                        continue
                    event: dict[str, Any] = json.loads(line)
                    if user is None or event["user"].get("username") == user:
                        yield event

    def save_logs(self, folder: Path) -> None:
        """Copy the logs of the cluster's programs and pods, and the audit log, to a folder that outlives it."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        seen = Path(f"/proc/{self.enclosure.holder}/root{self.folder}")  # with the cluster's own mounts
        for source in (seen / "log", seen / "audit", *seen.glob("node*/disk/pod-logs")):
            if source.is_dir():
                shutil.copytree(source, folder / source.relative_to(seen), ignore_dangling_symlinks=True)
