#!/usr/bin/env bash
# Makes a Python environment with what a file of requirements lists, unless it is there already.
# Prints the path of its Python.
#
#   python-environment.sh NAME REQUIREMENTS
#
#   XDG_CACHE_HOME=…   where caches are; ~/.cache if it is not set
set -euo pipefail

requirements=$2
environment="${XDG_CACHE_HOME:-$HOME/.cache}/questlake/$1"
if ! cmp --silent "$requirements" "$environment/requirements.txt"; then
    echo "Installing $requirements in $environment …" >&2
    python3 -m venv --clear "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check \
        --requirement "$requirements" >&2
    # Last, so that an installation that was cut off is made anew.
    cp "$requirements" "$environment/requirements.txt"
fi
echo "$environment/bin/python"
