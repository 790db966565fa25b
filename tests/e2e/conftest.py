"""Stacks that the tests share."""

import pytest

from harness import Registry, Stack
from servers import folder, kafka, postgres, s3  # noqa: F401


@pytest.fixture(scope="session")
def registry(folder):
    server = Registry(f"{folder}/registry")
    yield server
    server.stop()


def started(stack):
    stack.start()
    stack.load_samples()
    return stack


@pytest.fixture(scope="session")
def embedded(folder, postgres):
    """A stack on the embedded broker: three gateways, two of each worker, the samples loaded."""
    stack = started(Stack(f"{folder}/embedded", postgres, workers=2, gateways=3))
    yield stack
    assert stack.stop() == 0


@pytest.fixture(scope="session")
def on_kafka(folder, postgres, kafka):
    """The same on Apache Kafka."""
    stack = started(Stack(f"{folder}/on-kafka", postgres, kafka, workers=2, gateways=3))
    yield stack
    assert stack.stop() == 0


@pytest.fixture(params=["embedded", "kafka"])
def stack(request):
    """Each test that takes this runs on both brokers."""
    return request.getfixturevalue("embedded" if request.param == "embedded" else "on_kafka")


@pytest.fixture
def gateway(embedded):
    """A gateway for tests of the HTTP contract: `.url` is its address, `.stack` what is behind it."""
    class Gateway:
        url = embedded.url(1)
        stack = embedded
    return Gateway
