"""Quantizes an ONNX model with NNCF for OpenVINO.

    quantize_nncf.py MODEL.onnx QUANTIZED.xml BITS

BITS is the width of the weights: 8, or 7 for CPUs on which sums of products of 8 bits may saturate. Calibrates on the
texts from standard input, a JSON list of lists of token ids, each as a batch of one.
"""

import json
import pathlib
import sys

# Disables telemetry.
sys.modules["openvino_telemetry"] = None


def main():
    import nncf
    import openvino

    import worker

    source, target = map(pathlib.Path, sys.argv[1:3])
    overflow_fix = nncf.OverflowFix.ENABLE if sys.argv[3] == "7" else nncf.OverflowFix.DISABLE
    texts = json.load(sys.stdin)
    model = openvino.Core().read_model(source)
    quantized = nncf.quantize(
        model,
        nncf.Dataset(texts, lambda ids: worker.padded([ids])),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(texts),
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=overflow_fix),
    )
    # The weights file first: the existence of the other means that both are complete.
    partial = target.with_name(f"partial_{target.name}")
    openvino.save_model(quantized, partial, compress_to_fp16=False)
    partial.with_suffix(".bin").rename(target.with_suffix(".bin"))
    partial.rename(target)


if __name__ == "__main__":
    main()
