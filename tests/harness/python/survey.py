"""Reads all devices of a cluster with what Swift has for it: DiskFile, get_hashes, swift-get-nodes, swift-object-info.

In: {"swift_dir", "policy", "nodes": [{"address", "devices": folder, "names": [device, ...]}], "paths": [...]}
Out: {"devices": {address: {device: what device_tree.py says}},
      "primaries": {path: [[address, device] of each replica]},
      "complaints": [what swift-object-info has against a file]}
"""
import contextlib
import io
import os

from device_tree import DeviceTree
from lab import answer, arguments, policy_and_manager

args = arguments()


def print_out(what, *arguments, **more):
    """What one of Swift's own tools prints."""
    from swift.cli.info import InfoSystemExit

    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            what(*arguments, **more)
    except InfoSystemExit as error:
        return "%s\nInfoSystemExit: %s" % (printed.getvalue(), error)
    return printed.getvalue()


def complaints(tree):
    """swift-object-info reads every data file, and compares it with its ETag."""
    from swift.cli.info import print_obj

    for path, entry in tree.objects.items():
        account, container, name = path.split("/", 3)[1:]
        disk_file = manager.get_diskfile(device, entry["partition"], account, container, name, policy=policy)
        for file in entry["files"]:
            if not file.endswith(".data"):
                continue
            said = print_out(print_obj, os.path.join(disk_file._datadir, file), swift_dir=args["swift_dir"])
            good = ["Path: " + path, "ETag: %s (valid)" % entry["md5"], "Content-Length: %d (valid)" % entry["length"]]
            missing = [line for line in good if line not in said]
            if missing:
                yield "%s: %s of %s: no %r in %s" % (node["address"], file, path, missing, said)


devices, complained = {}, []
for node in args["nodes"]:
    policy, manager = policy_and_manager(dict(args, devices=node["devices"]))
    for device in node["names"]:
        tree = DeviceTree(policy, manager, node["devices"], device)
        devices.setdefault(node["address"], {})[device] = tree.answer()
        complained.extend(complaints(tree))


def primaries(path):
    part, nodes = policy.object_ring.get_nodes(*path.split("/", 3)[1:])
    return [[node["ip"], node["device"]] for node in nodes]


answer({"devices": devices, "primaries": {path: primaries(path) for path in args["paths"]}, "complaints": complained})
