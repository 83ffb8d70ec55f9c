"""Run every benchmark, or those named, and print what they measured."""

import sys

from benchmarks import (
    cells,
    descents,
    engine,
    memory,
    minima,
    orchestration,
    startup,
    students,
    workers,
)

BENCHMARKS = {
    "startup": startup.main,
    "orchestration": orchestration.main,
    "engine": engine.main,
    "cells": cells.main,
    "descents": descents.main,
    "students": students.main,
    "workers": workers.main,
    "memory": memory.main,
    "minima": minima.main,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        print(f"== {name}")
        BENCHMARKS[name]()
