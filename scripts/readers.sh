#!/usr/bin/env bash
# Makes the Python environment with the programs that the tests open an archive with, unless it is
# there. Prints the path of its Python.
#
#   XDG_CACHE_HOME=…   where caches are; ~/.cache if it is not set
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=cli/tests/readers/requirements.txt
environment="${XDG_CACHE_HOME:-$HOME/.cache}/questlake/readers-venv"
if ! cmp --silent "$requirements" "$environment/requirements.txt"; then
    echo "Installing the readers of archives in $environment …" >&2
    python3 -m venv --clear "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check \
        --requirement "$requirements" >&2
    # Last, so that an installation that was cut off is made anew.
    cp "$requirements" "$environment/requirements.txt"
fi
echo "$environment/bin/python"
