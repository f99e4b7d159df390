"""Writes objects to a device through Swift's DiskFile and pushes them by Swift's ssync sender, until standard input ends.

In (one line): {"swift_dir", "devices", "device", "policy", "objects": {path: partition}, "seed", "tick": the last digit of
its timestamps, "targets": [{"ip", "port", "device"}]}
Out: {"tried": [[path, timestamp, kind, length]], "pushed": [...] of these, what a session that succeeded has carried,
"sessions": for each target how many succeeded, "failed": how many did not}
"""
import hashlib
import logging
import random
import time
from types import SimpleNamespace

from lab import Until, answer, policy_and_manager
from swift.common.utils import Timestamp

until = Until()
args = until.arguments
policy, manager = policy_and_manager(args)
# Only now: policies are read from swift.conf when this is imported.
from swift.obj.ssync_sender import Sender  # noqa: E402

chance = random.Random(args["seed"])
daemon = SimpleNamespace(
    conn_timeout=5, node_timeout=30, http_timeout=30, network_chunk_size=65536, _df_router={policy: manager},
    logger=logging.getLogger("lab"))
last = 0
tried, pushed = [], []
sessions = [0] * len(args["targets"])
failed = 0


def now():
    """Like the other writers' clocks, but never the same tick."""
    global last
    last = max(last + 10, int(time.time() * 100000) // 10 * 10)
    return Timestamp((last + args["tick"]) / 100000.0)


def write(path, partition):
    when = now()
    disk_file = manager.get_diskfile(args["device"], partition, *path.split("/", 3)[1:], policy=policy)
    if chance.random() < 0.2 and "-kept-" not in path:
        disk_file.delete(when)
        return [path, when.internal, "tombstone", 0]
    body = (when.internal + path).encode() * chance.randrange(1, 60)
    with disk_file.create(size=len(body)) as writer:
        writer.write(body)
        writer.put({
            "X-Timestamp": when.internal, "Content-Type": "text/plain", "Content-Length": str(len(body)),
            "ETag": hashlib.md5(body).hexdigest(), "X-Object-Meta-Written": when.internal})
        writer.commit(when)
    return [path, when.internal, "data", len(body)]


turn = 0
paths = sorted(args["objects"])
while until.goes_on():
    turn += 1
    partition = chance.choice(sorted(set(args["objects"].values())))
    written = [write(path, partition) for path in chance.sample(paths, min(12, len(paths)))
               if args["objects"][path] == partition]
    tried += written
    number = turn % len(args["targets"])
    target = args["targets"][number]
    node = {"replication_ip": target["ip"], "replication_port": target["port"], "device": target["device"],
            "ip": target["ip"], "port": target["port"], "index": 0}
    suffixes = [suffix for suffix in manager.get_hashes(args["device"], str(partition), [], policy)]
    job = {"device": args["device"], "partition": str(partition), "policy": policy}
    success, _ = Sender(daemon, node, job, suffixes)()
    if success and suffixes:
        sessions[number] += 1
        pushed += written
    else:
        failed += 1
answer({"tried": tried, "pushed": pushed, "sessions": sessions, "failed": failed})
