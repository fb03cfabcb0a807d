"""The examples of docs/serving.md, and those of text-embeddings-inference, answer what the documents say."""

import json
import math
import pathlib
import re
import subprocess
import unittest

from service import ADDRESS, rankings, post

DOCUMENT = pathlib.Path(__file__).resolve().parents[4] / "docs/serving.md"

# From text-embeddings-inference 1.9: README.md and docs/source/en/quick_tour.md.
PEER = """
curl 127.0.0.1:8080/predict \\
    -X POST \\
    -d '{"inputs":"I like you."}' \\
    -H 'Content-Type: application/json'

curl 127.0.0.1:8080/predict \\
    -X POST \\
    -d '{"inputs":[["I like you."], ["I hate pineapples"]]}' \\
    -H 'Content-Type: application/json'
"""


def run(command: str) -> str:
    """Runs a command line with the address of the running server, and returns what it prints."""
    command = command.replace("127.0.0.1:8080", ADDRESS).replace("curl ", "curl -sS ", 1)
    outcome = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    if outcome.returncode or outcome.stderr:
        raise AssertionError(f"{command}\n{outcome.stderr}")
    return outcome.stdout


def examples(document: str) -> list[tuple[str, str]]:
    """Returns the commands of console blocks, each with what it prints."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", document, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            end = next(at for at, line in enumerate(lines) if not line.endswith("\\")) + 1
            found.append(("\n".join(lines[:end]), "\n".join(lines[end:])))
    return found


def parse(shown: str) -> object:
    """Parses JSON in which `…` stands for the rest of an object or of a list."""
    open_brackets, parts = [], []
    for part in re.findall(r'"(?:[^"\\]|\\.)*"|…|[^"…]+', shown):
        if part == "…":
            parts.append('"…": 0' if open_brackets[-1] == "{" else '"…"')
            continue
        parts.append(part)
        if not part.startswith('"'):
            for character in part:
                if character in "{[":
                    open_brackets.append(character)
                elif character in "}]":
                    open_brackets.pop()
    return json.loads("".join(parts))


def matches(shown: object, found: object) -> bool:
    """Compares an answer with a document, which shows three digits of numbers."""
    if isinstance(shown, dict):
        if not isinstance(found, dict) or ("…" not in shown and shown.keys() != found.keys()):
            return False
        return all(name == "…" or name in found and matches(value, found[name]) for name, value in shown.items())
    if isinstance(shown, list):
        if not isinstance(found, list):
            return False
        if shown and shown[-1] == "…":
            shown, found = shown[:-1], found[: len(shown) - 1]
        return len(shown) == len(found) and all(map(matches, shown, found))
    if isinstance(shown, float):
        return isinstance(found, (int, float)) and math.isclose(shown, found, abs_tol=6e-4)
    if isinstance(shown, str) and "…" in shown:
        pattern = re.escape(shown).replace("…", ".*")
        return isinstance(found, str) and re.fullmatch(pattern, found, re.DOTALL) is not None
    return type(shown) is type(found) and shown == found


class Examples(unittest.TestCase):
    def test_documents_examples(self):
        found = examples(DOCUMENT.read_text())
        self.assertGreater(len(found), 12)
        for command, shown in found:
            with self.subTest(command):
                answer = run(command)
                if shown[:1] in "{[":
                    self.assertTrue(matches(parse(shown), json.loads(answer)), f"{command}\n{answer}")
                else:
                    pattern = re.escape(shown).replace("…", ".*")
                    self.assertRegex(answer, re.compile(pattern, re.DOTALL))

    def test_examples_of_text_embeddings_inference(self):
        single, several = (json.loads(run(command)) for command in PEER.strip().split("\n\n"))
        self.assertEqual(single, post("/predict", {"inputs": "I like you."}))
        self.assertEqual([len(ranking) for ranking in several], [7, 7])
        self.assertEqual(several[0], single)

    def test_comparison_notices_differences(self):
        shown = parse('{"a": [0.123, …], "b": "x…", …}')
        self.assertTrue(matches(shown, {"a": [0.1234, 7], "b": "xyz", "c": 1}))
        for other in [{"a": [0.125], "b": "xyz"}, {"a": [0.123], "b": "y"}, {"a": [0.123]}, []]:
            self.assertFalse(matches(shown, other), other)
        self.assertFalse(matches(parse('{"a": 1}'), {"a": 1, "b": 2}))
        self.assertFalse(matches(parse("[1]"), [1, 2]))
        self.assertEqual(len(rankings()), 3)
