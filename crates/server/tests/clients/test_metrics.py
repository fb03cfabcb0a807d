"""Prometheus reads the metrics."""

import collections
import math
import unittest
import urllib.request

from prometheus_client.parser import text_string_to_metric_families
from service import URL, post


def families() -> dict:
    """Returns the families of the metrics by name."""
    with urllib.request.urlopen(URL + "/metrics") as response:
        text = response.read().decode()
    found = list(text_string_to_metric_families(text))
    by_name = {family.name: family for family in found}
    assert len(by_name) == len(found), "a family comes twice"
    return by_name


def value(found: dict, family: str, sample: str = "", **labels) -> float:
    # The parser names the samples of counters as newer formats do.
    sample = "_total" if found[family].type == "counter" else sample
    samples = [one for one in found[family].samples if one.name == family + sample and labels.items() <= one.labels.items()]
    assert len(samples) == 1, samples
    return samples[0].value


class Metrics(unittest.TestCase):
    def test_every_family_has_a_type_and_every_sample_is_there_once(self):
        for family in families().values():
            self.assertIn(family.type, ["counter", "gauge", "histogram"], family)
            keys = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
            self.assertEqual(len(keys), len(set(keys)), family)
            for sample in family.samples:
                self.assertTrue(math.isfinite(sample.value) and sample.value >= 0, sample)

    def test_buckets_are_cumulative(self):
        post("/predict", {"inputs": ["I miss you.", "I like you."]})
        histograms = [family for family in families().values() if family.type == "histogram"]
        self.assertGreater(len(histograms), 5)
        for family in histograms:
            buckets, counts = collections.defaultdict(list), {}
            for sample in family.samples:
                others = tuple(sorted(label for label in sample.labels.items() if label[0] != "le"))
                if sample.name == family.name + "_bucket":
                    buckets[others].append((float(sample.labels["le"]), sample.value))
                elif sample.name == family.name + "_count":
                    counts[others] = sample.value
            for others, own in buckets.items():
                self.assertEqual(own, sorted(own))
                self.assertEqual([count for _, count in own], sorted(count for _, count in own))
                self.assertEqual(own[-1], (math.inf, counts[others]))

    def test_requests_and_texts_are_counted(self):
        before = families()
        for _ in range(3):
            post("/predict", {"inputs": ["I miss you.", "I like you."]})
        after = families()

        def grown(family, sample="", **labels):
            return value(after, family, sample, **labels) - value(before, family, sample, **labels)

        self.assertEqual(grown("te_request_count"), 3)
        self.assertEqual(grown("te_request_success"), 3)
        self.assertEqual(grown("te_request_duration", "_count"), 3)
        self.assertEqual(grown("distilbert_texts_completed", model="emotion"), 6)
        self.assertEqual(grown("te_request_queue_duration", "_count", model="emotion"), 6)
        self.assertEqual(value(after, "te_queue_size", model="emotion"), 0)
