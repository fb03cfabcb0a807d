"""OpenVINO, compiled for each shape with the latency hint: ONNX Runtime's fused graph, which has one product for queries,
keys and values, or PyTorch's export, whichever is faster for the shape.

`f32` is pinned to f32. `default` sets no precision: OpenVINO then computes in bf16 where the CPU has it, otherwise in f32.
`int8-nncf` is the model quantized by NNCF with calibrated, static scales (see quantize_nncf.py); OpenVINO chooses the
precision of the rest, as it does by default.
"""

import collections
import json
import pathlib
import subprocess
import sys

import processor
import worker

# Disables telemetry, which runs in a second process while the first one is timed.
sys.modules["openvino_telemetry"] = None

NAME = "openvino"
VARIANTS = {
    "f32": "f32",
    "default": "bf16" if processor.has_bf16() else "f32",
    "int8-nncf": "int8-calibrated",
}
LIBRARIES = ["openvino"]
GRAPHS = ["fused", "model"]
QUANTIZER = pathlib.Path(__file__).resolve().parents[1] / "quantize_nncf.py"
# Layer types that take nearly all of the time; the description of a model counts them by precision.
PRODUCTS = {"FullyConnected", "MatMul", "Subgraph", "MHA", "ScaledDotProductAttention"}


def build():
    pass


def graphs(folder, variant):
    """Returns the graph that is loaded, and another that may be faster for some shapes."""
    if variant == "int8-nncf":
        return [folder / f"int8_nncf{suffix()}_{name}.xml" for name in GRAPHS]
    return [folder / f"{name}.onnx" for name in GRAPHS]


def suffix():
    """Like ONNX Runtime, NNCF advises 7-bit weights where sums of 8-bit products may saturate: without VNNI."""
    return "" if processor.has_vnni() else "_reduced"


def prepare(model, variant):
    """Quantizes in processes of their own, whose threads don't outlive them."""
    if variant != "int8-nncf":
        return
    for source, target in zip(graphs(model.folder, "default"), graphs(model.folder, variant)):
        if not target.exists():
            print(f"quantizing {source} with NNCF", flush=True)
            subprocess.run(
                [sys.executable, QUANTIZER, source, target, "7" if suffix() else "8"],
                input=json.dumps(model.calibration()),
                text=True,
                check=True,
            )


def command(folder, threads, variant):
    return worker.command("openvino_engine", folder, threads, variant)


def files(folder, variant):
    path = graphs(folder, variant)[0]
    return [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]


def load(folder, threads, variant):
    import openvino

    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
    }
    if variant == "f32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"

    first, *others = [Graph(core, path, settings) for path in graphs(folder, variant)]

    def describe():
        return description(first.request.get_compiled_model(), variant)

    version = openvino.__version__.split("-")[0]
    return worker.Loaded(version, first.prepare, [other.prepare for other in others], describe)


class Graph:
    """A model, compiled for each shape. Texts of one length that follow each other share a request."""

    def __init__(self, core, path, settings):
        self.core, self.path, self.settings = core, path, settings
        self.shape, self.request = None, None

    def prepare(self, inputs):
        shape = inputs["input_ids"].shape
        if self.shape != shape:
            model = self.core.read_model(self.path)
            model.reshape({name: list(shape) for name in inputs})
            compiled = self.core.compile_model(model, "CPU", self.settings)
            self.shape, self.request = shape, compiled.create_infer_request()
        infer = self.request.infer
        # Copied, since the next answer of a shared request overwrites it.
        return lambda: infer(inputs, share_inputs=True, share_outputs=True)[0].copy()


def description(compiled, variant):
    """Returns the class, and the precisions that OpenVINO chose."""
    hint = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    counts = collections.Counter()
    for node in compiled.get_runtime_model().get_ops():
        info = node.get_rt_info()
        layer, precision = (info[key].astype(str) for key in ("layerType", "runtimePrecision"))
        if layer in PRODUCTS:
            counts[layer, precision] += 1
    layers = ", ".join(f"{count} {layer} in {precision}" for (layer, precision), count in sorted(counts.items()))
    about = {"computes": f"inference precision {hint}; {layers}"}
    if variant == "default":
        about["class"] = hint
    return about
