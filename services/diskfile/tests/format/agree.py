"""Checks every example of docs/disk-format.md against stock Swift. Argument: the document. Prints how many examples of
each kind agree; exits with 1 and says where when one does not."""
import binascii
import collections
import errno
import hashlib
import logging
import os
import pickle
import pickletools
import re
import sys
import tempfile
import time
from unittest import mock

from swift.common import storage_policy, utils
from swift.common.exceptions import DiskFileError
from swift.common.header_key_dict import HeaderKeyDict
from swift.common.storage_policy import ECStoragePolicy, StoragePolicy, StoragePolicyCollection
from swift.common.utils import Timestamp
from swift.obj import diskfile, replicator, updater

DATA_TIME = "1380144470.00000"
POST_TIME = "1380144472.22222"
TYPE_TIME = "1380144471.11111"
NAME = "/AUTH_test/c/o"
FRAGMENTS = (4, 2)
NEVER = str(10 ** 10)


# The document.

def blocks(text):
    """(kind, arguments, lines) of each fenced block with a tag."""
    found, current = [], None
    for line in text.splitlines():
        if current is not None:
            if line == "```":
                current = None
            else:
                current.append(line)
        elif line.startswith("```text format "):
            kind, *args = line.split()[2:]
            current = []
            found.append((kind, args, current))
        elif line.startswith("```"):
            current = []
    return found


def table(lines):
    """Rows of columns that two spaces or more divide; the first line is their names."""
    return [re.split(r"  +", line.strip()) for line in lines[1:]]


def cases(lines):
    """(title, rows) of each part that begins with `# title`."""
    found = []
    for line in lines:
        if line.startswith("# "):
            found.append((line[2:], []))
        elif line.strip():
            found[-1][1].append(re.split(r"  +", line.strip()))
    return found


def unescape(text):
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode("ascii"))


def dump(lines):
    """(offset, bytes, note) of each row of a hexdump."""
    rows = []
    for line in lines:
        match = re.fullmatch(r"([0-9a-f]{4})  ((?:[0-9a-f]{2} )*[0-9a-f]{2})(?:  +(.*))?", line)
        assert match, "no row of a dump: %r" % line
        rows.append((int(match[1], 16), bytes.fromhex(match[2]), match[3] or ""))
    return rows


def metadata_of(name):
    """As Swift holds it in memory: every byte of a header is a character; the name is text."""
    (lines,) = [lines for kind, args, lines in DOCUMENT if kind == "metadata" and args == [name]]
    found = {}
    for line in lines:
        key, value = unescape(line).split(b": ", 1)
        found[key.decode("latin-1")] = value.decode("utf-8" if key == b"name" else "latin-1")
    return found


def same(found, expected, where=""):
    assert found == expected, "%s\n  Swift:    %r\n  document: %r" % (where, found, expected)


# Swift.

POLICIES = StoragePolicyCollection([
    StoragePolicy(0, "whole", is_default=True),
    ECStoragePolicy(1, "coded", ec_type="liberasurecode_rs_vand", ec_ndata=FRAGMENTS[0], ec_nparity=FRAGMENTS[1]),
])
KINDS = {"replication": (POLICIES[0], diskfile.DiskFileManager), "fragments": (POLICIES[1], diskfile.ECDiskFileManager)}


class Device:
    """A device `sda` in a temporary directory."""

    def __init__(self, **conf):
        self.root = tempfile.TemporaryDirectory(dir=os.environ.get("SSYNC_TEST_DISK"))
        self.path = os.path.join(self.root.name, "sda")
        os.mkdir(self.path)
        self.conf = {"devices": self.root.name, "mount_check": "false", "reclaim_age": NEVER, **conf}

    def manager(self, kind):
        return KINDS[kind][1](self.conf, utils.get_logger({}))

    def file(self, kind, name=NAME, **options):
        return self.manager(kind).get_diskfile(
            "sda", str(placed(name)[0]), *name.split("/", 3)[1:], policy=KINDS[kind][0], **options)

    def put(self, kind, metadata, body, name=NAME, fragment=None, **options):
        disk_file = self.file(kind, name, **options, **({} if fragment is None else {"frag_index": fragment}))
        metadata = {key: value for key, value in metadata.items() if key != "name"}
        if fragment is not None:
            metadata["X-Object-Sysmeta-Ec-Frag-Index"] = str(fragment)
        with disk_file.create(size=len(body)) as writer:
            writer.write(body)
            writer.put(metadata)
            writer.commit(Timestamp(metadata["X-Timestamp"]))
        return disk_file

    def tree(self):
        found = set()
        for top, folders, files in os.walk(self.path):
            below = os.path.relpath(top, self.path)
            found.update(os.path.normpath(os.path.join(below, name)) + "/" for name in folders)
            found.update(os.path.normpath(os.path.join(below, name)) for name in files)
        return found


def placed(name, power=10):
    digest = utils.hash_path(*name.split("/", 3)[1:])
    return utils.get_partition_for_hash(digest, power), digest


def text_of(timestamp):
    return "-" if timestamp is None else timestamp.internal


# One function for each kind of example. Each gives how many it checked.

def check_tree(args, lines):
    drawn, above = set(), []
    for line in lines:
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        above[depth:] = [name]
        drawn.add("".join(above))
    device = Device(replication_concurrency_per_device="2")
    device.put("replication", metadata_of("data"), b"hello, world")
    device.file("replication").write_metadata({k: v for k, v in metadata_of("meta").items() if k != "name"})
    device.put("fragments", metadata_of("data"), b"hello, world", fragment=3)
    device.put("replication", metadata_of("data"), b"hello, world", name="/AUTH_test/c/damaged")
    partition, damaged = placed("/AUTH_test/c/damaged")
    manager = device.manager("replication")
    diskfile.quarantine_dir_renamer(
        device.path, os.path.join(device.path, "objects", str(partition), damaged[-3:], damaged))
    for number in (312, partition):
        manager.get_hashes("sda", str(number), [], POLICIES[0])
    with manager.replication_lock("sda", POLICIES[0], "312"):
        pass
    diskfile.update_auditor_status(os.path.join(device.path, "objects"), logging, [], "ALL")
    manager.pickle_async_update("sda", "AUTH_test", "c", "o", {}, DATA_TIME, POLICIES[0])
    found = device.tree()
    same(sorted(found ^ drawn), [])
    return len(drawn)


def check_pending(args, lines):
    said = updater.unpickle("\n".join(lines).encode("latin-1"))
    headers = HeaderKeyDict({
        "x-size": "12", "x-content-type": "text/plain", "x-timestamp": DATA_TIME,
        "x-etag": hashlib.md5(b"hello, world").hexdigest()})
    update = {"op": "PUT", "account": "AUTH_test", "container": "c", "obj": "o", "headers": headers, "db_state": None}
    device = Device()
    device.manager("replication").pickle_async_update("sda", "AUTH_test", "c", "o", update, DATA_TIME, POLICIES[0])
    (written,) = [name for name in device.tree() if name.startswith("async_pending") and not name.endswith("/")]
    with open(os.path.join(device.path, written), "rb") as file:
        kept = updater.unpickle(file.read())
    same(said, kept)
    same(kept, update)
    return len(lines)


def check_hash(args, lines):
    with mock.patch.object(utils, "HASH_PATH_PREFIX", args[0].encode()), \
            mock.patch.object(utils, "HASH_PATH_SUFFIX", args[1].encode()):
        for path, digest, partition, suffix in table(lines):
            name = unescape(path).decode("utf-8")
            same(placed(name, int(args[2])), (int(partition), digest), path)
            same(digest[-3:], suffix)
    return len(lines) - 1


def check_timestamps(args, lines):
    for text, ticks, offset, normal, internal, short in table(lines):
        read = Timestamp(text)
        same((read.raw, read.offset, read.normal, read.internal, read.short),
             (int(ticks), int(offset), normal, internal, short), text)
    return len(lines) - 1


def check_timestamps_refused(args, lines):
    for text, _ in table(lines):
        try:
            Timestamp(text)
        except ValueError:
            continue
        raise AssertionError("Swift reads %r" % text)
    return len(lines) - 1


def check_names(args, lines):
    device = Device()
    policy, manager = KINDS[args[0]][0], device.manager(args[0])
    for name, kind, who, when, content_type, fragment, durable in table(lines):
        read = manager.parse_on_disk_filename(name, policy)
        same({".data": "fragment" if read.get("frag_index") is not None else "body",
              ".ts": "tombstone", ".meta": "metadata", ".durable": "mark"}.get(read["ext"], "other"), kind, name)
        same((text_of(read["timestamp"]), text_of(read["ctype_timestamp"])), (when, content_type), name)
        index = read.get("frag_index")
        same("-" if index is None else str(index), fragment, name)
        same("yes" if read.get("durable") else "-", durable, name)
        options = {} if index is None else {"frag_index": index, "durable": read["durable"]}
        written = manager.make_on_disk_filename(
            read["timestamp"], read["ext"], ctype_timestamp=read["ctype_timestamp"], **options) \
            if read["ext"] in (".data", ".meta", ".ts") else None
        same("written" if written == name else "read", who, name)
    return len(lines) - 1


def check_names_refused(args, lines):
    device = Device()
    for name, _ in table(lines):
        try:
            read = device.manager(args[0]).parse_on_disk_filename(name, KINDS[args[0]][0])
        except DiskFileError:
            continue
        raise AssertionError("Swift reads %r as %r" % (name, read))
    return len(lines) - 1


def check_order(args, lines):
    rows = table(lines)
    names = [row[0] for row in rows]
    same(sorted(names), names, "byte order")
    for name, when in rows:
        kind = "fragments" if "#" in name else "replication"
        same(Device().manager(kind).parse_on_disk_filename(name, KINDS[kind][0])["timestamp"].internal, when, name)
    return len(rows)


def roles(found, names):
    words = collections.defaultdict(list)
    for key, word in (("data_info", "data"), ("meta_info", "meta"), ("ctype_info", "type"), ("ts_info", "tombstone")):
        if found.get(key):
            words[found[key]["filename"]].append(word)
    if found.get("durable_frag_set"):
        for info in found["durable_frag_set"]:
            words[info["filename"]].append("durable")
    for key, word in (("obsolete", "obsolete"), ("possible_reclaim", "stray")):
        for info in found.get(key, []):
            words[info["filename"]].append(word)
    for path in found.get("unexpected", []):
        words[os.path.basename(path)].append("unexpected")
    return {name: ", ".join(words[name]) or "kept" for name in names}


def check_files(args, lines):
    manager, policy = Device().manager(args[0]), KINDS[args[0]][0]
    options = dict(word.split("=") for word in args[1:])
    wanted = {}
    if "index" in options:
        wanted["frag_index"] = int(options["index"])
    if "prefer" in options:
        wanted["frag_prefs"] = []
    for title, rows in cases(lines):
        names = [row[0] for row in rows]
        found = manager.get_ondisk_files(
            sorted(names, reverse=True), "/nowhere", policy=policy, **wanted)
        same(roles(found, names), {row[0]: row[1] for row in rows}, title)
    return len(cases(lines))


def check_dump_notes(rows):
    """Every row is whole instructions, named in order, or a text's own bytes."""
    raw = b"".join(part for _, part, _ in rows)
    # A row's place, and what pickletools finds there.
    starts, at = {}, 0
    for offset, part, note in rows:
        same(offset, at, "offset")
        starts[at] = (part, note)
        at += len(part)
    names = collections.defaultdict(list)
    row = 0
    offsets = sorted(starts)
    for opcode, arg, position in pickletools.genops(raw):
        while row + 1 < len(offsets) and offsets[row + 1] <= position:
            row += 1
        if opcode.name == "BINUNICODE":
            arg = len(arg.encode("utf-8", "surrogatepass"))
        elif opcode.name == "SHORT_BINSTRING":
            arg = raw[position + 1]
        names[offsets[row]].append(opcode.name if arg is None else
                                   "%s %s" % (opcode.name, arg))
    for offset in offsets:
        part, note = starts[offset]
        if note.startswith('"'):
            same(names[offset], [], "0x%04x is text" % offset)
            same(part, unescape(note[1:note.rindex('"')]), "text at 0x%04x" % offset)
        else:
            same(", ".join(names[offset]), note.split(";")[0].strip(), "instructions at 0x%04x" % offset)


def check_xattr(args, lines):
    rows = dump(lines)
    check_dump_notes(rows)
    raw = b"".join(part for _, part, _ in rows)
    (name,) = args
    expected = metadata_of("data" if name == "python2" else name)
    with tempfile.NamedTemporaryFile(dir=os.environ.get("SSYNC_TEST_DISK")) as file:
        if name != "python2":
            diskfile.write_metadata(file.fileno(), expected)
            same(os.getxattr(file.name, "user.swift.metadata"), raw, "what Swift writes")
            same(os.getxattr(file.name, "user.swift.metadata_checksum").decode(),
                 hashlib.md5(raw).hexdigest(), "checksum")
        os.setxattr(file.name, "user.swift.metadata", raw)
        os.setxattr(file.name, "user.swift.metadata_checksum", hashlib.md5(raw).hexdigest().encode())
        read = diskfile.read_metadata(file.fileno())
        same(read, expected, "what Swift reads")
    return 1


def check_metadata(args, lines):
    expected = metadata_of(args[0])
    device = Device()
    body = {k: v for k, v in metadata_of("data").items()}
    device.put("replication", body, b"hello, world")
    if args[0] in ("meta", "view"):
        device.file("replication").write_metadata({k: v for k, v in metadata_of("meta").items() if k != "name"})
    if args[0] == "ts":
        device.file("replication").delete(metadata_of("ts")["X-Timestamp"])
    if args[0] == "view":
        with device.file("replication").open() as disk_file:
            same(disk_file.get_metadata(), expected)
        return 1
    partition, digest = placed(NAME)
    folder = os.path.join(device.path, "objects", str(partition), digest[-3:], digest)
    (name,) = [name for name in os.listdir(folder) if name.endswith("." + args[0])]
    same(diskfile.read_metadata(os.path.join(folder, name)), expected)
    (checksum,) = [lines for kind, of, lines in DOCUMENT if kind == "checksum" and of == args]
    same(os.getxattr(os.path.join(folder, name), "user.swift.metadata_checksum").decode(), checksum[0])
    return 1


def check_checksum(args, lines):
    with mock.patch.object(diskfile.xattr, "setxattr") as kept:
        diskfile.write_metadata(0, metadata_of(args[0]))
    same(kept.call_args[0][2].decode(), lines[0])
    return 1


def check_pieces(args, lines):
    for total, *pieces in table(lines):
        padding = int(total) - len(pickle.dumps({b"k": b"v" * 1000}, 2)) + 1000
        kept = []
        with mock.patch.object(diskfile.xattr, "setxattr", lambda fd, name, value: kept.append((name, value))):
            diskfile.write_metadata(0, {"k": "v" * padding})
        same(["%s %d" % (name.decode(), len(value)) for name, value in kept[:-1]], pieces, total)
        same(kept[-1][0], b"user.swift.metadata_checksum")
    return len(lines) - 1


def check_encode(args, lines):
    steps = {name: bytes.fromhex(value) for name, value in table(lines)}
    header, name = (steps.get("bytes of the " + what) for what in ("header", "name"))
    in_memory = name.decode("utf-8") if header is None else header.decode("latin-1")
    (stored,) = diskfile._encode_metadata({"k": in_memory}).values()
    same(stored, steps["value in the dict"])
    pickled = pickle.dumps(stored, 2)
    (text,) = [arg for op, arg, _ in pickletools.genops(pickled) if op.name == "BINUNICODE" and arg != "latin1"]
    same(text.encode("utf-8"), steps["bytes in the pickle"])
    assert steps["bytes in the pickle"] in pickled
    return 1


def said(name, rows):
    """The dict that a `hashes-say` block draws."""
    value = {}
    for row in rows:
        if row[0] == "valid":
            value["valid"] = row[-1] == "True"
        elif row[0] == "updated":
            value["updated"] = float(row[-1])
        elif len(row) == 2:
            value[row[0]] = None if row[1] == "None" else row[1]
        else:
            value.setdefault(row[0], {})[None if row[1] == "None" else int(row[1])] = row[2]
    return value


def say_of(name):
    (lines,) = [lines for kind, args, lines in DOCUMENT if kind == "hashes-say" and args == [name]]
    return said(name, table(lines))


def check_hashes(args, lines):
    rows = dump(lines)
    check_dump_notes(rows)
    raw = b"".join(part for _, part, _ in rows)
    expected = say_of(args[0])
    with tempfile.TemporaryDirectory() as folder:
        with mock.patch.object(diskfile.time, "time", lambda: expected["updated"]):
            diskfile.write_hashes(folder, dict(expected))
        with open(os.path.join(folder, "hashes.pkl"), "rb") as file:
            same(file.read(), raw, "what Swift writes")
        with open(os.path.join(folder, "hashes.pkl"), "wb") as file:
            file.write(raw)
        same(diskfile.read_hashes(folder), expected, "what Swift reads")
    return 1


def check_hashes_say(args, lines):
    (dumped,) = [lines for kind, of, lines in DOCUMENT if kind == "hashes" and of == args]
    check_hashes(args, dumped)
    return len(say_of(args[0]))


def check_hashes_keys(args, lines):
    for key, effect in table(lines):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "hashes.pkl"), "wb") as file:
                pickle.dump({"abc": "0" * 32, key: None}, file, 2)
            same("read" if diskfile.read_hashes(folder)["valid"] else "all unknown", effect, key)
    return len(lines) - 1


def check_invalid(args, lines):
    rows = dump(lines)
    for offset, raw, note in rows:
        same((offset, raw), (0, unescape(note.strip('"'))))
    device = Device()
    for time_of in (DATA_TIME, POST_TIME):
        device.put("replication", {**metadata_of("data"), "X-Timestamp": time_of}, b"hello, world")
    with open(os.path.join(device.path, "objects", "312", "hashes.invalid"), "rb") as file:
        same(file.read(), b"".join(raw for _, raw, _ in rows))
    return 1


def check_notes(args, lines):
    rows = table(lines)
    with tempfile.TemporaryDirectory() as folder:
        diskfile.write_hashes(folder, {"valid": True, "abc": "0" * 32})
        with open(os.path.join(folder, "hashes.invalid"), "w") as file:
            file.write("".join(line + "\n" for line, _ in rows))
        read = diskfile.consolidate_hashes(folder)
        for line, effect in rows:
            same("stale" if line in read and read[line] is None else "skipped", effect, line)
        same(os.path.getsize(os.path.join(folder, "hashes.invalid")), 0)
    return len(rows)


def check_suffix(args, lines):
    for title, rows in cases(lines):
        device = Device()
        suffix = os.path.join(device.path, "objects" + ("-1" if args[0] == "fragments" else ""), "312", "abc")
        os.makedirs(suffix)
        fed, expected = {}, {}
        for row in rows:
            if row[0].startswith("fed "):
                fed[row[0][4:]] = "".join(row[1:])
            elif row[0].startswith("md5 "):
                expected[row[0][4:]] = row[1]
            else:
                os.makedirs(os.path.dirname(os.path.join(suffix, row[0])), exist_ok=True)
                open(os.path.join(suffix, row[0]), "w").close()
        found = device.manager(args[0])._hash_suffix(suffix, policy=KINDS[args[0]][0])
        if not isinstance(found, dict):
            found = {None: found}
        same({str(key): value for key, value in found.items()}, expected, title)
        same({key: hashlib.md5(text.encode()).hexdigest() for key, text in fed.items()}, expected, title)
    return len(cases(lines))


def check_locks(args, lines):
    import fcntl
    for lock, file in table(lines):
        device = Device(replication_concurrency_per_device="2")
        manager = device.manager("replication")
        folder = os.path.join(device.path, "objects", "312")
        with {"hashes": lambda: utils.lock_path(folder),
              "partition": lambda: manager.partition_lock("sda", POLICIES[0], "312", name="replication"),
              "device, first": lambda: utils.lock_path(device.path, limit=2),
              "device, second": lambda: held_twice(device.path)}[lock]():
            with open(os.path.join(device.path, file), "a") as again:
                try:
                    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    same(error.errno, errno.EWOULDBLOCK)
                else:
                    raise AssertionError("%s: %s is free" % (lock, file))
    return len(lines) - 1


def held_twice(path):
    import contextlib
    stack = contextlib.ExitStack()
    for _ in range(2):
        stack.enter_context(utils.lock_path(path, limit=2))
    return stack


def check_quarantine(args, lines):
    device = Device()
    for start, target in table(lines):
        os.makedirs(os.path.join(device.path, start), exist_ok=True)
        open(os.path.join(device.path, start, "f"), "w").close()
        moved = os.path.relpath(diskfile.quarantine_dir_renamer(device.path, os.path.join(device.path, start)), device.path)
        pattern = re.escape(target).replace("<32\\ hex>", "[0-9a-f]{32}")
        assert re.fullmatch(pattern, moved), (start, moved, target)
    return len(lines) - 1


def check_power(args, lines):
    for digest, power, old, raised, new in table(lines):
        same(utils.get_partition_for_hash(digest, int(power)), int(old))
        path = "/srv/node/sda/objects/%s/%s/%s/x.data" % (old, digest[-3:], digest)
        moved = utils.replace_partition_in_path("/srv/node", path, int(raised))
        same(moved.split("/")[5], new, digest)
    device = Device()
    device.put("replication", metadata_of("data"), b"hello, world", next_part_power=11)
    both = [path for path in device.tree() if path.endswith(DATA_TIME + ".data")]
    same(len(both), 2)
    same(len({os.stat(os.path.join(device.path, path)).st_ino for path in both}), 1)
    return len(lines) - 1


def check_reclaim(args, lines):
    age, window = args
    now = time.time()
    for what, old, written, fate in table(lines):
        when = Timestamp(now - float(old)).internal
        kind = "fragments" if "fragment" in what else "replication"
        name = {"tombstone": ".ts", "lone metadata": ".meta", "fragment": "#3.data", "durable fragment": "#3#d.data",
                "data": ".data"}.get(what)
        name = when + name if name else "unknown"
        device = Device(reclaim_age=age, commit_window=window)
        folder = os.path.join(device.path, "x")
        os.mkdir(folder)
        file = os.path.join(folder, name)
        open(file, "w").close()
        if written != "-":
            os.utime(file, (now - float(written),) * 2)
        device.manager(kind).cleanup_ondisk_files(folder, policy=KINDS[kind][0])
        same("stays" if os.path.exists(file) else "goes", fate, "%s %s" % (what, old))
    return len(lines) - 1


def check_suffixes(args, lines):
    for name, answer in table(lines):
        same("yes" if diskfile.valid_suffix(name) else "no", answer, name)
    return len(lines) - 1


def check_partitions(args, lines):
    device = Device()
    rows = table(lines)
    for name, kind, _ in rows:
        path = os.path.join(device.path, "objects", name)
        os.makedirs(path) if kind == "directory" else open(path, "w").close()
    node = {"id": 0, "device": "sda", "replication_ip": "127.0.0.1", "replication_port": 1, "region": 1}
    ring = mock.Mock(devs=[node], replica_count=1, get_part_nodes=lambda partition: [node])
    policy = mock.Mock(object_ring=ring, __int__=lambda self: 0)
    with mock.patch.object(replicator.ObjectReplicator, "load_object_ring", lambda self, policy: ring), \
            mock.patch.object(replicator, "get_data_dir", lambda policy: "objects"), \
            mock.patch.object(replicator, "get_tmp_dir", lambda policy: "tmp"), \
            mock.patch.object(replicator, "is_local_device", lambda *args: True):
        daemon = replicator.ObjectReplicator({**device.conf, "bind_port": "1"})
        stats = mock.Mock()
        daemon.all_devs_info, daemon.stats_for_dev = set(), {"sda": stats}
        daemon._df_router = {policy: device.manager("replication")}
        jobs = daemon.build_replication_jobs(policy, ["127.0.0.1"])
    same(sorted(job["partition"] for job in jobs), sorted(name for name, _, what in rows if what == "partition"))
    # What is no number is a failure, but for names that it knows.
    same(stats.add_failure_stats.call_count, len([what for _, _, what in rows if what == "reported"]))
    return len(rows)


def check_writes(args, lines):
    device = Device()
    drawn = [line.strip() for line in lines]
    log = []

    def noted(module, name, what):
        """Notes a call of a function, and makes it."""
        real = getattr(module, name)

        def run(*args, **kwargs):
            log.append(what(*args, **kwargs))
            return real(*args, **kwargs)

        return mock.patch.object(module, name, staticmethod(run) if isinstance(module, type) else run)

    def level(path):
        below = os.path.relpath(path, device.path)
        return ["device", "objects", "partition", "suffix", "object"][0 if below == "." else len(below.split("/"))]

    with noted(diskfile, "write_metadata", lambda *a, **k: "set the attributes"), \
            noted(diskfile, "fsync", lambda *a, **k: "flush the file"), \
            noted(diskfile.DiskFileManager, "invalidate_hash", lambda *a, **k: "note in hashes.invalid"), \
            noted(diskfile, "link_fd_to_path", lambda *a, **k: "link the file"), \
            noted(utils, "fsync_dir", lambda path: "flush the %s directory" % level(path)):
        disk_file = device.file("replication")
        with disk_file.create(size=12) as writer:
            writer.write(b"hello, world")
            writer.put({k: v for k, v in metadata_of("data").items() if k != "name"})
    if args[0] == "swift":
        same(log, drawn)
    # The other block is this repository's own order. It must leave out nothing that Swift does.
    same(sorted(set(log) - set(drawn)), [])
    return len(lines)


def main():
    logging.disable(logging.CRITICAL)
    storage_policy._POLICIES = POLICIES
    utils.HASH_PATH_PREFIX = utils.HASH_PATH_SUFFIX = b"changeme"
    counts = collections.Counter()
    wrong = 0
    for kind, args, lines in DOCUMENT:
        try:
            counts[kind] += globals()["check_" + kind.replace("-", "_")](args, lines)
        except Exception as error:
            wrong += 1
            print("%s %s: %s: %s" % (kind, " ".join(args), type(error).__name__, error), file=sys.stderr)
    for kind, count in sorted(counts.items()):
        print(kind, count)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as source:
        DOCUMENT = blocks(source.read())
    main()
