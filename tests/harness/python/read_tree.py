"""Reads a device through Swift's own DiskFile: every object, and every partition's suffix hashes.

In: {"swift_dir", "devices", "device", "policy"}
Out: {"objects": {path: {...}}, "hashes": {partition: {suffix: hash}} as they stand in hashes.pkl after Swift has
brought them up to date, "rehashed": the same calculated from the files, "damaged": [what could not be read],
"quarantined": [names]}
"""
import hashlib
import os

from lab import answer, arguments, policy_and_manager, text

args = arguments()
policy, manager = policy_and_manager(args)
# Only now: policies are read from swift.conf when this is imported.
from swift.common.exceptions import DiskFileDeleted  # noqa: E402
from swift.common.storage_policy import get_policy_string  # noqa: E402
from swift.obj.diskfile import read_metadata  # noqa: E402

device = args["device"]
datadir = os.path.join(args["devices"], device, get_policy_string("objects", policy))


def listing(path):
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def metadata(items):
    return {text(name): text(value) for name, value in items.items()} if items is not None else None


def read(partition, directory, files):
    newest = os.path.join(directory, files[0])
    name = read_metadata(newest)["name"]
    account, container, obj = name.split("/", 3)[1:]
    expected = os.path.basename(directory)
    disk_file = manager.get_diskfile(device, partition, account, container, obj, policy=policy, open_expired=True)
    assert os.path.basename(disk_file._datadir) == expected, "stands in %s, belongs in %s" % (
        directory, disk_file._datadir)
    entry = {"files": files, "partition": partition}
    try:
        with disk_file.open():
            entry.update(
                kind="data",
                data=metadata(disk_file.get_datafile_metadata()),
                meta=metadata(disk_file.get_metafile_metadata()),
                merged=metadata(disk_file.get_metadata()),
                timestamp=disk_file.timestamp.internal,
                data_timestamp=disk_file.data_timestamp.internal,
                content_type_timestamp=disk_file.content_type_timestamp.internal,
            )
            digest = hashlib.md5()
            length = 0
            # Swift's reader moves what does not match its ETag to quarantine when it is closed.
            for chunk in disk_file.reader():
                digest.update(chunk)
                length += len(chunk)
            entry.update(md5=digest.hexdigest(), length=length)
            assert entry["md5"] == entry["data"]["ETag"], "ETag %s, content %s" % (entry["data"]["ETag"], entry["md5"])
    except DiskFileDeleted as error:
        entry.update(kind="tombstone", timestamp=error.timestamp.internal, meta=metadata(error.metadata))
    return text(name), entry


objects, damaged, hashes, rehashed = {}, [], {}, {}
for partition in listing(datadir):
    if not partition.isdigit():
        continue
    suffixes = [s for s in listing(os.path.join(datadir, partition)) if len(s) == 3]
    for suffix in suffixes:
        for object_hash in listing(os.path.join(datadir, partition, suffix)):
            directory = os.path.join(datadir, partition, suffix, object_hash)
            files = sorted(listing(directory), reverse=True)
            if not files:
                continue
            try:
                name, entry = read(partition, directory, files)
                objects[name] = entry
            except Exception as error:  # Whatever it is that Swift trips over.
                damaged.append("%s: %s: %s" % (directory, type(error).__name__, error))

    def as_text(suffix_hash):
        # Of an erasure-coded policy: one for each fragment, and one for what is no fragment.
        if isinstance(suffix_hash, dict):
            return ", ".join(sorted("%s: %s" % item for item in suffix_hash.items()))
        return suffix_hash

    def only_hashes(found):
        return {s: as_text(h) for s, h in found.items() if len(s) == 3 and h is not None}

    hashes[partition] = only_hashes(manager.get_hashes(device, partition, [], policy))
    rehashed[partition] = only_hashes(manager.get_hashes(device, partition, suffixes, policy))
    if not hashes[partition] and not rehashed[partition]:
        del hashes[partition], rehashed[partition]
answer({
    "objects": objects,
    "hashes": hashes,
    "rehashed": rehashed,
    "damaged": damaged,
    "quarantined": listing(os.path.join(args["devices"], device, "quarantined", os.path.basename(datadir))),
})
