"""ONNX Runtime with a fused graph, and with the dynamically quantized fused graph."""

import logging

import processor
import worker

NAME = "onnxruntime"
VARIANTS = {"f32": "f32", "int8": "int8"}
LIBRARIES = ["onnxruntime"]


def build():
    pass


def graph(folder, variant):
    return folder / ("fused.onnx" if variant == "f32" else f"fused_int8{suffix()}.onnx")


def prepare(model, variant):
    path = graph(model.folder, variant)
    if not path.exists():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        logging.getLogger().setLevel(logging.ERROR)
        quantize_dynamic(
            graph(model.folder, "f32"),
            path,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=bool(suffix()),
            extra_options={"DefaultTensorType": 1},
        )


def suffix():
    """ONNX Runtime advises 7-bit weights where sums of 8-bit products may saturate: without VNNI."""
    return "" if processor.has_vnni() else "_reduced"


def command(folder, threads, variant):
    return worker.command("onnxruntime_engine", folder, threads, variant)


def files(folder, variant):
    return [graph(folder, variant)]


def load(folder, threads, variant):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    session = onnxruntime.InferenceSession(
        graph(folder, variant), options, providers=["CPUExecutionProvider"]
    )

    def prepare(inputs):
        return lambda: session.run(None, inputs)[0]

    return worker.Loaded(onnxruntime.__version__, prepare)
