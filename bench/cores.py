"""Cores of the machine: some for what is measured, the others for the load on it.

A load generator on the cores of the server takes more of them the faster the server answers, so that
its own cost is what is compared in the end.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def divided() -> tuple[list[int], list[int]]:
    """Cores of the servers, and of the load: half each. The same one where there is no other."""
    cores = sorted(os.sched_getaffinity(0))
    middle = len(cores) // 2
    return (cores[:middle], cores[middle:]) if middle else (cores, cores)


def on(cores: list[int], command: list) -> list:
    """A command that runs on these cores alone, with all that it starts."""
    return ["taskset", "--cpu-list", ",".join(str(core) for core in cores), *command]


@contextmanager
def confined(processes: list[int], cores: list[int]) -> Iterator[None]:
    """Processes that run already, with their children and all that these start meanwhile."""
    before = [(task, allowed) for task in _tasks(processes) if (allowed := _allowed(task))]
    try:
        for task, _ in before:
            _set(task, set(cores))
        yield
    finally:
        for task, allowed in before:
            _set(task, allowed)


def family(process: int) -> list[int]:
    """A process and all that it has started."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return [process]
    return [process, *(one for child in children for one in family(int(child)))]


def _tasks(processes: list[int]) -> list[int]:
    members = (member for process in processes for member in family(process))
    return [task for one in members for task in _tasks_of(one)]


def _tasks_of(process: int) -> list[int]:
    """Those of a process; empty if it has ended meanwhile."""
    try:
        return [int(task.name) for task in Path(f"/proc/{process}/task").iterdir()]
    except OSError:
        return []


def _allowed(task: int) -> set[int]:
    """Cores on which it may run; empty if it has ended meanwhile."""
    try:
        return os.sched_getaffinity(task)
    except ProcessLookupError:
        return set()


def _set(task: int, cores: set[int]) -> None:
    try:
        os.sched_setaffinity(task, cores)
    except ProcessLookupError:
        # It has ended meanwhile.
        pass
