"""FastAPI + ONNX Runtime: one process on uvicorn with uvloop and httptools, and a thread per core that computes one text at
a time.

    peer_fastapi.py FOLDER PRECISION PORT
"""

import asyncio
import concurrent.futures
import os
import sys

import fastapi
import pydantic
import uvicorn

from peer_model import PeerModel


class Input(pydantic.BaseModel):
    inputs: str


class Score(pydantic.BaseModel):
    label: str
    score: float


def service(model):
    app = fastapi.FastAPI()
    pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())

    @app.get("/health")
    def health():
        return {}

    @app.post("/predict")
    async def predict(request: Input) -> list[Score]:
        loop = asyncio.get_running_loop()
        [ranking] = await loop.run_in_executor(pool, model.predict, [request.inputs])
        return ranking

    return app


def main():
    folder, precision, port = sys.argv[1:]
    model = PeerModel(folder, precision)
    uvicorn.run(
        service(model),
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
