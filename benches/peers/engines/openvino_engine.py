"""OpenVINO, compiled for each shape with the latency hint."""

import sys

import worker

# Disables telemetry, which runs in a second process while the first one is timed.
sys.modules["openvino_telemetry"] = None

NAME = "openvino"
# ONNX Runtime's quantized graph is not faster here; see README.md.
PRECISIONS = ["f32"]
LIBRARIES = ["openvino"]


def build():
    pass


def prepare(folder, precision):
    pass


def command(folder, threads, precision):
    return worker.command("openvino_engine", folder, threads, precision)


def files(folder, precision):
    return [folder / "model.onnx"]


def load(folder, threads, precision):
    import openvino

    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        # The default is bf16 on CPUs that support it.
        "INFERENCE_PRECISION_HINT": "f32",
    }

    def prepare(inputs):
        model = core.read_model(folder / "model.onnx")
        model.reshape({name: list(array.shape) for name, array in inputs.items()})
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        return lambda: request.infer(inputs, share_inputs=True, share_outputs=True)[0]

    return openvino.__version__.split("-")[0], prepare
