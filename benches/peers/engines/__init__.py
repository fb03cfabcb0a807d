"""One module for each engine, all with the same four names:

    NAME               as in the table
    PRECISION          of its arithmetic, `f32`
    build()            makes what the engine needs beyond the Python environment
    command(folder, threads)
                       a program that loads the model and answers on standard output,
                       as worker.py describes

Those in Python run in worker.py itself, each in a process of its own. They import their engine in
`load(folder, threads)`, so that no other process does.
"""

from engines import distilbert_engine, onnxruntime_engine, openvino_engine, pytorch_engine

ALL = (distilbert_engine, onnxruntime_engine, openvino_engine, pytorch_engine)
BY_NAME = {engine.NAME: engine for engine in ALL}
