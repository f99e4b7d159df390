"""Reads a device through Swift's own DiskFile: every object, and every partition's suffix hashes.

In: {"swift_dir", "devices", "device", "policy"}
Out: {"objects", "hashes", "rehashed", "damaged", "quarantined"}, see device_tree.py
"""
from device_tree import DeviceTree
from lab import answer, arguments, policy_and_manager

args = arguments()
policy, manager = policy_and_manager(args)
answer(DeviceTree(policy, manager, args["devices"], args["device"]).answer())
