"""PyTorch: Transformers' model with its fused attention, in inference mode."""

import worker

NAME = "pytorch"
PRECISION = "f32"


def build():
    pass


def command(folder, threads):
    return worker.command("pytorch_engine", folder, threads)


def load(folder, threads):
    import torch
    import transformers

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    classifier = transformers.DistilBertForSequenceClassification.from_pretrained(
        folder, attn_implementation="sdpa", dtype=torch.float32
    ).eval()

    def prepare(inputs):
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}

        def run():
            with torch.inference_mode():
                return classifier(**tensors).logits.numpy()

        return run

    return torch.__version__, prepare
