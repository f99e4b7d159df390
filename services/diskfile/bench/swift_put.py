"""PUTs through Swift's own DiskFile by several processes; prints the seconds it took and the CPU seconds.

Arguments: devices directory (with a device sda), writers, objects, bytes of each, part power.
"""
import hashlib
import logging
import os
import sys
import tempfile
import time

devices, (writers, objects, size, power) = sys.argv[1], map(int, sys.argv[2:6])
swift_dir = tempfile.TemporaryDirectory()
with open(os.path.join(swift_dir.name, "swift.conf"), "w") as conf:
    conf.write("[swift-hash]\nswift_hash_path_prefix = changeme\nswift_hash_path_suffix = changeme\n")



def disk_layer():
    """Each process has its own, made after the fork as Swift's workers make theirs: an event loop is not to be shared."""
    from swift.common import utils

    utils.set_swift_dir(swift_dir.name)
    from swift.common.storage_policy import POLICIES
    from swift.common.utils import Timestamp
    from swift.obj.diskfile import DiskFileRouter

    logging.disable(logging.CRITICAL)
    conf = {"devices": devices, "mount_check": "false"}
    return utils, POLICIES, Timestamp, DiskFileRouter(conf, utils.get_logger(conf, log_route="bench"))[POLICIES[0]]


body = b"x" * size


def put(number, layer):
    utils, POLICIES, Timestamp, manager = layer
    name = ("AUTH_test", "c", "object-%d" % number)
    partition = int(utils.hash_path(*name)[:8], 16) >> (32 - power)
    when = Timestamp.now()
    with manager.get_diskfile("sda", partition, *name, policy=POLICIES[0]).create(size=size) as writer:
        writer.write(body)
        writer.put({
            "X-Timestamp": when.internal,
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size),
            "ETag": hashlib.md5(body).hexdigest(),
        })
        writer.commit(when)


def write(first, ready, go):
    layer = disk_layer()
    os.write(ready, b".")
    os.read(go, 1)
    began = time.process_time()
    for number in range(first, objects, writers):
        put(number, layer)
    return time.process_time() - began


os.sync()
(ready, is_ready), (go, start), (results, result) = os.pipe(), os.pipe(), os.pipe()
children = []
for first in range(writers):
    child = os.fork()
    if child == 0:
        try:
            os.write(result, b"%f\n" % write(first, is_ready, go))
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            # Nobody is to wait for it.
            os.write(is_ready, b".")
            os._exit(1)
        os._exit(0)
    children.append(child)
for _ in children:
    os.read(ready, 1)
began = time.monotonic()
os.write(start, b"." * writers)
failed = [child for child in children if os.waitpid(child, 0)[1]]
wall = time.monotonic() - began
if failed:
    sys.exit("a writer failed")
os.close(result)
print(wall, sum(map(float, os.fdopen(results).read().split())))
