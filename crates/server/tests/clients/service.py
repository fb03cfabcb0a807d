"""The running server."""

import json
import os
import urllib.request

ADDRESS = os.environ["ADDRESS"]
URL = f"http://{ADDRESS}"
TEXTS = ["I can't believe we won!", "I miss you.", "naïve 🎉"]


def get(path: str):
    with urllib.request.urlopen(URL + path) as response:
        return json.load(response)


def post(path: str, body) -> object:
    request = urllib.request.Request(URL + path, json.dumps(body).encode())
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def rankings() -> list:
    """Returns what `/predict` answers for the texts."""
    return post("/predict", {"inputs": TEXTS})
