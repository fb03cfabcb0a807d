"""OpenVINO, compiled for each shape with the latency hint.

`f32` is pinned to f32. `default` sets no precision: OpenVINO then computes in bf16 where the CPU has it, otherwise in f32.
`int8-nncf` is the model quantized by NNCF with calibrated, static scales (see quantize_nncf.py); OpenVINO chooses the
precision of the rest, as by default.
"""

import collections
import functools
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
QUANTIZER = pathlib.Path(__file__).resolve().parents[1] / "quantize_nncf.py"
# Layer types that take nearly all of the time; the description of a model counts them by precision.
PRODUCTS = {"FullyConnected", "MatMul", "Subgraph", "MHA", "ScaledDotProductAttention"}


def build():
    pass


def graph(folder, variant):
    return folder / ("int8_nncf.xml" if variant == "int8-nncf" else "model.onnx")


def prepare(model, variant):
    """Quantizes in a process of its own, whose threads don't outlive it."""
    if variant == "int8-nncf" and not graph(model.folder, variant).exists():
        print(f"quantizing {model.name} with NNCF", flush=True)
        subprocess.run(
            [sys.executable, QUANTIZER, model.folder / "model.onnx", graph(model.folder, variant)],
            input=json.dumps(model.calibration()),
            text=True,
            check=True,
        )


def command(folder, threads, variant):
    return worker.command("openvino_engine", folder, threads, variant)


def files(folder, variant):
    path = graph(folder, variant)
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

    # Texts of one length that follow each other share a request.
    @functools.lru_cache(maxsize=1)
    def compiled(shape):
        model = core.read_model(graph(folder, variant))
        model.reshape({name: list(shape) for name in ("input_ids", "attention_mask")})
        return core.compile_model(model, "CPU", settings)

    @functools.lru_cache(maxsize=1)
    def request(shape):
        return compiled(shape).create_infer_request()

    def prepare(inputs):
        infer = request(inputs["input_ids"].shape).infer
        # Copied, since the next answer of a shared request takes its place.
        return lambda: infer(inputs, share_inputs=True, share_outputs=True)[0].copy()

    def describe():
        return description(compiled((1, len(worker.FIRST_TEXT))), variant)

    return worker.Loaded(openvino.__version__.split("-")[0], prepare, describe)


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
