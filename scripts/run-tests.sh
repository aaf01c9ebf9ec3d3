#!/usr/bin/env bash
# Runs all tests and counts them: those of the crates on real servers, the API against its OpenAPI
# document, the dashboard's units, and every page in a browser. What fails does not keep the rest from being run.
#
#   run-tests.sh [FLAG of cargo test…]
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

failed=0
{
    scripts/with-services.sh scripts/rust-tests.sh "$@" || failed=1
    scripts/web.sh test || failed=1
    scripts/api-tests.sh "${CARGO_TARGET_DIR:-target}/release/questlake" || failed=1
    scripts/dashboard-tests.sh "${CARGO_TARGET_DIR:-target}/release/questlake" || failed=1
    exit "$failed"
} | awk -f scripts/count-tests.awk
