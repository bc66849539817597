"""One node: its containerd, its kubelet and its pods' network."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.lab import keeper
from cluster.lab.addresses import Families
from cluster.lab.control_plane import ControlPlane, Programs
from cluster.lab.enclosure import Daemon, Enclosure
from cluster.lab.prerequisites import cni_folder

PAUSE_IMAGE = "localhost/voiceassist-pause:lab"


class Node:
    """Writes the files of one node, and describes its daemons."""

    def __init__(self, index: int, enclosure: Enclosure, programs: Programs, control_plane: ControlPlane, families: Families) -> None:
        self.name = f"node{index}"
        self.addresses = [family.node_address(index) for family in families]
        self.folder = enclosure.folder / self.name
        self.socket = self.folder / "containerd.sock"
        self.images = self.folder / "containerd"  # containerd's own storage
        self.disk = self.folder / "disk"  # the kubelet's storage: pods' volumes and logs
        self._index = index
        self._cgroup = f"{enclosure.cgroup}-{self.name}"
        self._write_cni(families)
        pair = control_plane.authority.issue(
            self.name, self.name, *self.addresses, common_name=f"system:node:{self.name}", organization="system:nodes"
        )
        kubeconfig = control_plane.kubeconfig(f"kubelet{index}", f"system:node:{self.name}", "system:nodes")
        resolv = enclosure.folder / "resolv.conf"
        resolv.write_text(f"nameserver {families[0].api_server}\n")
        self.containerd = Daemon(enclosure, f"containerd{index}", ["containerd", "--config", self._write_containerd()])
        kubelet_config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(control_plane.authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "address": self.addresses[0],
            "healthzPort": 10248 + 10 * index,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._cgroup}",
            "failCgroupV1": False,  # 1.35 is the last version for which that helps
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "clusterDNS": [families[0].api_server],
            "clusterDomain": "cluster.local",
            "resolvConf": str(resolv),
            "tlsCertFile": str(pair.certificate),
            "tlsPrivateKeyFile": str(pair.key),
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi"},
            "evictionPressureTransitionPeriod": "10s",  # else 5 min, in which a node that was full takes no pod
            "maxPods": 200,
            "volumePluginDir": str(self.folder / "volume-plugins"),
            "podLogsDir": str(self.disk / "pod-logs"),
        }
        argv = (
            "--kubeconfig",
            kubeconfig,
            "--hostname-override",
            self.name,
            "--node-ip",
            ",".join(self.addresses),
            "--root-dir",
            self.disk / "kubelet",
        )
        config = self.folder / "kubelet.json"
        config.write_text(json.dumps(kubelet_config))
        self.kubelet = Daemon(enclosure, f"kubelet{index}", [programs.kubernetes / "kubelet", "--config", config, *argv, "-v", "1"])
        keeper.make_cgroups(self._cgroup)

    def _write_cni(self, families: Families) -> None:
        self.images.mkdir(parents=True)
        self.disk.mkdir()
        (self.folder / "cni").mkdir()
        addresses_of_pods = {
            "type": "host-local",
            "dataDir": str(self.folder / "pod-addresses"),
            "ranges": [[{"subnet": family.node_pods(self._index)}] for family in families],
            "routes": [{"dst": f"{family.everywhere}/0"} for family in families],
        }
        bridge = {
            "type": "bridge",
            "bridge": f"cni{self._index}",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": addresses_of_pods,
        }
        network = {"cniVersion": "0.4.0", "name": self.name, "plugins": [bridge]}
        (self.folder / "cni" / "10-lab.conflist").write_text(json.dumps(network))

    def _write_containerd(self) -> Path:
        # What containerd would keep in global folders is named here; what it cannot be told (/run) is private to the mount namespace.
        disabled = json.dumps([f"io.containerd.snapshotter.v1.{name}" for name in ("aufs", "btrfs", "devmapper", "zfs")])
        path = self.folder / "containerd.toml"
        path.write_text(f"""version = 2
root = "{self.images}"
state = "{self.folder}/containerd-run"
disabled_plugins = {disabled}
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{self.folder}/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true   # a root without CAP_SYS_RESOURCE cannot lower the score, and without this no sandbox starts
  stream_server_port = "{10010 + self._index}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_folder() or "/usr/lib/cni"}"
    conf_dir = "{self.folder}/cni"
""")
        return path

    def ctr(self, *arguments: str | Path) -> list[str]:
        """A command for this node's containerd."""
        return ["ctr", "--address", str(self.socket), "--namespace", "k8s.io", *map(str, arguments)]
