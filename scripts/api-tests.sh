#!/usr/bin/env bash
# Holds a server against its own OpenAPI document with Schemathesis: requests that the document allows
# and requests that it does not, all checks on. Needs Python 3.
#
#   api-tests.sh BINARY [ARGUMENT of Schemathesis…]
set -euo pipefail
scripts="$(cd "$(dirname "$0")" && pwd)"
binary=$(realpath "$1")
shift
cd "$scripts/.."

tests="$PWD/cli/tests/openapi"
python=$("$scripts/python-environment.sh" openapi-venv "$tests/requirements.txt")
. "$scripts/serve-demo.sh"
serve_demo "$binary" 200
# It keeps notes in the folder where it runs.
cd "$data"
"$(dirname "$python")/schemathesis" --config-file "$tests/schemathesis.toml" \
    run "$url/openapi.json" --checks all --no-color "$@"
