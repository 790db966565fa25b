"""Three brokers, replication 3: each bounced, leaders and coordinators moved, under load from publishers and users."""

import pytest
from confluent_kafka.admin import AdminClient
from checker import READ_BY
from harness import Kafka, wait_until
from load import Users
from trial import scaled

NODES = 3


@pytest.fixture(scope="module")
def cluster(folder):
    server = Kafka(f"{folder}/cluster", NODES)
    yield server
    server.stop()


def leaders(cluster, topic):
    """Leader of each partition; -1 while there is none."""
    found = AdminClient({"bootstrap.servers": cluster.address}).list_topics(topic, 20).topics[topic].partitions
    return {number: partition.leader for number, partition in found.items()}


def java_hash(text):
    value = 0
    for byte in text.encode("latin-1"):
        value = (31 * value + byte) & 0xFFFFFFFF
    return value


def leads(one):
    """Who leads the partitions of tickets and coordinates the groups (leads their partition of __consumer_offsets)."""
    cluster, offsets = one.fleet.kafka, leaders(one.fleet.kafka, "__consumer_offsets")
    found = {f"tickets.submitted/{number}": node for number, node in leaders(cluster, one.fleet.topic("tickets.submitted")).items()}
    for group in READ_BY:
        found[group] = offsets[(java_hash(one.fleet.prefix + group) & 0x7FFFFFFF) % len(offsets)]
    return found


def all_in_sync(cluster):
    topics = AdminClient({"bootstrap.servers": cluster.address}).list_topics(timeout=20).topics.values()
    return all(len(partition.isrs) == NODES for topic in topics for partition in topic.partitions.values())


def test_bounced_brokers(trial, cluster):
    """Nothing is lost, and users see nothing worse than 503 with Retry-After."""
    roles = {"gateway": 2, "classifier": 2, "retriever": 2, "generator": 2, "logger": 1}
    one = trial(cluster, roles)
    users = Users(one.history, one.fleet, [1, 2], threads=4)
    bounces = scaled([(1, "TERM"), (2, "KILL")],
                     [(node, "TERM" if (node + round_) % 2 else "KILL") for round_ in range(4) for node in (1, 2, 3)])
    moved = 0
    for node, how in bounces:
        one.send(scaled(150, 600))
        wait_until("all replicas in sync", 120, lambda: all_in_sync(cluster))
        held = leads(one)
        one.history.add("kill", role=f"broker {node}", how=how, in_flight=0)
        cluster.stop_node(node, how)
        one.send(scaled(150, 600))
        wait_until(f"broker {node} leads nothing", 120, lambda n=node: n not in leads(one).values())
        moved += sum(leader == node for leader in held.values())
        cluster.start_node(node)
    wait_until("all replicas in sync", 120, lambda: all_in_sync(cluster))
    users.stop()
    assert moved >= len(bounces), f"only {moved} leaders and coordinators moved"
    one.report(one.finish(users, may_exit=True), bounces=len(bounces), moved=moved)
