#!/usr/bin/env bash
# Makes the Python environment with the programs that the tests open an archive with, unless it is
# there. Prints the path of its Python.
set -euo pipefail
cd "$(dirname "$0")/.."
exec scripts/python-environment.sh readers-venv cli/tests/readers/requirements.txt
