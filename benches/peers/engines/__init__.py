"""One module for each engine, all with the same names:

    NAME               as in the table
    PRECISIONS         that it is timed in: `f32`, `f16`, `int8`
    LIBRARIES          Python modules that it imports, so that loading a model can be timed alone
    build()            makes what the engine needs beyond the Python environment
    prepare(folder, precision)
                       makes what it needs beside the model, if it is not there
    command(folder, threads, precision)
                       a program that loads the model and answers on standard output,
                       as worker.py describes
    files(folder, precision)
                       what it reads of the folder
    TOLERANCE          where its f32 logits may be further off than others'

Those in Python run in worker.py itself, each in a process of its own. They import their engine in
`load(folder, threads, precision)`, so that no other process does.
"""

import dataclasses
import types

from engines import (
    candle_engine,
    distilbert_engine,
    onnxruntime_engine,
    openvino_engine,
    pytorch_engine,
    tract_engine,
)

MODULES = (
    distilbert_engine,
    onnxruntime_engine,
    openvino_engine,
    pytorch_engine,
    candle_engine,
    tract_engine,
)
BY_NAME = {module.NAME: module for module in MODULES}
# Rounding to 8 bits moves the logits of these random weights, which are of order 1 to 10, by up to 0.6;
# wrong wiring moves them by more than 2.
TOLERANCES = {"f32": 1e-3, "f16": 1e-2, "int8": 1.0}
PRECISIONS = list(TOLERANCES)


@dataclasses.dataclass(frozen=True)
class Engine:
    """An engine in one precision."""

    module: types.ModuleType
    precision: str

    @property
    def name(self):
        return self.module.NAME

    @property
    def tolerance(self):
        """The largest difference that a logit may have from the first engine's."""
        return getattr(self.module, "TOLERANCE", TOLERANCES[self.precision])

    def prepare(self, folder):
        self.module.prepare(folder, self.precision)

    def command(self, folder, threads):
        return self.module.command(folder, threads, self.precision)

    def disk_bytes(self, folder):
        return sum(path.stat().st_size for path in self.module.files(folder, self.precision))


def chosen(names, precisions):
    """Engines by name, in each of these precisions that they have."""
    return [
        Engine(module, precision)
        for module in map(BY_NAME.get, names)
        for precision in module.PRECISIONS
        if precision in precisions
    ]
