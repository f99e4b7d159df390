"""Names objects that lie in one partition. In: {"swift_dir", "policy", "partition", "count", "prefix"}. Out: [{"path", "hash"}]."""
from lab import answer, arguments
from swift.common import utils

args = arguments()
utils.set_swift_dir(args["swift_dir"])
from swift.common.storage_policy import POLICIES  # noqa: E402

policy = POLICIES.get_by_index(args["policy"])
policy.load_ring(args["swift_dir"])
found, number = [], 0
while len(found) < args["count"]:
    name = "%s%d" % (args.get("prefix", "located-"), number)
    number += 1
    if policy.object_ring.get_part("AUTH_test", "c", name) == args["partition"]:
        found.append({"path": "/AUTH_test/c/" + name, "hash": utils.hash_path("AUTH_test", "c", name)})
answer(found)
