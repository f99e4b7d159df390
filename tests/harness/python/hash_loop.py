"""Asks Swift's DiskFileManager for suffix hashes, as its replicator does, until standard input ends.

In (one line): {"swift_dir", "devices", "device", "policy", "partitions"}
Out: {"calls", "changed": suffixes calculated anew, "errors"}
"""
from lab import Until, answer, policy_and_manager

until = Until()
args = until.arguments
policy, manager = policy_and_manager(args)
calls, changed, errors = 0, 0, []
while until.goes_on():
    for partition in args["partitions"]:
        calls += 1
        try:
            # The private name is the one that the replicator calls.
            hashed, _ = manager._get_hashes(args["device"], str(partition), policy, do_listdir=calls % 7 == 0)
            changed += hashed
        except Exception as error:  # Whatever it is that Swift trips over.
            errors.append("%s: %s" % (type(error).__name__, error))
answer({"calls": calls, "changed": changed, "errors": errors})
