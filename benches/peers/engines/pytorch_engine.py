"""PyTorch: Transformers' model with fused attention in inference mode.

In int8, linear layers are dynamically quantized. `bf16-compiled` is compiled for each shape by `torch.compile`, with the
weights frozen so that they are packed in advance; it needs a C++ compiler.
"""

import os
import shutil
import warnings

import processor
import worker

NAME = "pytorch"
VARIANTS = {"f32": "f32", "bf16": "bf16", "bf16-compiled": "bf16", "int8": "int8"}
LIBRARIES = ["torch", "transformers"]


def build():
    pass


def unsupported(variant):
    if variant.startswith("bf16") and not processor.has_bf16():
        return "the processor has no bf16 instructions"
    if variant.endswith("-compiled") and not shutil.which(os.environ.get("CXX", "g++")):
        return "torch.compile needs a C++ compiler"
    return None


def prepare(model, variant):
    pass


def command(folder, threads, variant):
    return worker.command("pytorch_engine", folder, threads, variant)


def files(folder, variant):
    return [folder / "model.safetensors"]


def load(folder, threads, variant):
    import torch
    import transformers

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    precision = torch.bfloat16 if variant.startswith("bf16") else torch.float32
    classifier = transformers.DistilBertForSequenceClassification.from_pretrained(
        folder, attn_implementation="sdpa", dtype=precision
    ).eval()
    if variant == "int8":
        # The fastest quantization backend here by a small margin, on AVX2 and on VNNI.
        torch.backends.quantized.engine = "fbgemm"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Deprecated, but without a replacement.
            classifier = torch.ao.quantization.quantize_dynamic(
                classifier, {torch.nn.Linear}, dtype=torch.qint8
            )
    if variant.endswith("-compiled"):
        classifier = compiled(classifier)

    def prepare(inputs):
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}

        def run():
            with torch.inference_mode():
                return classifier(**tensors).logits.float().numpy()

        return run

    return worker.Loaded(torch.__version__, prepare)


def compiled(classifier):
    import torch
    import torch._dynamo
    import torch._inductor.config

    torch._inductor.config.freezing = True
    # Beyond this number of shapes it would stop compiling; the default is 8.
    torch._dynamo.config.recompile_limit = 1000
    return torch.compile(classifier, dynamic=False)
