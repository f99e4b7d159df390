"""Runs a stock Swift program with its configuration in a folder of the test's own in place of /etc/swift.

Usage: run.py SWIFT_DIR PROGRAM ARGUMENT...

Swift's daemons look for swift.conf in /etc/swift whatever `swift_dir` says; this moves it before they start.
"""
import os
import runpy
import sys

swift_dir, program = sys.argv[1:3]

from swift.common import utils  # noqa: E402

utils.set_swift_dir(swift_dir)

from swift.common.ring import Ring  # noqa: E402

load = Ring.__init__


def load_from_here(self, folder, *args, **kwargs):
    # The auditor's watcher of dark data looks for the ring of containers nowhere else.
    load(self, swift_dir if folder == "/etc/swift" else folder, *args, **kwargs)


Ring.__init__ = load_from_here
sys.argv = sys.argv[2:]
runpy.run_path(os.path.join(os.path.dirname(sys.executable), program), run_name="__main__")
