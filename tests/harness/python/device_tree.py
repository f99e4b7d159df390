"""A device as Swift's own DiskFile reads it: every object, and every partition's suffix hashes."""
import hashlib
import os

from lab import text


def listing(path):
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def metadata(items):
    return {text(name): text(value) for name, value in items.items()} if items is not None else None


class DeviceTree:
    """`objects`: {path: {...}}; `hashes`: {partition: {suffix: hash}} as they stand in hashes.pkl after Swift has brought them
    up to date; `rehashed`: the same calculated from the files; `damaged`: what could not be read."""

    def __init__(self, policy, manager, devices, device):
        # Only now: policies are read from swift.conf when this is imported.
        from swift.common.storage_policy import get_policy_string

        self._policy, self._manager, self._device = policy, manager, device
        self.datadir = os.path.join(devices, device, get_policy_string("objects", policy))
        self.objects, self.damaged, self.hashes, self.rehashed = {}, [], {}, {}
        for partition in listing(self.datadir):
            if partition.isdigit():
                self._read_partition(partition)
        # Reading moves there what does not match its ETag.
        self.quarantined = listing(os.path.join(devices, device, "quarantined", os.path.basename(self.datadir)))

    def _read_partition(self, partition):
        suffixes = [s for s in listing(os.path.join(self.datadir, partition)) if len(s) == 3]
        for suffix in suffixes:
            for object_hash in listing(os.path.join(self.datadir, partition, suffix)):
                directory = os.path.join(self.datadir, partition, suffix, object_hash)
                files = sorted(listing(directory), reverse=True)
                if not files:
                    continue
                try:
                    name, entry = self._read(partition, directory, files)
                    self.objects[name] = entry
                except Exception as error:  # Whatever it is that Swift trips over.
                    self.damaged.append("%s: %s: %s" % (directory, type(error).__name__, error))
        hashes = self._hashes(partition, [])
        rehashed = self._hashes(partition, suffixes)
        if hashes or rehashed:
            self.hashes[partition], self.rehashed[partition] = hashes, rehashed

    def _hashes(self, partition, recalculate):
        found = self._manager.get_hashes(self._device, partition, recalculate, self._policy)
        return {s: as_text(h) for s, h in found.items() if len(s) == 3 and h is not None}

    def _read(self, partition, directory, files):
        from swift.common.exceptions import DiskFileDeleted
        from swift.obj.diskfile import read_metadata

        newest = os.path.join(directory, files[0])
        name = read_metadata(newest)["name"]
        account, container, obj = name.split("/", 3)[1:]
        expected = os.path.basename(directory)
        disk_file = self._manager.get_diskfile(
            self._device, partition, account, container, obj, policy=self._policy, open_expired=True)
        assert os.path.basename(disk_file._datadir) == expected, "stands in %s, belongs in %s" % (
            directory, disk_file._datadir)
        entry = {"files": files, "partition": partition, "directory": os.path.relpath(directory, self.datadir)}
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
                etag = entry["data"]["ETag"]
                assert entry["md5"] == etag, "ETag %s, content %s" % (etag, entry["md5"])
        except DiskFileDeleted as error:
            entry.update(kind="tombstone", timestamp=error.timestamp.internal, meta=metadata(error.metadata))
        return text(name), entry

    def answer(self):
        return {name: getattr(self, name) for name in ("objects", "hashes", "rehashed", "damaged", "quarantined")}


def as_text(suffix_hash):
    # Of an erasure-coded policy: one for each fragment, and one for what is no fragment.
    if isinstance(suffix_hash, dict):
        return ", ".join(sorted("%s: %s" % item for item in suffix_hash.items()))
    return suffix_hash
