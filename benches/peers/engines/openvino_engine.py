"""OpenVINO, compiled for each shape, in the setting for least latency."""

import sys

import worker

NAME = "openvino"
PRECISION = "f32"


def build():
    pass


def command(folder, threads):
    return worker.command("openvino_engine", folder, threads)


def load(folder, threads):
    # OpenVINO then goes without reporting its use from a process beside the one that is timed.
    sys.modules["openvino_telemetry"] = None
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
