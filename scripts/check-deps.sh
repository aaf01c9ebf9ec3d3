#!/usr/bin/env bash
# Arrow, DataFusion and object_store types cross the borders between crates: two versions of one of
# them in the program would not fit together. Arguments go to `cargo tree`.
set -euo pipefail
cd "$(dirname "$0")/.."

families='^(arrow|parquet|datafusion|object_store)(-|_|$)'

duplicates=$(
    "${CARGO:-cargo}" tree --workspace --duplicates --depth 0 --prefix none --format '{p}' "$@" |
        awk -v families="$families" '$1 ~ families { print $1, $2 }' | sort -u |
        awk '{ versions[$1] = versions[$1] " " $2; count[$1]++ }
             END { for (name in count) if (count[name] > 1) print "  " name ":" versions[name] }'
)

if [ -n "$duplicates" ]; then
    echo "These crates must have a single version in Cargo.lock:" >&2
    echo "$duplicates" >&2
    echo "Find who asks for them with: cargo tree --invert NAME@VERSION" >&2
    exit 1
fi
