"""What the helpers share: arguments as JSON on standard input, an answer as JSON on standard output, Swift's disk layer."""
import json
import logging
import sys
import threading


def arguments():
    return json.load(sys.stdin)


def answer(value):
    json.dump(value, sys.stdout)
    sys.stdout.write("\n")


class Until:
    """Arguments in the first line of standard input; the work goes on until the input ends."""

    def __init__(self):
        self.arguments = json.loads(sys.stdin.readline())
        self._ended = False
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        sys.stdin.read()
        self._ended = True

    def goes_on(self):
        return not self._ended


def text(value):
    """Bytes as a string, one character a byte, so that what is not UTF-8 survives JSON."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return str(value)


def policy_and_manager(args):
    """Swift's own disk layer for one policy, with the node's settings."""
    from swift.common import utils

    utils.set_swift_dir(args["swift_dir"])
    from swift.common.storage_policy import POLICIES
    from swift.obj.diskfile import DiskFileRouter

    policy = POLICIES.get_by_index(args.get("policy", 0))
    policy.load_ring(args["swift_dir"])
    conf = {
        "devices": args["devices"],
        "mount_check": "false",
        "disable_fallocate": "true",
        "reclaim_age": str(args.get("reclaim_age", 604800)),
    }
    logging.disable(logging.CRITICAL)
    return policy, DiskFileRouter(conf, utils.get_logger(conf, log_route="lab"))[policy]
