#!/usr/bin/env bash
# Writes go.mod and go.sum of the test cluster's programs anew, for the versions given:
#   tools/cluster/update-modules.sh kubernetes 1.35.4
#   tools/cluster/update-modules.sh coredns 1.15.0
#   tools/cluster/update-modules.sh traefik 3.6.12
#   tools/cluster/update-modules.sh helm 4.3.1
#   tools/cluster/update-modules.sh prometheus 0.313.5        (which is Prometheus 3.13.5)
#   tools/cluster/update-modules.sh prometheus-adapter 0.12.0
#   tools/cluster/update-modules.sh kube-score 1.20.0
#   tools/cluster/update-modules.sh prometheus-operator 0.88.0
#   tools/cluster/update-modules.sh gateway-api 1.4.0
# Needs Go and the module proxy. CoreDNS decides which Go is the oldest that will do; tests/cluster/lab/golang.py repeats that version.
set -euo pipefail
[ $# = 2 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
what=$1 version=$2
cd "$(dirname "$0")/../../tests/cluster/recipe/$what"
export GOTOOLCHAIN=local GOFLAGS=-mod=mod GOWORK=off
go_version=1.26.0
field() { sed -n "s/.*\"$1\": \"\(.*\)\".*/\1/p"; }

rm -f go.mod go.sum
go mod init "voiceassist.dev/testcluster/$what" 2>/dev/null
case $what in
  kubernetes)
    # Its own go.mod asks for the staging modules at v0.0.0: each is replaced by its published v0.MINOR.PATCH.
    theirs=$(go mod download -json "k8s.io/kubernetes@v$version" | field GoMod)
    go mod edit -require="k8s.io/kubernetes@v$version"
    # shellcheck disable=SC2013  # module paths have no blanks
    for module in $(sed -n 's/^[[:space:]]*\(k8s.io\/[a-z-]*\) v0\.0\.0\( .*\)*$/\1/p' "$theirs" | sort -u); do
      go mod edit -replace="$module=$module@v0.${version#1.}"
    done
    etcd=$(sed -n 's/^[[:space:]]*go.etcd.io\/etcd\/client\/v3 \(v[0-9.]*\).*/\1/p' "$theirs" | head -1)
    go mod edit -require="go.etcd.io/etcd/server/v3@$etcd"
    go mod tidy
    ;;
  coredns)
    go get "github.com/coredns/coredns@v$version"
    go mod tidy
    ;;
  traefik)
    # Its replacements count only where it is the main module: they are repeated here.
    theirs=$(go mod download -json "github.com/traefik/traefik/v3@v$version" | field GoMod)
    sed -n 's/^[[:space:]]*\(replace \)*\([^ ]*\) => \([^ ]*\) \([^ ]*\)$/\2=\3@\4/p' "$theirs" | while read -r replacement; do
      go mod edit -replace="$replacement"
    done
    go get -tool "github.com/traefik/traefik/v3/cmd/traefik@v$version"
    ;;
  prometheus) go get -tool "github.com/prometheus/prometheus/cmd/prometheus@v$version" ;;
  prometheus-adapter) go get -tool "sigs.k8s.io/prometheus-adapter/cmd/adapter@v$version" ;;
  kube-score) go get -tool "github.com/zegl/kube-score/cmd/kube-score@v$version" ;;
  helm) go get -tool "helm.sh/helm/v4/cmd/helm@v$version" ;;
  prometheus-operator) # its files alone are wanted, not what it is compiled from
    go mod edit -require="github.com/prometheus-operator/prometheus-operator@v$version" -go="$go_version" -toolchain=none
    go mod download -json github.com/prometheus-operator/prometheus-operator >/dev/null
    ;;
  gateway-api) # its files alone are wanted, too
    go mod edit -require="sigs.k8s.io/gateway-api@v$version" -go="$go_version" -toolchain=none
    go mod download -json sigs.k8s.io/gateway-api >/dev/null
    ;;
  *) echo "update-modules: no such program: $what" >&2; exit 2 ;;
esac
go mod edit -go="$go_version" -toolchain=none
[ "$what" = prometheus-operator ] || [ "$what" = gateway-api ] || go list -mod=readonly -deps . >/dev/null 2>&1 \
  || go list -mod=readonly -deps tool >/dev/null
echo "update-modules: $what is at $version; $(grep -c . go.sum) lines in go.sum"
