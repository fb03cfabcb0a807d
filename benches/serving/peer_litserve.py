"""LitServe + ONNX Runtime: a worker process per core, each of which takes what is waiting, up to eight texts.

    peer_litserve.py FOLDER PRECISION PORT
"""

import os
import sys

import litserve

from peer_model import PeerModel

BATCH = 8


class Api(litserve.LitAPI):
    def __init__(self, folder, precision):
        super().__init__(max_batch_size=BATCH, batch_timeout=0.0)
        self.source = folder, precision

    def setup(self, device):
        self.model = PeerModel(*self.source)

    def decode_request(self, request):
        return request["inputs"]

    def predict(self, inputs):
        return self.model.predict(inputs)

    def encode_response(self, output):
        return output


def main():
    folder, precision, port = sys.argv[1:]
    server = litserve.LitServer(Api(folder, precision), accelerator="cpu", workers_per_device=os.cpu_count())
    server.run(host="127.0.0.1", port=int(port), num_api_servers=1, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
