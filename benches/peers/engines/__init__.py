"""One module per engine, all with the same interface:

    NAME               name in the table
    PRECISIONS         precisions to time: `f32`, `f16`, `int8`
    LIBRARIES          Python modules to import before the loading of a model is timed
    build()            builds what the engine needs beyond the Python environment
    prepare(folder, precision)
                       creates the files it needs besides the model, unless they exist
    command(folder, threads, precision)
                       command that loads the model and answers on standard output,
                       as worker.py describes
    files(folder, precision)
                       files of the folder that it reads
    TOLERANCE          tolerance of its f32 logits, if it differs from the default

Python engines run in worker.py, each in its own process. They import their library in `load(folder, threads, precision)`
so that no other process imports it.
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
# The logits are of order 1 to 10. Quantization to int8 moves those of these random weights by up to 0.6, wrong wiring by
# more than 2.
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
        """Largest difference of a logit from the first engine's."""
        return getattr(self.module, "TOLERANCE", TOLERANCES[self.precision])

    def prepare(self, folder):
        self.module.prepare(folder, self.precision)

    def command(self, folder, threads):
        return self.module.command(folder, threads, self.precision)

    def disk_bytes(self, folder):
        return sum(path.stat().st_size for path in self.module.files(folder, self.precision))


def chosen(names, precisions):
    """Returns the named engines in each of these precisions that they support."""
    return [
        Engine(module, precision)
        for module in map(BY_NAME.get, names)
        for precision in module.PRECISIONS
        if precision in precisions
    ]
