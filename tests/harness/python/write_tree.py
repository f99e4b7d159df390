"""Fills a device through Swift's own DiskFile with one object of every kind that a replicator must carry.

In: {"swift_dir", "devices", "device", "policy", "large_metadata": bool, "small": how many small ones beside}
Out: {"objects": {kind: path}, "bytes": sum of bodies}
"""
import hashlib
import random
import time

from lab import answer, arguments, policy_and_manager
from swift.common.utils import Timestamp

args = arguments()
policy, manager = policy_and_manager(args)
ring = policy.object_ring
device = args["device"]
account, container = "AUTH_test", args.get("container", "c")
day = int(time.time()) - 86400
kinds, total = {}, 0


def at(second, offset=0):
    return Timestamp(day + second, offset=offset)


def header(value):
    """As the object server gets it from a request and hands it to DiskFile: a character for each byte."""
    return value.encode("utf-8").decode("latin-1")


def headers(metadata):
    # The object server spells names by bytes.title(): a letter after one that is not ASCII becomes upper case.
    return {name.encode("utf-8").title().decode("latin-1"): header(value) for name, value in dict(metadata).items()}


def disk_file(name):
    partition = ring.get_part(account, container, name)
    return manager.get_diskfile(device, partition, account, container, name, policy=policy, open_expired=True)


def put(kind, name, when, body, metadata=(), content_type="application/octet-stream"):
    global total
    total += len(body)
    kinds[kind] = "/%s/%s/%s" % (account, container, name)
    with disk_file(name).create(size=len(body)) as writer:
        for start in range(0, len(body), 65536):
            writer.write(body[start:start + 65536])
        writer.put({
            "X-Timestamp": when.internal,
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            "ETag": hashlib.md5(body).hexdigest(),
            **headers(metadata),
        })
        writer.commit(when)


def post(name, when, metadata):
    disk_file(name).write_metadata({"X-Timestamp": when.internal, **headers(metadata)})


def delete(kind, name, when):
    kinds[kind] = "/%s/%s/%s" % (account, container, name)
    disk_file(name).delete(when)


def noise(seed, size):
    return random.Random(seed).randbytes(size)


put("plain", "plain", at(1), b"hello world", {"X-Object-Meta-Colour": "blue"})
put("zero bytes", "zero", at(2), b"")
put("posted", "posted", at(3), b"posted body", {"X-Object-Meta-Old": "gone", "X-Object-Sysmeta-Kept": "yes"})
post("posted", at(13), {"X-Object-Meta-New": "here"})
put("posted twice", "posted-twice", at(3), b"posted twice")
post("posted-twice", at(13), {"X-Object-Meta-First": "1"})
post("posted-twice", at(23), {"X-Object-Meta-Second": "2"})
put("posted to nothing", "posted-empty", at(3), b"all metadata gone", {"X-Object-Meta-Old": "gone"})
post("posted-empty", at(13), {})
put("content type changed", "ctype", at(4), b"{}", content_type="text/plain")
post("ctype", at(14), {"Content-Type": "application/json", "Content-Type-Timestamp": at(14).internal})
put("content type changed, then posted", "ctype-posted", at(4), b"{}", content_type="text/plain")
post("ctype-posted", at(14), {"Content-Type": "application/json", "Content-Type-Timestamp": at(14).internal})
post("ctype-posted", at(24), {
    "Content-Type": "application/json", "Content-Type-Timestamp": at(14).internal, "X-Object-Meta-Later": "yes"})
put("deleted", "deleted", at(5), b"will go")
delete("deleted", "deleted", at(15))
delete("deleted, never there", "ghost", at(6))
put("replaced after deletion", "phoenix", at(5), b"first")
delete("replaced after deletion", "phoenix", at(15))
put("replaced after deletion", "phoenix", at(25), b"second")
put("expiring", "expiring", at(7), b"expiring", {"X-Delete-At": str(day + 3650 * 86400)})
put("expired", "expired", at(8), b"expired", {"X-Delete-At": str(day + 60)})
put("expiry by POST", "expiry-posted", at(8), b"expires later")
post("expiry-posted", at(18), {"X-Delete-At": str(day + 3650 * 86400)})
put("unicode", "sn\u2603w m\xe4n/\u65e5\u672c\U0001f600", at(9), "sn\u2603w".encode(), {
    "X-Object-Meta-Sn\xf6w": "fl\xf6ckchen", "X-Object-Meta-Greek": "\u03b1\u03b2\u03b3", "X-Object-Meta-Emoji": "\U0001f600"})
put("unicode posted", "p\xf6sted", at(9), b"x")
post("p\xf6sted", at(19), {"X-Object-Meta-\xdcber": "\u65e5\u672c\u8a9e"})
put("empty value", "empty-value", at(10), b"e", {"X-Object-Meta-Empty": "", "X-Object-Meta-Full": "1"})
post("empty-value", at(20), {"X-Object-Meta-Empty": ""})
put("empty value in data", "empty-value-data", at(10), b"e", {"X-Object-Meta-Empty": ""})
put("offset", "offset", at(11, 1), b"offset")
put("offset posted", "offset-posted", at(11, 2), b"offset")
post("offset-posted", at(12, 7), {"X-Object-Meta-Offset": "7"})
put("same tick posted", "same-tick", at(11), b"same tick")
post("same-tick", at(11, 3), {"X-Object-Meta-Tick": "same"})
delete("offset deleted", "offset-deleted", at(12, 3))
put("system metadata", "sysmeta", at(12), b"sys", {
    "X-Object-Sysmeta-Foo": "bar", "X-Object-Transient-Sysmeta-Crypto-Meta": '{"iv": "x, y; z"}',
    "Content-Encoding": "gzip", "Content-Disposition": 'attachment; filename="a b.txt"',
    "Cache-Control": "max-age=5", "X-Static-Large-Object": "True"})
put("special characters", "a b+c%20\"d&e?f#g;h=i'j\\k<l>m:n@o", at(16), b"special")
put("dots", "../up/./here//", at(16), b"dots")
put("64 KiB", "chunk", at(17), noise("chunk", 65536))
put("over 64 KiB", "chunks", at(17), noise("chunks", 65536 + 1))
put("200 KiB", "several", at(17), noise("several", 200 * 1024))
put("over 1 MiB", "big", at(17), noise("big", (1 << 20) + 4711))
put("long name", "n" * 900, at(17), b"long name")
put("spaces in values", "spaces", at(17), b"s", {"X-Object-Meta-Inner": "a  b   c", "X-Object-Meta-Colon": "a: b, c=d"})
put("long value", "long-value", at(17), b"l", {"X-Object-Meta-Long": "v" * 200})
if args.get("large_metadata"):
    # More than 64 KiB once pickled: Swift spreads it over two attributes.
    put("large metadata", "large-metadata", at(18), b"large", {
        "X-Object-Sysmeta-Large-%03d" % i: ("%03d-" % i) * 250 for i in range(80)})
    put("large metadata posted", "large-metadata-posted", at(18), b"large")
    post("large-metadata-posted", at(28), {
        "X-Object-Transient-Sysmeta-Large-%03d" % i: ("%03d-" % i) * 250 for i in range(80)})
for number in range(args.get("small", 0)):
    name = "small-%05d" % number
    put(name, name, at(30, number), noise(name, 100 + number % 4000), {"X-Object-Meta-Number": str(number)})

answer({"objects": {kind: path.encode().decode("latin-1") for kind, path in kinds.items()}, "bytes": total})
