"""One module per engine, all with the same interface:

    NAME               name in the tables
    VARIANTS           the ways it runs, such as `f32` or `bf16-compiled`, and the class of each, a key of CLASSES
    LIBRARIES          Python modules to import before the loading of a model is timed
    build()            builds what the engine needs beyond the Python environment
    unsupported(variant)
                       optional: the reason why this machine can't run a variant; called after build()
    prepare(model, variant)
                       creates the files it needs besides those of model.py, unless they exist
    command(folder, threads, variant)
                       command that loads the model and answers on standard output,
                       as worker.py describes
    files(folder, variant)
                       files of the folder that it reads
    TOLERANCES         optional: tolerances by variant, where they differ from the class's

Python engines run in worker.py, each in its own process. They import their library in `load(folder, threads, variant)`
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

OURS = distilbert_engine.NAME
MODULES = (
    distilbert_engine,
    onnxruntime_engine,
    openvino_engine,
    pytorch_engine,
    candle_engine,
    tract_engine,
)
BY_NAME = {module.NAME: module for module in MODULES}
# Largest difference of a logit from Transformers' in f32. The logits are of order 1 to 10, and wrong wiring moves them
# by more than 2. Quantizing activations at run time moves the logits of these random weights by up to 0.7.
CLASSES = {"f32": 1e-3, "f16": 1e-2, "bf16": 0.5, "int8": 1.0, "int8-calibrated": 2.0, "cascade": 1.0}
# A cascade's time depends on the texts, so random weights say little about it.
DEFAULT_CLASSES = [name for name in CLASSES if name != "cascade"]


@dataclasses.dataclass(frozen=True)
class Engine:
    """An engine in one of its variants."""

    module: types.ModuleType
    variant: str

    @property
    def name(self):
        return self.module.NAME

    @property
    def label(self):
        return f"{self.name} {self.variant}"

    @property
    def precision_class(self):
        return self.module.VARIANTS[self.variant]

    @property
    def tolerance(self):
        by_variant = getattr(self.module, "TOLERANCES", {})
        return by_variant.get(self.variant, CLASSES[self.precision_class])

    def unsupported(self):
        return getattr(self.module, "unsupported", lambda variant: None)(self.variant)

    def prepare(self, model):
        self.module.prepare(model, self.variant)

    def command(self, folder, threads):
        return self.module.command(folder, threads, self.variant)

    def disk_bytes(self, folder):
        return sum(path.stat().st_size for path in self.module.files(folder, self.variant))


def chosen(names, classes):
    """Builds the named engines and returns their variants in these classes, but not those that can't run here."""
    engines = [
        Engine(module, variant)
        for module in map(BY_NAME.get, names)
        for variant, precision_class in module.VARIANTS.items()
        if precision_class in classes
    ]
    for module in dict.fromkeys(engine.module for engine in engines):
        module.build()
    supported = []
    for engine in engines:
        reason = engine.unsupported()
        if reason:
            print(f"{engine.label}: skipped: {reason}")
        else:
            supported.append(engine)
    return supported
