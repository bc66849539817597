#!/usr/bin/env bash
# Installs the Debian packages that the test cluster needs (all, or those named), or says in one line what is missing.
set -euo pipefail
all="buildah conntrack containerd containernetworking-plugins debian-archive-keyring debootstrap gcc iproute2 iptables libc6-dev mount"
all="$all nftables prometheus runc util-linux"
wanted=${*:-$all}
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "packages: this is not Debian; install by other means what Debian calls: $wanted" >&2
  exit 1
fi
missing=""
for package in $wanted; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "packages: missing Debian packages:$missing (install them with: sudo tools/cluster/packages.sh)" >&2
  exit 1
fi
echo "packages: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null
# Policy: no service of these packages (containerd has one) is started.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
