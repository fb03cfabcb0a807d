"""Clients of other servers get the same predictions as `/predict`."""

import asyncio
import unittest

import numpy
import tritonclient.http as triton
from huggingface_hub import InferenceClient
from service import ADDRESS, TEXTS, URL, get, post, rankings


class Hub(unittest.TestCase):
    """`huggingface_hub.InferenceClient`."""

    def check(self, client: InferenceClient):
        for text, ranking in zip(TEXTS, rankings()):
            found = client.text_classification(text)
            self.assertEqual([one.label for one in found], [one["label"] for one in ranking])
            self.assertEqual([one.score for one in found], [one["score"] for one in ranking])
        best = client.text_classification(TEXTS[0], top_k=2, function_to_apply="sigmoid")
        self.assertEqual(len(best), 2)
        self.assertEqual(best[0].label, rankings()[0][0]["label"])
        logits = client.text_classification(TEXTS[0], function_to_apply="none")
        raw = post("/predict", {"inputs": TEXTS[0], "raw_scores": True})
        self.assertEqual([one.score for one in logits], [one["score"] for one in raw])

    def test_with_the_address_of_a_model(self):
        self.check(InferenceClient(model=f"{URL}/models/emotion"))

    def test_with_the_address_of_the_server(self):
        self.check(InferenceClient(model=URL))


class Triton(unittest.TestCase):
    """`tritonclient`, with binary tensors, its default, and with JSON."""

    def setUp(self):
        self.client = triton.InferenceServerClient(ADDRESS)
        self.addCleanup(self.client.close)

    def test_states_and_descriptions(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("emotion"))
        self.assertTrue(self.client.is_model_ready("emotion", "1"))
        self.assertFalse(self.client.is_model_ready("other"))
        self.assertEqual(self.client.get_server_metadata()["name"], "distilbert")
        self.assertEqual(self.client.get_model_metadata("emotion")["inputs"][0]["datatype"], "BYTES")
        self.assertEqual(self.client.get_model_repository_index()[0]["name"], "emotion")

    def infer(self, is_binary, outputs=None, **options):
        texts = numpy.array([text.encode() for text in TEXTS], dtype=numpy.object_)
        tensor = triton.InferInput("text", texts.shape, "BYTES")
        tensor.set_data_from_numpy(texts, binary_data=is_binary)
        return self.client.infer("emotion", [tensor], outputs=outputs, **options)

    def test_predictions(self):
        labels = get("/v2/models/emotion")["parameters"]["labels"]
        expected = rankings()
        scores = [[{one["label"]: one["score"] for one in ranking}[label] for label in labels] for ranking in expected]
        for is_binary in [True, False]:
            names = ["label", "index", "scores"]
            chosen = [triton.InferRequestedOutput(name, binary_data=is_binary) for name in names]
            for outputs in [None, chosen]:
                found = self.infer(is_binary, outputs, request_id="7")
                self.assertEqual(found.get_response()["id"], "7")
                best = [ranking[0]["label"] for ranking in expected]
                predicted = [label.decode() if isinstance(label, bytes) else label for label in found.as_numpy("label")]
                self.assertEqual(predicted, best)
                self.assertEqual([labels[index] for index in found.as_numpy("index")], best)
                numpy.testing.assert_array_equal(found.as_numpy("scores"), numpy.float32(scores))

    def test_parameters_and_compression(self):
        found = self.infer(True, parameters={"top_k": 2, "raw_scores": True})
        self.assertEqual(found.as_numpy("scores").shape, (3, 2))

    def test_errors(self):
        with self.assertRaisesRegex(triton.InferenceServerException, "there is no model `other`"):
            self.client.get_model_metadata("other")


class KServe(unittest.TestCase):
    """KServe's `InferenceRESTClient`, in both protocols."""

    @classmethod
    def setUpClass(cls):
        try:
            import kserve
        except ImportError:
            raise unittest.SkipTest("SKIPPED: kserve is not installed") from None
        cls.kserve = kserve

    def client(self, protocol):
        return self.kserve.InferenceRESTClient(self.kserve.RESTConfig(protocol=protocol))

    def test_second_protocol(self):
        tensor = self.kserve.InferInput("text", [len(TEXTS)], "BYTES", data=TEXTS)
        request = self.kserve.InferRequest("emotion", [tensor])

        async def call():
            client = self.client("v2")
            self.assertTrue(await client.is_server_ready(URL))
            self.assertTrue(await client.is_model_ready(URL, "emotion"))
            return await client.infer(URL, request, model_name="emotion")

        found = asyncio.run(call())
        labels = next(output for output in found.outputs if output.name == "label").data
        self.assertEqual(labels, [ranking[0]["label"] for ranking in rankings()])

    def test_first_protocol(self):
        async def call():
            client = self.client("v1")
            return await client.infer(URL, {"instances": TEXTS}, model_name="emotion")

        self.assertEqual(asyncio.run(call()), {"predictions": rankings()})
