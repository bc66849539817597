"""etcd, the API server, the controller manager, the scheduler, CoreDNS, kube-proxy and Traefik: their arguments and configurations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.lab.addresses import API_PORT, INGRESS_DOMAIN, Families, bracketed
from cluster.lab.certificates import Authority, client_kubeconfig
from cluster.lab.enclosure import Daemon, Enclosure

ETCD = "http://127.0.0.1:2379"
CONTROL_PLANE_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost")

# Requests of the cluster's own parts are left out: they are many, and nobody asks for them.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "users": ["system:apiserver", "system:kube-scheduler", "system:kube-proxy", "coredns", "traefik"]},
        {"level": "None", "userGroups": ["system:nodes"]},
        {"level": "None", "users": ["system:kube-controller-manager"]},
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True)
class Programs:
    """The folders of the built programs."""

    kubernetes: Path
    coredns: Path
    traefik: Path
    helm: Path
    pause: Path


class ControlPlane:
    """Writes the files of one cluster's central programs, and describes them as daemons that are not started yet."""

    def __init__(self, enclosure: Enclosure, programs: Programs, families: Families) -> None:
        self._enclosure = enclosure
        self._families, self._first = families, families[0]
        self._programs = programs
        self.folder = enclosure.folder
        self.server = f"https://{bracketed(self._first.api_server)}:{API_PORT}"
        self.authority = Authority(self.folder / "pki")
        self._api_pair = self.authority.issue(
            "apiserver",
            *CONTROL_PLANE_NAMES,
            "127.0.0.1",
            *(address for family in families for address in (family.api_server, family.api_service)),
            common_name="kube-apiserver",
        )
        self._account_key = self.authority.signing_key("service-accounts")
        self._admin = self.authority.issue("admin", organization="system:masters")
        self._front_proxy = self.authority.issue("front-proxy")
        self.admin_kubeconfig = client_kubeconfig(self.folder / "kubeconfig", self.server, self.authority.certificate, self._admin)
        self.audit_log = self.folder / "audit" / "audit.log"

    def kubeconfig(self, name: str, common_name: str, organization: str | None = None) -> Path:
        """A kubeconfig for one of the cluster's own parts."""
        pair = self.authority.issue(name, common_name=common_name, organization=organization)
        return client_kubeconfig(self.folder / f"{name}.kubeconfig", self.server, self.authority.certificate, pair)

    @property
    def _pod_networks(self) -> str:
        return ",".join(family.pod_network for family in self._families)

    def _file(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.write_text(content)
        return path

    def _daemon(self, name: str, *argv: str | Path, env: dict[str, str] | None = None) -> Daemon:
        return Daemon(self._enclosure, name, argv, env)

    def etcd(self) -> Daemon:
        """The API server's store. Not synced to disk: nothing outlives the cluster."""
        listen = ("--listen-client-urls", ETCD, "--advertise-client-urls", ETCD, "--listen-peer-urls", "http://127.0.0.1:2380")
        program = self._programs.kubernetes / "etcd"
        return self._daemon("etcd", program, "--data-dir", self.folder / "etcd", *listen, "--unsafe-no-fsync", "--log-level", "warn")

    def api_server(self) -> Daemon:
        """The API server, with an audit log of who asked for what."""
        policy = self._file("audit-policy.json", json.dumps(AUDIT_POLICY))
        self.audit_log.parent.mkdir(exist_ok=True)
        options = {
            "etcd-servers": ETCD,
            "bind-address": self._first.api_server,
            "advertise-address": self._first.api_server,
            "secure-port": API_PORT,
            "tls-cert-file": self._api_pair.certificate,
            "tls-private-key-file": self._api_pair.key,
            "client-ca-file": self.authority.certificate,
            "requestheader-client-ca-file": self.authority.certificate,  # by these it tells servers of further APIs who asks
            "requestheader-allowed-names": "front-proxy",
            "requestheader-username-headers": "X-Remote-User",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "proxy-client-cert-file": self._front_proxy.certificate,
            "proxy-client-key-file": self._front_proxy.key,
            "kubelet-client-certificate": self._admin.certificate,
            "kubelet-client-key": self._admin.key,
            "kubelet-preferred-address-types": "InternalIP",
            "service-account-key-file": self._account_key,
            "service-account-signing-key-file": self._account_key,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-cluster-ip-range": ",".join(family.service_network for family in self._families),
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",  # besides the default ones, PodSecurity among them
            "allow-privileged": "true",
            "audit-policy-file": policy,
            "audit-log-path": self.audit_log,
            "audit-log-maxsize": 1000,
        }
        return self._daemon("apiserver", self._programs.kubernetes / "kube-apiserver", *_flags(options))

    def controller_manager(self, *, nodes: bool) -> Daemon:
        """The built-in controllers.

        Without nodes every pod is an orphan, which the collector of such pods marks as failed every 20 s: it stays off then.
        """
        options = {
            "kubeconfig": self.kubeconfig("controller-manager", "system:kube-controller-manager"),
            "service-account-private-key-file": self._account_key,
            "root-ca-file": self.authority.certificate,
            "use-service-account-credentials": "true",
            "cluster-cidr": self._pod_networks,
            **{f"node-cidr-mask-size-ipv{family.version}": family.pod_bits for family in self._families},
            "allocate-node-cidrs": "true",
            "leader-elect": "false",
            "bind-address": "127.0.0.1",
            "horizontal-pod-autoscaler-sync-period": "2s",  # else 15: nobody here waits for that
            "controllers": "*" if nodes else "*,-pod-garbage-collector-controller",
        }
        return self._daemon("controller-manager", self._programs.kubernetes / "kube-controller-manager", *_flags(options))

    def scheduler(self) -> Daemon:
        """Gives pods their nodes."""
        options = {
            "kubeconfig": self.kubeconfig("scheduler", "system:kube-scheduler"),
            "leader-elect": "false",
            "bind-address": "127.0.0.1",
        }
        return self._daemon("scheduler", self._programs.kubernetes / "kube-scheduler", *_flags(options))

    def coredns(self) -> Daemon:
        """DNS: the cluster's names, the ingress controller for every name below voiceassist.test, nothing else."""
        kubeconfig = self.kubeconfig("coredns", "coredns", "system:masters")
        domain, bind = INGRESS_DOMAIN, f"bind {self._first.api_server}"
        zones = " ".join(["cluster.local", *(family.dns_zone for family in self._families)])
        answers = "\n".join(
            f"""    template IN {family.dns_record} {domain} {{
        answer "{{{{ .Name }}}} 5 IN {family.dns_record} {family.ingress}"
    }}"""
            for family in self._families
        )
        corefile = self._file(
            "Corefile",
            f"""{zones} {{
    {bind}
    errors
    kubernetes {zones} {{
        kubeconfig {kubeconfig}
        ttl 5
    }}
}}
{domain} {{
    {bind}
{answers}
    template IN ANY {domain} {{
        rcode NOERROR
    }}
}}
. {{
    {bind}
    template IN ANY . {{
        rcode NXDOMAIN
    }}
}}
""",
        )
        return self._daemon("coredns", self._programs.coredns / "coredns", "-conf", corefile)

    def proxy(self) -> Daemon:
        """Services: one kube-proxy serves all nodes, as they share one network."""
        config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self.kubeconfig("proxy", "system:kube-proxy"))},
            "mode": "nftables",
            "clusterCIDR": self._pod_networks,
            "hostnameOverride": "node0",
            "bindAddress": self._first.api_server,
            "oomScoreAdj": 0,  # a root without CAP_SYS_RESOURCE cannot lower it
            "conntrack": {"maxPerCore": 0},
        }
        return self._daemon("proxy", self._programs.kubernetes / "kube-proxy", "--config", self._file("proxy.json", json.dumps(config)))

    def traefik(self) -> Daemon:
        """The ingress controller, with a certificate for every name below voiceassist.test where an Ingress names none."""
        kubeconfig = self.kubeconfig("traefik", "traefik", "system:masters")
        pair = self.authority.issue("ingress", f"*.{INGRESS_DOMAIN}", INGRESS_DOMAIN)
        dynamic = {"tls": {"stores": {"default": {"defaultCertificate": {"certFile": str(pair.certificate), "keyFile": str(pair.key)}}}}}
        options = {
            "entrypoints.web.address": f"{bracketed(self._first.ingress)}:80",
            "entrypoints.websecure.address": f"{bracketed(self._first.ingress)}:443",
            "entrypoints.websecure.http.tls": "true",
            "providers.kubernetesingress": "true",
            "providers.kubernetesingress.ingressendpoint.ip": self._first.ingress,
            "providers.file.filename": self._file("traefik-dynamic.yaml", json.dumps(dynamic)),
            "global.checknewversion": "false",
            "global.sendanonymoususage": "false",
            "log.level": "INFO",
        }
        return self._daemon("traefik", self._programs.traefik / "traefik", *_flags(options), env={"KUBECONFIG": str(kubeconfig)})


def _flags(options: Mapping[str, object]) -> Sequence[str]:
    return [f"--{name}={value}" for name, value in options.items()]
