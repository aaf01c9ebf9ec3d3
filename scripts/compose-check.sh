#!/usr/bin/env bash
# Checks compose.yaml, scripts/services/compose.yaml, .env.example and the Dockerfile; nothing is started.
# Where there is Docker Compose, it reads the two files as well.
set -euo pipefail
cd "$(dirname "$0")/.."

# Debian's python3-yaml, or an environment with nothing else.
python=python3
if ! python3 -c 'import yaml' 2>/dev/null; then
    environment="${XDG_CACHE_HOME:-$HOME/.cache}/questlake/compose-check-venv"
    if [ ! -e "$environment/complete" ]; then
        python3 -m venv --clear "$environment"
        "$environment/bin/pip" install --quiet --disable-pip-version-check pyyaml==6.0.3 >&2
        touch "$environment/complete"
    fi
    python="$environment/bin/python"
fi
PYTHONDONTWRITEBYTECODE=1 "$python" scripts/compose_check.py

if docker compose version >/dev/null 2>&1; then
    # Values are of no account: what is required is given, what is a port is a number.
    while IFS= read -r name; do
        export "$name=1024"
    done < <(grep -oh '[A-Z_]*:?' compose.yaml scripts/services/compose.yaml | tr -d ':?' | sort -u)
    docker compose --file compose.yaml config --quiet
    docker compose --file scripts/services/compose.yaml config --quiet
    echo "docker compose config: in order"
fi
