"""Fixtures: a folder and the servers in it. A server that cannot be started is a failure, never a skip."""

import shutil
import tempfile

import pytest

from harness import S3, Kafka, Postgres


@pytest.fixture(scope="session")
def folder():
    path = tempfile.mkdtemp(prefix="helpdesk-e2e.")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(folder):
    server = Postgres(f"{folder}/pg")
    yield server
    server.remove()


@pytest.fixture(scope="session")
def kafka(folder):
    server = Kafka(f"{folder}/kafka")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3(folder):
    server = S3(f"{folder}/s3")
    yield server
    server.stop()
