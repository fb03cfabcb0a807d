"""OpenVINO, compiled for each shape, in the setting for least latency."""

import sys

import worker

# OpenVINO then goes without reporting its use from a process beside the one that is timed.
sys.modules["openvino_telemetry"] = None

NAME = "openvino"
# Its products are not faster on ONNX Runtime's quantised graph: see README.md.
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
        # By itself it takes bf16 where the processor has it.
        "INFERENCE_PRECISION_HINT": "f32",
    }

    def prepare(inputs):
        model = core.read_model(folder / "model.onnx")
        model.reshape({name: list(array.shape) for name, array in inputs.items()})
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        return lambda: request.infer(inputs, share_inputs=True, share_outputs=True)[0]

    return openvino.__version__.split("-")[0], prepare
