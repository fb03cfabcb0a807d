"""`classify_async` on event loops."""

import asyncio
import os

import pytest

from distilbert_engine import InputError


def test_results_have_the_bits_of_classify(classifier, texts):
    async def run():
        return await asyncio.gather(*map(classifier.classify_async, texts[:100]))

    assert asyncio.run(run()) == classifier.classify(texts[:100])


def test_event_loop_goes_on(classifier):
    async def run():
        ticks = 0
        task = asyncio.gather(*[classifier.classify_async("some words " * 50) for _ in range(40)])
        while not task.done():
            await asyncio.sleep(0.001)
            ticks += 1
        return ticks

    assert asyncio.run(run()) > 10


def test_bad_text_fails_alone(classifier):
    async def run():
        calls = [
            classifier.classify_async("fine"),
            classifier.classify_async("too long " * 600, truncation="error"),
            classifier.classify_async("fine"),
        ]
        return await asyncio.gather(*calls, return_exceptions=True)

    first, wrong, last = asyncio.run(run())
    assert first == last == classifier.classify("fine")
    assert isinstance(wrong, InputError)


def test_cancelled_requests_are_dropped(classifier):
    async def run():
        tasks = [
            asyncio.create_task(classifier.classify_async("some words " * 100)) for _ in range(200)
        ]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in found)
        # Nothing is computed for them: this one comes next.
        return await asyncio.wait_for(classifier.classify_async("next"), 5)

    assert asyncio.run(run()) == classifier.classify("next")


def test_closed_loop_hurts_nobody(classifier):
    """Leaves requests behind when their loop closes."""
    loop = asyncio.new_event_loop()
    requests = [loop.create_task(classifier.classify_async("some words " * 100)) for _ in range(5)]
    loop.run_until_complete(asyncio.sleep(0))
    for request in requests:
        request._log_destroy_pending = False
    loop.close()
    assert asyncio.run(classifier.classify_async("next")) == classifier.classify("next")


def test_loops_of_several_threads_share_a_classifier(classifier):
    from concurrent.futures import ThreadPoolExecutor

    def run(_):
        return asyncio.run(classifier.classify_async("We won!"))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(run, range(12))) == [classifier.classify("We won!")] * 12


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_child_makes_its_own_workers(classifier):
    asyncio.run(classifier.classify_async("We won!"))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            found = asyncio.run(asyncio.wait_for(classifier.classify_async("We won!"), 20))
            code = 0 if found.label == "happiness" else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert asyncio.run(classifier.classify_async("We won!")).label == "happiness"
