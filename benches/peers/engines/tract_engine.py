"""tract, through the Rust program in tract/: the exported graph, optimized for each shape."""

import pathlib

from engines import rust

NAME = "tract"
VARIANTS = {"f32": "f32"}
PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "tract"

program = None


def build():
    global program
    program = rust.build(PACKAGE, "--locked", target="peer_tract")


def prepare(model, variant):
    """Replaces the exporter's ranges from 0 to the length, whose type tract can't infer, with slices of a constant."""
    path = model.folder / "tract.onnx"
    if path.exists():
        return
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    exported = onnx.load(model.folder / "model.onnx")
    constants = {"all_positions": np.arange(512), "zero": np.zeros(1, np.int64)}
    nodes = []
    for node in exported.graph.node:
        if node.op_type == "Range":
            limit = node.input[1] + "_as_list"
            nodes.append(helper.make_node("Unsqueeze", [node.input[1], "zero"], [limit]))
            inputs = ["all_positions", "zero", limit, "zero"]
            node = helper.make_node("Slice", inputs, node.output)
        nodes.append(node)
    del exported.graph.node[:]
    exported.graph.node.extend(nodes)
    exported.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    onnx.save(exported, path)


def command(folder, threads, variant):
    return [program, str(folder), str(threads)]


def files(folder, variant):
    return [folder / "tract.onnx"]
