"""Swift's own disk layer, driven by lines of JSON: the other half of the differential test beside this file.

A line holds histories: where their devices are, the settings, and operations. The answer holds a result for each
operation, in the form that ours.rs gives it. Bytes are text of which each character is one byte.
"""
import itertools
import json
import logging
import os
import re
import sys
import tempfile
import time

CONF = """[swift-hash]
swift_hash_path_prefix = changeme
swift_hash_path_suffix = changeme
[storage-policy:0]
name = whole
default = yes
[storage-policy:1]
name = coded
policy_type = erasure_coding
ec_type = liberasurecode_rs_vand
ec_num_data_fragments = 4
ec_num_parity_fragments = 2
"""

NOW = [0.0]
time.time = lambda: NOW[0]

from swift.common import utils  # noqa: E402

with tempfile.TemporaryDirectory() as etc:
    with open(os.path.join(etc, 'swift.conf'), 'w') as conf:
        conf.write(CONF)
    utils.set_swift_dir(etc)
    import swift.common.storage_policy as storage_policy
    storage_policy.reload_storage_policies()

from swift.common.exceptions import (  # noqa: E402
    DiskFileCollision, DiskFileDeleted, DiskFileError, DiskFileExpired, DiskFileNoSpace, DiskFileNotExist,
    DiskFileQuarantined, DiskFileStateChanged)
from swift.common.storage_policy import POLICIES  # noqa: E402
from swift.common.utils import Timestamp, hash_path  # noqa: E402
from swift.obj import diskfile  # noqa: E402

logging.disable(logging.CRITICAL)
QUIET = logging.getLogger('quiet')
QUIET.increment = lambda *a, **kw: None
# Whether a flush has ended is not compared here, and a thread for each write is slow.
diskfile.tpool.execute = lambda function, *args, **kw: function(*args, **kw)
diskfile.fsync = diskfile.fsync_dir = utils.fsync_dir = os.fsync = lambda *args: None

# Ours does not look into fragments; see exceptions.rs.
diskfile.ECDiskFileReader._check_frag = lambda self, fragment: None



def noted(relink):
    """Ours notes a change in the partition of the next power too, whose hashes the relinker may have calculated already.
    Swift leaves them as they are: stale, and believed. Only in this does it differ, so it is made up for here."""
    def relink_paths(target_path, new_target_path, *args, **kw):
        try:
            return relink(target_path, new_target_path, *args, **kw)
        finally:
            suffix = os.path.dirname(os.path.dirname(new_target_path))
            if os.path.isdir(os.path.dirname(suffix)):
                diskfile.invalidate_hash(suffix)
    return relink_paths


diskfile.relink_paths = noted(diskfile.relink_paths)

BLOCKED = []


def watched(rename):
    """Notes that something cannot go to quarantine because of what is there already."""
    def renamer(old, new, *args, **kw):
        try:
            return rename(old, new, *args, **kw)
        except (NotADirectoryError, IsADirectoryError):
            if '/quarantined/' in new and os.path.lexists(new):
                BLOCKED.append(new)
            raise
    return renamer


diskfile.renamer = watched(diskfile.renamer)

# Times of files at or above this were set by the kernel, not by a test.
FRESH = 1_700_000_000
DEVICE = 'sda'
MANAGERS = (diskfile.DiskFileManager, diskfile.ECDiskFileManager)


def raw(text):
    """Bytes of text of which each character is one byte."""
    return text.encode('latin1')


def text(data):
    """The reverse."""
    return data.decode('latin1')


def header(value):
    """A header's bytes from the text that Swift keeps: characters that are no byte stay what they are."""
    if not isinstance(value, str):
        return str(value)
    try:
        value.encode('latin1')
        return value
    except UnicodeEncodeError:
        return text(b''.join(bytes([ord(c)]) if ord(c) < 256 else c.encode('utf8', 'surrogateescape')
                             for c in value))


def headers(metadata):
    """Metadata without the name."""
    return {header(k): header(v) for k, v in metadata.items() if k != 'name'}


def asked(function):
    """What a property says; an exclamation mark where Swift itself cannot say."""
    try:
        value = function()
    except (ValueError, TypeError, KeyError):
        return '!'
    return value.internal if isinstance(value, Timestamp) else value


class Unnamed(Exception):
    """Swift does not find an object because of a file that does not count."""


class Twofold(Exception):
    """Two names of one file: Swift opens the one that the file system lists last, or first."""


class Rewritten(Exception):
    """A fragment is written once more while the power is being changed."""


class Halfway(Exception):
    """A fragment was marked here, and there was none to mark in the other partition."""


class Nameless(Exception):
    """A file holds a name that no object can have."""


class Tree:
    """One device, and the managers of its policies."""

    def __init__(self, history):
        self.devices = history['devices']
        self.root = os.path.join(self.devices, DEVICE)
        os.makedirs(self.root, exist_ok=True)
        self.objects = [tuple(name.encode('latin1').decode('utf8')[1:].split('/', 2))
                        for name in history['objects']]
        self.managers = []
        for policy, manager in zip(POLICIES, MANAGERS):
            manager = manager({'devices': self.devices, 'mount_check': 'false', 'fallocate_reserve': '0',
                               'reclaim_age': history['reclaim_age'],
                               'commit_window': history['commit_window']}, QUIET)
            manager.use_linkat = not history['named']
            self.managers.append(manager)
        self.reserve(0)

    def reserve(self, size):
        utils.FALLOCATE_RESERVE, utils.FALLOCATE_IS_PERCENT = size, False
        for manager in self.managers:
            manager.fallocate_reserve, manager.fallocate_is_percent = size, False

    def where(self, op):
        """Policy, manager, partition, name and hash that an operation speaks of."""
        policy = POLICIES[op['policy']]
        name = self.objects[op['object']]
        digest = hash_path(*name)
        return policy, self.managers[op['policy']], int(digest[:8], 16) >> (32 - op['power']), name, digest

    def directory(self, op):
        policy, _, partition, _, digest = self.where(op)
        return os.path.join(self.root, diskfile.get_data_dir(policy), str(partition), digest[-3:], digest)

    def diskfile(self, op, **kw):
        policy, manager, partition, name, _ = self.where(op)
        if op.get('next_power'):
            kw['next_part_power'] = op['next_power']
        return manager.get_diskfile(DEVICE, partition, *name, policy=policy, **kw)

    def wear(self, op):
        """Gives files that were just written the time of the test's clock."""
        directory = self.directory(op)
        try:
            entries = list(os.scandir(directory))
        except OSError:
            return
        for entry in entries:
            if entry.stat(follow_symlinks=False).st_mtime >= FRESH:
                os.utime(entry.path, (NOW[0], NOW[0]), follow_symlinks=False)


def options(op):
    """Keywords of how to open."""
    kw = {'open_expired': op.get('open_expired', False)}
    if op['policy'] == 1:
        if op.get('fragment') is not None:
            kw['frag_index'] = op['fragment']
        if op.get('preferences') is not None:
            kw['frag_prefs'] = [{'timestamp': t, 'exclude': e} for t, e in op['preferences']]
    return kw


def look(function, df, **kw):
    """Opens an object; a name in it that is none of any object is told from one of another object."""
    try:
        return function(**kw)
    except DiskFileCollision:
        name = df._metadata['name']
        parts = name.split('/', 3)
        if len(parts) != 4 or parts[0] or not all(parts[1:]):
            raise Nameless('%r is no name of an object' % name)
        raise


def opened(df, op, **kw):
    """What an open object says, and its body where it is to be read."""
    look(df.open, df, **kw)
    with df:
        name = df._name.encode('utf8', 'surrogateescape')
        meta = df.get_metafile_metadata()
        result = {
            'found': 'object', 'name': text(name),
            'file': text(os.fsencode(os.path.basename(df._data_file))),
            'timestamp': asked(lambda: df.timestamp),
            'data': asked(lambda: df.data_timestamp),
            'content_type': asked(lambda: df.content_type_timestamp),
            'durable': asked(lambda: df.durable_timestamp),
            'length': df.content_length,
            'metadata': headers(df.get_metadata()),
            'data_metadata': headers(df.get_datafile_metadata()),
            'meta': headers(meta) if meta else None,
            'fragments': [[t.internal, i] for t, i in sorted((df.fragments or {}).items(), reverse=True)],
        }
        if op.get('read'):
            result['body'] = body(df)
        return result


def body(df):
    complaints = []
    try:
        data = b''.join(df.reader(_quarantine_hook=complaints.append))
    except DiskFileQuarantined:
        return 'quarantined'
    return 'quarantined' if complaints else text(data)


def do_clock(tree, op):
    NOW[0] = op['now']
    return 'done'


def do_reserve(tree, op):
    tree.reserve(op['bytes'])
    return 'done'


def do_put(tree, op):
    coded = op['policy'] == 1
    df = tree.diskfile(op, **({'frag_index': op['fragment']} if coded else {}))
    data = raw(op['body'])
    time = Timestamp(op['time'])
    if coded and op.get('next_power'):
        path = os.path.join(df._datadir, df.manager.make_on_disk_filename(time, '.data', op['fragment']))
        other = utils.replace_partition_in_path(tree.devices, path, op['next_power'])
        if other != path and os.path.exists(other):
            raise Rewritten(other)
    metadata = dict(op['metadata'])
    with df.create(size=len(data) if op['sized'] else None) as writer:
        for start in range(0, len(data), 50):
            writer.write(data[start:start + 50])
        size, etag = writer.chunks_finished()
        metadata.update({'X-Timestamp': time.internal, 'Content-Length': str(size), 'ETag': etag})
        if coded:
            metadata['X-Object-Sysmeta-Ec-Frag-Index'] = str(op['fragment'])
        writer.put(metadata)
        if not coded or op['durable']:
            writer.commit(time)
    return 'stored'


def do_abandon(tree, op):
    coded = op['policy'] == 1
    df = tree.diskfile(op, **({'frag_index': op['fragment']} if coded else {}))
    with df.create(size=None) as writer:
        writer.write(raw(op['body']))
    return 'done'


def do_post(tree, op):
    coded = op['policy'] == 1
    policy, manager, _, _, _ = tree.where(op)
    df = tree.diskfile(op, open_expired=True, **({'frag_prefs': []} if coded else {}))
    if op['look']:
        look(df.read_metadata, df)
    else:
        try:
            files = os.listdir(df._datadir)
        except FileNotFoundError:
            files = []
        except NotADirectoryError:
            raise df._quarantine_dir(df._datadir, 'as open does')
        if not df._get_ondisk_files(files, policy)['data_file']:
            raise DiskFileNotExist()
    metadata = dict(op['metadata'])
    metadata['X-Timestamp'] = Timestamp(op['time']).internal
    if op.get('type_time'):
        metadata['Content-Type-Timestamp'] = Timestamp(op['type_time']).internal
    df.write_metadata(metadata)
    return 'stored'


def do_delete(tree, op):
    tree.diskfile(op).delete(Timestamp(op['time']))
    return 'stored'


def do_commit(tree, op):
    df = tree.diskfile(op, frag_index=op['fragment'])
    suffix = os.path.dirname(tree.directory(op))
    if os.path.exists(os.path.dirname(suffix)):
        # Swift leaves it to the PUT before; see exceptions.rs.
        diskfile.invalidate_hash(suffix)
    # Not `create`, which makes the object's directory and leaves it.
    writer = df.writer()
    try:
        writer.commit(Timestamp(op['time']))
        # Where another has won Swift leaves the cleaning to the next hashing; see exceptions.rs.
        path = os.path.join(df._datadir, 'x')
        df.manager.cleanup_ondisk_files(df._datadir)
        if op.get('next_power'):
            # Nor does it look after the mark in the other partition.
            durable = os.path.join(df._datadir, df.manager.make_on_disk_filename(
                Timestamp(op['time']), '.data', op['fragment'], durable=True))
            if os.path.exists(durable):
                diskfile.relink_paths(durable, utils.replace_partition_in_path(
                    tree.devices, durable, op['next_power']))
            writer._part_power_cleanup(
                path, utils.replace_partition_in_path(tree.devices, path, op['next_power']))
    except (DiskFileNoSpace, DiskFileQuarantined):
        raise
    except DiskFileError:
        marked = df.manager.make_on_disk_filename(Timestamp(op['time']), '.data', op['fragment'], durable=True)
        if op.get('next_power') and os.path.exists(os.path.join(df._datadir, marked)):
            raise Halfway(marked)
        return 'not found'
    return 'stored'


def do_open(tree, op):
    kw = {}
    if op.get('now') is not None:
        kw['current_time'] = op['now']
    if op['by'] == 'name':
        return opened(tree.diskfile(op, **options(op)), op, **kw)
    policy, manager, partition, _, _ = tree.where(op)
    df = manager.diskfile_cls.from_hash_dir(manager, tree.directory(op), tree.root, partition, policy)
    for key, value in options(op).items():
        if key == 'frag_prefs':
            value = df._validate_frag_prefs(value)
        setattr(df, '_' + key, value)
    return opened(df, op, **kw)


def do_check(tree, op):
    policy, manager, partition, _, digest = tree.where(op)
    directory = tree.directory(op)
    try:
        df = manager.get_diskfile_from_hash(DEVICE, partition, digest, policy, **options(op))
    except Exception:
        # It asks the oldest file for the name, whether that file counts or not.
        if listing(directory):
            raise Unnamed('the oldest file does not tell the name')
        raise
    if df._datadir != directory:
        raise Unnamed('the oldest file tells a name that belongs elsewhere')
    try:
        return opened(df, op)
    except DiskFileCollision:
        raise Unnamed('the oldest file tells another name than the body')


def part_path(tree, op):
    return diskfile.get_part_path(tree.root, POLICIES[op['policy']], op['partition'])


def do_hash(tree, op):
    if not os.path.exists(part_path(tree, op)):
        return {}
    manager = tree.managers[op['policy']]
    _, hashes = manager._get_hashes(DEVICE, str(op['partition']), POLICIES[op['policy']],
                                    recalculate=op['rehash'], do_listdir=op['list'])
    return known(hashes)


def known(hashes):
    """Hashes with keys that JSON has."""
    result = {}
    for suffix, value in hashes.items():
        if isinstance(value, dict):
            value = {'-' if k is None else str(k): v for k, v in value.items()}
        result[suffix] = value
    return result


def do_mark(tree, op):
    if not os.path.exists(part_path(tree, op)):
        # Swift makes the partition; see exceptions.rs.
        return 'done'
    manager = tree.managers[op['policy']]
    manager.get_hashes(DEVICE, str(op['partition']), op['suffixes'], POLICIES[op['policy']], skip_rehash=True)
    return 'done'


def do_pickle(tree, op):
    """What hashes.pkl and hashes.invalid say."""
    path = part_path(tree, op)
    hashes = diskfile.read_hashes(path)
    hashes.pop('updated', None)
    valid = hashes.pop('valid')
    hashes = {k: known({k: v})[k] if v else None for k, v in hashes.items()}
    return {'valid': valid, 'hashes': hashes if valid else {}}


def do_offers(tree, op):
    """What senders offer; with erasure coding each fragment is asked for, and cleaning comes first, as with ours."""
    policy, manager = POLICIES[op['policy']], tree.managers[op['policy']]
    suffixes = [op['suffix']]
    if not os.path.exists(part_path(tree, op)):
        # Swift makes the partition, to mark the suffix; see exceptions.rs.
        return []

    def ask(**kw):
        return list(manager.yield_hashes(DEVICE, str(op['partition']), policy, suffixes=suffixes, **kw))
    found = ask()
    offers = []
    if op['policy'] == 0:
        offers = [[digest, times, None] for digest, times in found]
    else:
        for index in range(6):
            # As for a revert; what that hides, as for a sync.
            found = dict(ask(frag_index=index))
            found.update(ask(frag_index=index, frag_prefs=[]))
            for digest, times in found.items():
                offers.append([digest, times, index if 'durable' in times else None])
    result = []
    for digest, times, index in offers:
        if not re.fullmatch('[0-9a-f]{32}', digest):
            # No object's name; see exceptions.rs.
            continue
        data = times['ts_data'].internal
        offer = [digest, data, asked(lambda: times.get('ts_meta', times['ts_data'])),
                 asked(lambda: times.get('ts_ctype', times['ts_data'])), times.get('durable', True), index]
        if offer not in result:
            result.append(offer)
    return sorted(result, key=lambda offer: (offer[0], -1 if offer[5] is None else offer[5]))


def do_suffixes(tree, op):
    found = tree.managers[op['policy']].yield_suffixes(DEVICE, str(op['partition']), POLICIES[op['policy']])
    # Swift takes all that Python's int() takes for hex; see exceptions.rs.
    return sorted(suffix for _, suffix in found if diskfile.valid_suffix(suffix))


def do_attributes(tree, op):
    """What each file of an object says of itself."""
    directory = os.fsencode(tree.directory(op))
    result = {}
    for name in listing(directory):
        try:
            metadata = diskfile.read_metadata(os.path.join(directory, name))
            result[text(name)] = [text(metadata['name'].encode('utf8', 'surrogateescape'))
                                  if 'name' in metadata else None, headers(metadata)]
        except Exception:
            result[text(name)] = 'damaged'
    return result


def listing(directory):
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def do_place(tree, op):
    """Puts a file or directory, as rsync, another program or a broken disk would."""
    path = os.path.join(os.fsencode(tree.root), raw(op['path']))
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if op['body'] is None:
            os.makedirs(path, exist_ok=True)
            return 'done'
        if os.path.lexists(path):
            os.unlink(path)
        with open(path, 'wb') as file:
            file.write(raw(op['body']))
    except OSError:
        return 'no place'
    for name, value in op['attributes']:
        os.setxattr(path, name, raw(value))
    if op['modified'] is not None:
        os.utime(path, (op['modified'], op['modified']))
    return 'done'


def do_damage(tree, op):
    """Spoils one of an object's files, if there is one."""
    directory = os.fsencode(tree.directory(op))
    names = listing(directory)
    if not names:
        return 'nothing'
    path = os.path.join(directory, names[op['nth'] % len(names)])
    if os.path.isdir(path):
        return 'nothing'
    what, at = op['what'], op['at']
    if what == 'unlink':
        os.unlink(path)
    elif what == 'truncate':
        os.truncate(path, os.stat(path).st_size // 2)
    elif what == 'append':
        with open(path, 'ab') as file:
            file.write(b'x')
    elif what == 'flip':
        with open(path, 'rb+') as file:
            data = bytearray(file.read())
            if not data:
                return 'nothing'
            data[at % len(data)] ^= 1
            file.seek(0)
            file.write(data)
    elif what == 'age':
        os.utime(path, (at, at))
    elif what == 'rename':
        os.rename(path, os.path.join(directory, raw(op['name'])))
    else:
        return spoil(path, what, at, op.get('value'))
    if what in ('append', 'flip', 'truncate'):
        os.utime(path, (NOW[0], NOW[0]))
    return 'done'


def spoil(path, what, at, value):
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    checksum, first = diskfile.METADATA_CHECKSUM_KEY.decode(), diskfile.METADATA_KEY.decode()
    if what == 'no checksum' and checksum in attributes:
        os.removexattr(path, checksum)
    elif what == 'no metadata' and first in attributes:
        os.removexattr(path, first)
    elif what == 'checksum' and checksum in attributes:
        os.setxattr(path, checksum, raw(value))
    elif what == 'metadata' and checksum in attributes and first in attributes:
        # The first byte: no later one is the same in the pickles of both.
        data = bytearray(attributes[first])
        data[0] ^= 1 << (at % 8)
        os.setxattr(path, first, bytes(data))
    else:
        return 'nothing'
    return 'done'


def distinct(tree, op):
    """Complains of two names of one file."""
    policy, manager, _, _, _ = tree.where(op)
    try:
        names = os.listdir(tree.directory(op))
    except OSError:
        return
    seen = set()
    for name in names:
        try:
            info = manager.parse_on_disk_filename(name, policy)
        except (DiskFileError, OverflowError):
            continue
        key = tuple(repr(info.get(k)) for k in ('ext', 'timestamp', 'ctype_timestamp', 'frag_index'))
        if key in seen:
            raise Twofold(name)
        seen.add(key)


WRITES = {'put', 'post', 'delete', 'commit'}
OPERATIONS = {name[3:]: function for name, function in list(globals().items()) if name.startswith('do_')}


def perform(tree, op):
    made = []
    if op['op'] in WRITES or op['op'] == 'abandon':
        directory = tree.directory(op)
        made = [d for d in (directory, os.path.dirname(directory)) if not os.path.lexists(d)]
        if op['op'] in ('put', 'abandon') and not tree.managers[op['policy']].use_linkat:
            # Swift makes directories as the file gets its name; see exceptions.rs.
            try:
                os.makedirs(directory, exist_ok=True)
            except OSError:
                pass
    BLOCKED.clear()
    result = attempt(tree, op)
    if BLOCKED:
        result = {'crash': 'Blocked'}
    if op['op'] in WRITES:
        tree.wear(op)
    if result != 'stored':
        # Swift leaves the directories that it made; see exceptions.rs.
        for directory in made:
            try:
                os.rmdir(directory)
            except OSError:
                break
    return result


def attempt(tree, op):
    try:
        if op['op'] in ('open', 'check', 'post'):
            distinct(tree, op)
        return OPERATIONS[op['op']](tree, op)
    except DiskFileQuarantined:
        return 'quarantined'
    except DiskFileCollision:
        return 'collision'
    except DiskFileExpired as error:
        return {'found': 'expired', 'timestamp': asked(lambda: Timestamp(error.metadata['X-Timestamp']))}
    except DiskFileDeleted as error:
        return {'found': 'tombstone', 'timestamp': asked(lambda: Timestamp(error.metadata['X-Timestamp']))}
    except DiskFileNotExist:
        return 'not found'
    except DiskFileStateChanged:
        return 'changed'
    except DiskFileNoSpace:
        return 'full'
    except (NotADirectoryError, IsADirectoryError, FileExistsError):
        return 'in the way'
    except (DiskFileError, OSError) as error:
        # A crash in the cleaning that ends the making of a fragment durable.
        return {'crash': str(error)} if 'list.remove(x)' in str(error) else 'error'
    except Exception as error:
        return {'crash': '%s: %s' % (type(error).__name__, error)}


def fragments():
    """Fragments as an encoder makes them: bodies for the erasure-coded policy."""
    driver = POLICIES[1].pyeclib_driver
    return [[text(f) for f in driver.encode(b'%d' % n * (10 + 50 * n))] for n in range(1, 4)]


def main():
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    answers.write(json.dumps({'fragments': fragments()}) + '\n')
    answers.flush()
    for line in sys.stdin:
        results = []
        for history in json.loads(line):
            NOW[0] = history['now']
            tree = Tree(history)
            results.append([perform(tree, op) for op in history['ops']])
        answers.write(json.dumps(results) + '\n')
        answers.flush()


if __name__ == '__main__':
    main()
