"""Runs the benchmarks and shows the table; scripts/bench.sh prepares what this needs."""

import sys

import report
import rows
import settings
from measure import progress


def main() -> None:
    chosen = settings.from_environment()
    unknown = [name for name in chosen.rows if name not in rows.ALL]
    if unknown:
        sys.exit(f"BENCH_ROWS: unknown {' '.join(unknown)}; there are {' '.join(rows.ALL)}")
    host = report.machine()
    if host["load_average_before"][0] > 0.5 * host["cores"]:
        progress("Other programs are busy on this machine: all figures will be worse for it.")
    chosen.work.mkdir(parents=True, exist_ok=True)
    results = []
    for name in chosen.rows:
        results += rows.ALL[name](chosen)
        # What is measured is kept even if a later row fails.
        path = report.save(chosen, results, host)
    report.show(results)
    print(f"\nWritten to {path.relative_to(chosen.project)}")


if __name__ == "__main__":
    main()
