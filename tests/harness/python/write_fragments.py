"""Spreads fragments of erasure-coded objects over the devices of several nodes, through Swift's own DiskFile.

In: {"swift_dir", "policy", "devices": {node: folder}, "device", "objects": {name: {"second", "post": second, "at": {place: state}}}}
where a place is "0", "1", ... (the primary of that fragment's index) or "handoff" (which gets the last index), and a state is
"durable", "pending" (without its mark), or "deleted". All objects are in one partition.
Out: {"nodes": {place: node}, "objects": {name: {"directory", "md5": [of each fragment]}}}
"""
import hashlib
import os
import random
import time

from lab import answer, arguments, policy_and_manager
from swift.common.utils import Timestamp, hash_path

args = arguments()
day = int(time.time()) - 86400
managers = {}
for node, folder in args["devices"].items():
    policy, managers[node] = policy_and_manager({**args, "devices": folder})
ring = policy.object_ring
account, container, device = "AUTH_test", "c", args["device"]


def name_in(partition, stem):
    """A name that falls into the partition."""
    names = ("%s-%d" % (stem, number) for number in range(10000))
    return next(name for name in names if ring.get_part(account, container, name) == partition)


PARTITION = 1
primaries = [str(node["id"] + 1) for node in ring.get_part_nodes(PARTITION)]
last = len(primaries) - 1
places = {str(index): node for index, node in enumerate(primaries)}
places["handoff"] = next(node for node in sorted(managers) if node not in primaries)


def put(disk_file, when, fragment, index, body, durable):
    with disk_file.create(size=len(fragment)) as writer:
        writer.write(fragment)
        writer.put({
            "X-Timestamp": when.internal,
            "Content-Type": "text/plain",
            "Content-Length": str(len(fragment)),
            "ETag": hashlib.md5(fragment).hexdigest(),
            "X-Object-Sysmeta-Ec-Frag-Index": str(index),
            "X-Object-Sysmeta-Ec-Etag": hashlib.md5(body).hexdigest(),
            "X-Object-Sysmeta-Ec-Content-Length": str(len(body)),
            "X-Object-Sysmeta-Ec-Scheme": policy.ec_scheme_description,
            "X-Object-Sysmeta-Ec-Segment-Size": str(policy.ec_segment_size),
        })
        if durable:
            writer.commit(when)


written = {}
for stem, spec in args["objects"].items():
    name = name_in(PARTITION, stem)
    body = random.Random(stem).randbytes(100_000)
    fragments = policy.pyeclib_driver.encode(body)
    when = Timestamp(day + spec["second"])
    for place, state in spec["at"].items():
        manager = managers[places[place]]
        disk_file = manager.get_diskfile(device, PARTITION, account, container, name, policy=policy, open_expired=True)
        index = last if place == "handoff" else int(place)
        if state == "deleted":
            disk_file.delete(Timestamp(day + spec["second"] + 50))
        else:
            put(disk_file, when, fragments[index], index, body, state == "durable")
        if "post" in spec:
            disk_file.write_metadata({"X-Timestamp": Timestamp(day + spec["post"]).internal, "X-Object-Meta-A": "1"})
    hashed = hash_path(account, container, name)
    written[stem] = {
        "directory": os.path.join("objects-%d" % int(policy), str(PARTITION), hashed[-3:], hashed),
        "md5": [hashlib.md5(fragment).hexdigest() for fragment in fragments],
    }
answer({"nodes": {place: int(node) for place, node in places.items()}, "objects": written})
