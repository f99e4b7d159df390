"""Reads every file of a device, object or not, as it lies there, and unpickles answers to REPLICATE.

In: {"device": folder, "pickles": [hex]}
Out: {"files": {path from the device: {...}}, "pickles": [values]}. Random parts of names,
and process ids, are starred.
"""
import hashlib
import os
import pickle
import re

from lab import answer, arguments, text
from swift.obj.diskfile import read_metadata


def plain(value):
    """What a pickle holds, as JSON can hold it."""
    if isinstance(value, dict):
        return {text(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return text(value) if isinstance(value, (bytes, str)) else value


def read(path):
    with open(path, "rb") as file:
        content = file.read()
    if "async_pending" in path:
        value = plain(pickle.loads(content))
        value["headers"]["User-Agent"] = re.sub(r" \d+$", " *", value["headers"]["User-Agent"])
        return {"protocol": 0 if content[:1] != b"\x80" else content[1], "value": value}
    try:
        metadata = plain(read_metadata(path))
    except Exception as error:  # Whatever it is that Swift trips over.
        metadata = type(error).__name__
    return {"length": len(content), "md5": hashlib.md5(content).hexdigest(), "metadata": metadata}


args = arguments()
files = {}
for folder, _, names in os.walk(args["device"]):
    for name in names:
        path = os.path.join(folder, name)
        if name.startswith((".lock", "hashes.")):
            continue
        known = os.path.relpath(path, args["device"])
        known = re.sub(r"^(tmp[^/]*)/.*", r"\1/*", known)
        known = re.sub(r"^(quarantined/.*-)[0-9a-f]{32}/", r"\1*/", known)
        files[text(known)] = read(path)
answer({"files": files, "pickles": [plain(pickle.loads(bytes.fromhex(p))) for p in args["pickles"]]})
