"""ONNX Runtime with a fused graph, and with the dynamically quantized fused graph."""

import logging
import pathlib

import worker

NAME = "onnxruntime"
PRECISIONS = ["f32", "int8"]
LIBRARIES = ["onnxruntime"]


def build():
    pass


def graph(folder, precision):
    return folder / ("fused.onnx" if precision == "f32" else f"fused_int8{suffix()}.onnx")


def prepare(folder, precision):
    path = graph(folder, precision)
    if not path.exists():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        logging.getLogger().setLevel(logging.ERROR)
        quantize_dynamic(
            graph(folder, "f32"),
            path,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=bool(suffix()),
            extra_options={"DefaultTensorType": 1},
        )


def suffix():
    """ONNX Runtime advises 7-bit weights where sums of 8-bit products may saturate: without VNNI."""
    try:
        has_vnni = "vnni" in pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        has_vnni = False
    return "" if has_vnni else "_reduced"


def command(folder, threads, precision):
    return worker.command("onnxruntime_engine", folder, threads, precision)


def files(folder, precision):
    return [graph(folder, precision)]


def load(folder, threads, precision):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    session = onnxruntime.InferenceSession(
        graph(folder, precision), options, providers=["CPUExecutionProvider"]
    )

    def prepare(inputs):
        return lambda: session.run(None, inputs)[0]

    return onnxruntime.__version__, prepare
