"""ONNX Runtime on its fused graph."""

import worker

NAME = "onnxruntime"
PRECISION = "f32"


def build():
    pass


def command(folder, threads):
    return worker.command("onnxruntime_engine", folder, threads)


def load(folder, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    session = onnxruntime.InferenceSession(
        folder / "fused.onnx", options, providers=["CPUExecutionProvider"]
    )

    def prepare(inputs):
        return lambda: session.run(None, inputs)[0]

    return onnxruntime.__version__, prepare
