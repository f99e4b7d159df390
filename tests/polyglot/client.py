"""A client in another language, from nothing but proto/: asks what is lacking, brings it, asks again.

In (standard input): {"proto": folder, "address": "ip:port" or "unix:path", "partition": n, "objects": [{"path", "hash"}]}
with four objects: one to send whole, one in chunks, one to break off, one to delete.
Out: {"lacking": [...], "accepted": {...}, "results": {id: [outcome, hash]}, "summary": {...}, "lacking_after": [...],
"refused": {...}}
"""
import hashlib
import json
import os
import queue
import sys
import tempfile
import time

import grpc
import grpc_tools
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

args = json.load(sys.stdin)
well_known = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
stubs = tempfile.TemporaryDirectory()
files = ["ssync/v1/types.proto", "ssync/v1/replication_service.proto"]
failed = protoc.main(
    ["protoc", "-I" + args["proto"], "-I" + well_known, "--python_out=" + stubs.name, "--grpc_python_out=" + stubs.name] + files)
assert not failed, "protoc refuses the contract"
sys.path.insert(0, stubs.name)
from ssync.v1 import replication_service_pb2 as messages  # noqa: E402
from ssync.v1 import replication_service_pb2_grpc as services  # noqa: E402
from ssync.v1 import types_pb2 as types  # noqa: E402

TIMEOUT_SECONDS = 60
channel = grpc.insecure_channel(args["address"])
replication = services.ReplicationServiceStub(channel)
partition = types.PartitionRef(device="sdb1", partition=args["partition"])
whole, chunked, broken, deleted = args["objects"]
now = types.SwiftTimestamp(ticks=int(time.time() * 100000))


def lacking(objects):
    offers = [types.ObjectOffer(object_hash=o["hash"], data_timestamp=now) for o in objects]
    question = messages.MissingCheckRequest(partition=partition, offers=offers)
    wants, answered = [], 0
    for answer in replication.MissingCheck(iter([question]), timeout=TIMEOUT_SECONDS):
        wants += [want.object_hash for want in answer.wants if want.data]
        answered = answer.answered_offers
    assert answered == len(offers), "%d offers were answered" % answered
    return wants


def item(name, value):
    return types.MetadataEntry(name=name.encode(), value=value.encode())


def put(update_id, target, length, inline=None):
    body = messages.InlineBody(data=inline, etag=hashlib.md5(inline).hexdigest()) if inline is not None else None
    return messages.UpdatesRequest(update=messages.Update(
        update_id=update_id, path=target["path"].encode(),
        put=messages.PutUpdate(
            timestamp=now, content_length=length, inline_body=body,
            metadata=[item("Content-Type", "text/plain"), item("X-Object-Meta-From", "Python")])))


def updates(data):
    yield put(1, whole, 5, b"small")
    yield put(2, chunked, len(data))
    for start in range(0, len(data), 65536):
        yield messages.UpdatesRequest(chunk=messages.BodyChunk(data=data[start:start + 65536]))
    complete = messages.BodyComplete(etag=hashlib.md5(data).hexdigest())
    yield messages.UpdatesRequest(end=messages.BodyEnd(complete=complete))
    yield put(3, broken, 1000)
    yield messages.UpdatesRequest(chunk=messages.BodyChunk(data=b"half of it"))
    yield messages.UpdatesRequest(end=messages.BodyEnd(abort_reason="the disk went away"))
    yield messages.UpdatesRequest(update=messages.Update(
        update_id=4, path=deleted["path"].encode(), delete=messages.DeleteUpdate(timestamp=now)))


def session(data):
    requests = queue.Queue()
    requests.put(messages.UpdatesRequest(open=messages.UpdatesOpen(
        partition=partition, sender=messages.Sender(address="127.0.0.1:1", device="sdb1", agent="client.py"))))
    answers = replication.Updates(iter(requests.get, None), timeout=TIMEOUT_SECONDS)
    results, accepted, summary = {}, None, None
    for answer in answers:
        kind = answer.WhichOneof("message")
        if kind == "accepted":
            accepted = answer.accepted
            for request in updates(data):
                requests.put(request)
            requests.put(None)
        elif kind == "results":
            for result in answer.results.results:
                results[result.update_id] = [messages.UpdateOutcome.Name(result.outcome), result.object_hash]
        elif kind == "summary":
            summary = answer.summary
    assert accepted is not None and summary is not None, "no whole session: %s %s" % (accepted, summary)
    return accepted, results, summary


def refused():
    """An unknown policy, told with details that a program can read."""
    wrong = types.PartitionRef(device="sdb1", partition=args["partition"], policy_index=77)
    try:
        list(replication.MissingCheck(iter([messages.MissingCheckRequest(partition=wrong)]), timeout=TIMEOUT_SECONDS))
    except grpc.RpcError as error:
        info = error_details_pb2.ErrorInfo()
        for detail in rpc_status.from_call(error).details:
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                detail.Unpack(info)
        return {"code": error.code().name, "reason": info.reason, "domain": info.domain}
    return {}


body = b"0123456789abcdef" * 12800 + b"end"
before = lacking([whole, chunked])
accepted, results, summary = session(body)
json.dump({
    "lacking": before,
    "inline_bytes_max": accepted.inline_bytes_max,
    "results": {str(update_id): result for update_id, result in results.items()},
    "applied": summary.applied,
    "failed": summary.failed,
    "lacking_after": lacking([whole, chunked, broken]),
    "chunked_md5": hashlib.md5(body).hexdigest(),
    "refused": refused(),
}, sys.stdout)
