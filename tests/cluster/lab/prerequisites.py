"""What the test cluster needs of this machine and does not find, each in one line that says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cluster.lab.places import REPOSITORY, cache_root

# Program -> the Debian package that has it.
PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "gcc": "gcc",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "mount": "mount",
    "prometheus": "prometheus",
}
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
FREE = 6  # GB: Go's modules and build cache, the programs, the images
PACKAGES_SCRIPT = REPOSITORY / "tools" / "cluster" / "packages.sh"

# Run in new namespaces, in an empty folder: each line tries one thing, and its last word is what to say when it fails.
_PROBE = """
try() { what=$1; shift; "$@" >/dev/null 2>&1 || echo "$what"; }
try "no tmpfs can be mounted here" mount -t tmpfs tmpfs .
mkdir lower upper work merged
options=lowerdir=lower,upperdir=upper,workdir=work
try "no overlayfs: the kernel has none, or this runs in a container that may not mount it" mount -t overlay overlay -o $options merged
try "no veth network devices in this kernel" ip link add probe0 type veth peer name probe1
try "no bridge network devices in this kernel" ip link add probe2 type bridge
try "no nftables in this kernel" nft add table inet probe
"""


def cni_folder() -> Path | None:
    """Where the CNI plugins are."""
    return next((folder for folder in CNI_FOLDERS if (folder / "bridge").exists() and (folder / "host-local").exists()), None)


def missing_packages() -> list[str]:
    """Debian packages whose programs are not found, in alphabetical order."""
    packages = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if cni_folder() is None:
        packages.add("containernetworking-plugins")
    if not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
        packages.add("debian-archive-keyring")
    return sorted(packages)


def install_packages() -> str:
    """Install what is missing, as root on Debian; returns why that could not be done, else nothing."""
    if missing_packages() and os.geteuid() == 0 and shutil.which("apt-get"):
        done = subprocess.run([PACKAGES_SCRIPT, *missing_packages()], capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["apt-get failed"])[-1]
    return ""


def missing_prerequisites() -> list[str]:
    """One line for each thing that is missing; nothing is missing if there are none. Changes nothing."""
    if sys.platform != "linux":
        return ["the test cluster needs Linux (a virtual machine will do)"]
    missing = []
    if os.geteuid() != 0:
        missing.append(
            "the test cluster needs root: it makes network namespaces, mounts and cgroups (run it with sudo, or in a virtual machine)"
        )
    if packages := missing_packages():
        missing.append(f"missing Debian packages: {' '.join(packages)} (install them with: sudo tools/cluster/packages.sh)")
    if not missing:
        missing += _missing_of_kernel()
    parent = next(path for path in (cache_root(), *cache_root().parents) if path.exists())
    if not any(cache_root().glob("kubernetes-*")) and shutil.disk_usage(parent).free < FREE * 10**9:
        missing.append(f"less than {FREE} GB are free below {parent} (set VOICEASSIST_CACHE to a folder with more)")
    return missing


def _missing_of_kernel() -> list[str]:
    lines = []
    cgroups = Path("/sys/fs/cgroup")
    for controller in ("cpu", "memory", "pids"):
        unified = cgroups / "cgroup.controllers"
        if not (controller in unified.read_text().split() if unified.exists() else (cgroups / controller).is_dir()):
            lines.append(f"the cgroup controller {controller} is not there")
    with tempfile.TemporaryDirectory(prefix="valab.") as folder:
        namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        probe = subprocess.run([*namespaces, "sh", "-c", _PROBE], cwd=folder, capture_output=True, text=True, check=False)
    if probe.returncode and not probe.stdout:
        reason = (probe.stderr.strip().splitlines() or ["unshare failed"])[-1]
        return [*lines, f"no network, mount and process namespaces can be made here ({reason})"]
    return lines + probe.stdout.splitlines()
