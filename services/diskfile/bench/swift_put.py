"""PUTs through Swift's own DiskFile by several processes; prints the seconds it took and the CPU seconds.

Arguments: devices directory (with a device sda), writers, objects, bytes of each, part power.
"""
import hashlib
import logging
import os
import resource
import sys
import tempfile
import time

devices, (writers, objects, size, power) = sys.argv[1], map(int, sys.argv[2:6])
swift_dir = tempfile.TemporaryDirectory()
with open(os.path.join(swift_dir.name, "swift.conf"), "w") as conf:
    conf.write("[swift-hash]\nswift_hash_path_prefix = changeme\nswift_hash_path_suffix = changeme\n")

from swift.common import utils

utils.set_swift_dir(swift_dir.name)
from swift.common.storage_policy import POLICIES
from swift.common.utils import Timestamp
from swift.obj.diskfile import DiskFileRouter

logging.disable(logging.CRITICAL)
conf = {"devices": devices, "mount_check": "false"}
manager = DiskFileRouter(conf, utils.get_logger(conf, log_route="bench"))[POLICIES[0]]
body = b"x" * size


def put(number):
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


os.sync()
began = time.monotonic()
children = []
for first in range(writers):
    child = os.fork()
    if child == 0:
        try:
            for number in range(first, objects, writers):
                put(number)
        except BaseException as error:
            print(error, file=sys.stderr)
            os._exit(1)
        os._exit(0)
    children.append(child)
failed = [child for child in children if os.waitpid(child, 0)[1]]
wall = time.monotonic() - began
if failed:
    sys.exit("a writer failed")
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(wall, used.ru_utime + used.ru_stime)
