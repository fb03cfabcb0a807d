"""Runs the engines in turn and measures their times."""

import contextlib
import dataclasses
import statistics
import time

import engine_process
import logits
from figures import Figure, Load, set_ratios

# Approximate duration of a turn, and its minimum number of repeats.
TURN_MS, LEAST_REPEATS = 300, 3
# Pause between turns, in which spinning thread pools go to sleep.
PAUSE_S = 0.05
# Runs longer than this need no warm-up in each turn.
LONG_MS = 100
# Even if the budget is spent.
LEAST_ROUNDS = 3
# Up to this number of tokens, a turn takes the same time.
SMALL_TOKENS = 110


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that a comparison measures: rounds per shape and loads per engine, within a budget."""

    shapes: list
    rounds: int
    loads: int
    budget: "Budget"


class Budget:
    """Time for all shapes with all numbers of threads."""

    def __init__(self, minutes, shapes, thread_counts):
        self.end = time.monotonic() + 60 * (minutes or float("inf"))
        self.unspent = sum(weight(shape, threads) for shape in shapes for threads in thread_counts)

    def deadline(self, shape, threads):
        """Returns the time at which a shape's share of the remaining time ends. Call it once per shape."""
        now = time.monotonic()
        share = weight(shape, threads) / self.unspent
        self.unspent -= weight(shape, threads)
        return now + max(0.0, self.end - now) * share


def weight(shape, threads):
    """Returns roughly how long a round takes, in arbitrary units."""
    return max(SMALL_TOKENS, sum(shape.lengths)) / threads**0.5


def compare(engines, folder, threads, plan, expected):
    """Measures all engines with this number of threads. `expected` has the logits of each shape."""
    print(f"\n{threads} {'thread' if threads == 1 else 'threads'}", flush=True)
    with contextlib.ExitStack() as stack:
        loading = [load(engine, folder, threads, plan.loads) for engine in engines]
        workers = []
        for engine, measured in zip(engines, loading):
            worker = stack.enter_context(engine_process.started(engine, folder, threads))
            measured.loaded_mib = worker.peak_mib()
            workers.append(worker)
            if "computes" in worker.about:
                print(f"  {engine.label}: {worker.about['computes']}")
        idle = IdleTime(workers)
        figures = []
        for shape in plan.shapes:
            deadline = plan.budget.deadline(shape, threads)
            turns = {worker: check_and_calibrate(worker, shape, expected[shape.name]) for worker in workers}
            measured = figures_of(turns, threads, shape)
            run_rounds(turns, measured, idle, plan.rounds, deadline)
            figures += measured.values()
        idle.report()
        return figures, [measured for measured in loading if measured.load_ms]


def load(engine, folder, threads, times):
    """Loads the model in fresh processes. The first load is discarded: it warms the page cache and, on some hypervisors,
    reclaims memory that other engines have freed."""
    measured = Load(engine.name, engine.variant, threads, [], None, engine.disk_bytes(folder) / 2**20)
    for index in range(1 + times if times else 0):
        with engine_process.started(engine, folder, threads) as worker:
            if index > 0:
                measured.load_ms.append(worker.about["load_ms"])
    return measured


@dataclasses.dataclass
class Turn:
    """What an engine runs in a turn, and how far its logits are off."""

    batches: list
    repeats: int
    warmup: int
    differences: object


def figures_of(turns, threads, shape):
    """Returns a figure for each worker, without times."""
    figures = {
        worker: Figure(
            worker.engine.name,
            worker.about["version"],
            worker.engine.variant,
            worker.precision_class,
            threads,
            shape.name,
            float(turn.differences.mean()),
            float(turn.differences.max()),
        )
        for worker, turn in turns.items()
    }
    print_differences(shape, list(figures.values()))
    return figures


def run_rounds(turns, figures, idle, rounds, deadline):
    workers = list(turns)
    for index in range(rounds):
        if index >= LEAST_ROUNDS and time.monotonic() > deadline:
            break
        # Every other round is reversed, so that no engine always follows the same one.
        for worker in workers if index % 2 == 0 else reversed(workers):
            turn = turns[worker]
            time.sleep(PAUSE_S)
            with idle.during(worker):
                answer = worker.run(turn.batches, turn.repeats, turn.warmup)
            figures[worker].rounds.append(statistics.median(answer["milliseconds"]))
    set_ratios(list(figures.values()))


def check_and_calibrate(worker, shape, expected):
    """Checks the logits of every way to batch the texts, and returns a turn in the fastest."""
    rows = shape.ids()
    fastest, chosen = None, None
    for way in logits.ways(worker.engine, shape):
        found, milliseconds = logits.compute(worker, rows, way, repeats=2, warmup=2)
        differences = logits.check(worker, shape, found, expected)
        if fastest is None or min(milliseconds) < fastest:
            fastest = min(milliseconds)
            repeats = max(LEAST_REPEATS, round(TURN_MS / fastest))
            warmup = 0 if fastest > LONG_MS else 1
            chosen = Turn(logits.batches(rows, way), repeats, warmup, differences)
    if len(chosen.batches) > 1:
        print(f"  {shape.name}: {worker.engine.label} sorted, {logits.SORTED_ROWS} together")
    return chosen


def print_differences(shape, figures):
    """Prints the largest difference in each class."""
    largest = {}
    for figure in figures:
        name = figure.precision_class
        largest[name] = max(largest.get(name, 0.0), figure.largest_error)
    text = ", ".join(f"{name} {value:.1e}" for name, value in largest.items())
    print(f"  {shape.name}: logits verified, largest differences: {text}", flush=True)


class IdleTime:
    """CPU time that waiting engines use, which should be none."""

    def __init__(self, workers):
        self.workers = workers
        self.used = 0.0
        self.elapsed = 0.0

    @contextlib.contextmanager
    def during(self, busy):
        """Measures the CPU time of all engines but `busy`."""
        waiting = [worker for worker in self.workers if worker is not busy]
        start, used = time.perf_counter(), sum(worker.cpu_seconds() for worker in waiting)
        yield
        self.elapsed += time.perf_counter() - start
        self.used += sum(worker.cpu_seconds() for worker in waiting) - used

    def report(self):
        if self.elapsed:
            share = self.used / self.elapsed
            print(f"  waiting engines used {share:.1%} of a core while another was timed")
