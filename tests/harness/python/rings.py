"""Makes rings with Swift's RingBuilder.

In: {"dir", "rings": [{"policy" (or "name": account or container), "part_power", "replicas", "format",
"devices": [{"ip", "port", "replication_port" (or "port"), "device", "weight"}], "grow": the builder's methods for a larger part_power, in order}]}
Out: {policy: {partition: [index of the device of each replica, ...]}}
"""
import os

from lab import answer, arguments
from swift.common.ring import RingBuilder

args = arguments()
assignments = {}
for spec in args["rings"]:
    builder = RingBuilder(spec["part_power"], spec["replicas"], 0)
    for index, device in enumerate(spec["devices"]):
        builder.add_dev({
            "id": index,
            "region": device.get("region", 1),
            "zone": index + 1,
            "weight": device["weight"],
            "ip": device["ip"],
            "port": device["port"],
            "replication_ip": device["ip"],
            "replication_port": device.get("replication_port", device["port"]),
            "device": device["device"],
            "meta": "",
        })
    builder.rebalance(seed=7)
    for step in spec.get("grow", []):
        getattr(builder, step)()
    name = spec.get("name") or ("object-%d" % spec["policy"]).removesuffix("-0")
    ring = builder.get_ring()
    # What swift-ring-builder goes on from.
    builder.save(os.path.join(args["dir"], name + ".builder"))
    ring.save(os.path.join(args["dir"], name + ".ring.gz"), format_version=spec.get("format", 1))
    assignments[str(spec.get("policy", name))] = {
        str(part): [ring._replica2part2dev_id[replica][part] for replica in range(spec["replicas"])]
        for part in range(2 ** builder.part_power)
    }
answer(assignments)
