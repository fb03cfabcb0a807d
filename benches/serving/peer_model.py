"""Text classification with ONNX Runtime, which the peers' services call."""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peers"))

from engines import onnxruntime_engine  # noqa: E402
from worker import padded  # noqa: E402

MAX_TOKENS = 512


class PeerModel:
    """A fused graph, or its dynamically quantized form, with one thread per call, and its tokenizer."""

    def __init__(self, folder, precision):
        from tokenizers import Tokenizer

        folder = pathlib.Path(folder)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        labels = json.loads((folder / "config.json").read_text())["id2label"]
        self.labels = [labels[str(index)] for index in range(len(labels))]
        self.engine = onnxruntime_engine.load(folder, 1, precision)

    def predict(self, texts):
        """Returns a list of labels with their scores for each text, highest first."""
        import numpy as np

        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        logits = self.engine.prepare(padded(rows))()
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        return [self.ranking(row) for row in scores.tolist()]

    def ranking(self, scores):
        pairs = sorted(zip(self.labels, scores), key=lambda pair: -pair[1])
        return [{"label": label, "score": score} for label, score in pairs]
