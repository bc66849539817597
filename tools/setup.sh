#!/usr/bin/env bash
# Makes .venv from the lock file and installs the workspace's distributions into it, editable. Does nothing when it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=.venv/.stamp
tag=$(git describe --tags --abbrev=0 2>/dev/null || true)
want=$({ cat requirements/dev.lock ./*/pyproject.toml tools/setup.sh; echo "$tag"; } | sha256sum | cut -d' ' -f1)
[ "$(cat "$stamp" 2>/dev/null || true)" = "$want" ] && exit 0
python=${PYTHON:-python3}
fail() { echo "setup: $*" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed; set PYTHON=/path/to/python3"
[ -x .venv/bin/python ] || "$python" -m venv .venv || fail "the venv module is missing; on Debian: apt-get install python3-venv"
echo "setup: installing Python packages into .venv"
if ! .venv/bin/python -c 'import uv' 2>/dev/null; then
  # uv itself comes from the same lock file, by hash.
  sed -n '/^uv==/,/^    # via/p' requirements/dev.lock | grep -v '# via' >.venv/uv.txt
  .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r .venv/uv.txt
fi
.venv/bin/uv pip sync -q --python .venv/bin/python --require-hashes requirements/dev.lock
.venv/bin/uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation \
  -e crds -e relay -e sim -e operator -e demo -e monitoring
echo "$want" >"$stamp"
