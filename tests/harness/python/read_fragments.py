"""Reads the files of an object's directories with Swift's own reader of metadata.

In: {"swift_dir", "devices", "device", "directories": {name: directory on the device}}
Out: {name: {what the file is: {"md5", "metadata"}}}, where a file is the end of its name, without the time: "#0#d.data", ".ts"
"""
import hashlib
import os
import re

from lab import answer, arguments, policy_and_manager, text

args = arguments()
policy_and_manager(args)
# Only now: policies are read from swift.conf when this is imported.
from swift.obj.diskfile import read_metadata  # noqa: E402

found = {}
for name, directory in args["directories"].items():
    path = os.path.join(args["devices"], args["device"], directory)
    for file in sorted(os.listdir(path)) if os.path.isdir(path) else []:
        with open(os.path.join(path, file), "rb") as opened:
            content = opened.read()
        kind = re.sub(r"^[0-9]+\.[0-9]+(_[0-9a-f]+)?", "", file)
        found.setdefault(name, {})[kind] = {
            "md5": hashlib.md5(content).hexdigest(),
            "metadata": {text(key): text(value) for key, value in read_metadata(os.path.join(path, file)).items()},
        }
answer(found)
