"""PyTorch: Transformers' model with fused attention in inference mode; in int8 with dynamically quantized linear layers."""

import warnings

import worker

NAME = "pytorch"
PRECISIONS = ["f32", "int8"]
LIBRARIES = ["torch", "transformers"]


def build():
    pass


def prepare(folder, precision):
    pass


def command(folder, threads, precision):
    return worker.command("pytorch_engine", folder, threads, precision)


def files(folder, precision):
    return [folder / "model.safetensors"]


def load(folder, threads, precision):
    import torch
    import transformers

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    classifier = transformers.DistilBertForSequenceClassification.from_pretrained(
        folder, attn_implementation="sdpa", dtype=torch.float32
    ).eval()
    if precision == "int8":
        # The fastest quantization backend here by a small margin, on AVX2 and on VNNI.
        torch.backends.quantized.engine = "fbgemm"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Deprecated, but without a replacement.
            classifier = torch.ao.quantization.quantize_dynamic(
                classifier, {torch.nn.Linear}, dtype=torch.qint8
            )

    def prepare(inputs):
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}

        def run():
            with torch.inference_mode():
                return classifier(**tensors).logits.numpy()

        return run

    return torch.__version__, prepare
