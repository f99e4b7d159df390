"""Pushes a folder of objects to an ssync receiver; examples/README.md says how it is called and what it prints.

Everything happens at once: offers go up and wants come back (`MissingCheck`), wanted objects go up and verdicts come
back (`Updates`). Both calls are read while they are written, so neither side ever waits for the other to listen.
"""
import argparse
import asyncio
import hashlib
import json
import os
import sys
import time
from collections import deque
from dataclasses import dataclass

import grpc
from google.rpc import error_details_pb2 as details
from grpc_status.rpc_status import from_call
from ssync.v1 import replication_service_pb2 as pb
from ssync.v1 import replication_service_pb2_grpc as services
from ssync.v1 import types_pb2 as types

OFFERS_MAX = 1000  # in a message of a check
UNANSWERED_MAX = 8  # messages of a check
CHUNK_BYTES = 64 * 1024
HEARTBEAT_SECONDS = 15
RETRY_SECONDS = 1  # where a refusal that is worth another try names no time
KEEPALIVE = [("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 20_000)]
GOOD = {"APPLIED", "APPLIED_UNFLUSHED", "CONFIRMED", "SUPERSEDED"}


@dataclass
class Object:
    path: bytes  # /account/container/object
    file: bytes
    size: int
    ticks: int  # of ten microseconds, from the file's mtime
    hash: str
    partition: int
    etag: str | None  # if --checksums names one; else that of the bytes

    def offer(self):
        return types.ObjectOffer(object_hash=self.hash, data_timestamp=types.SwiftTimestamp(ticks=self.ticks),
                                 kind=types.OBJECT_KIND_DATA)


def find_objects(options):
    """FOLDER/account/container/object..., each with its place in the ring."""
    checksums = read_checksums(options.checksums) if options.checksums else {}
    for folder, _, names in os.walk(os.fsencode(options.folder)):
        for name in sorted(names):
            file = os.path.join(folder, name)
            below = os.path.relpath(file, os.fsencode(options.folder))
            if below.count(b"/") < 2:
                continue  # no object: it has no account or no container
            path = b"/" + below
            digest = hashlib.md5(os.fsencode(options.hash_prefix) + path + os.fsencode(options.hash_suffix)).digest()
            partition = int.from_bytes(digest[:4], "big") >> (32 - options.part_power)
            if options.partition is None or partition == options.partition:
                stat = os.stat(file)
                yield Object(path, file, stat.st_size, stat.st_mtime_ns // 10_000, digest.hex(), partition, checksums.get(below))


def read_checksums(file):
    """As md5sum prints them: the digest, two characters, the name."""
    with open(file, "rb") as lines:
        return {line[34:].rstrip(b"\n").removeprefix(b"./"): line[:32].decode() for line in lines}


class Refused(Exception):
    """A call that was refused: a reason for programs, a text for people, and when to come back."""

    def __init__(self, error):
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        info, retry = details.ErrorInfo(), details.RetryInfo()
        status = from_call(error)
        for detail in status.details if status else ():
            detail.Unpack(info) or detail.Unpack(retry)
        self.code, self.reason, self.message = error.code().name, info.reason, error.details()
        self.retry_seconds = retry.retry_delay.ToTimedelta().total_seconds() or None
        if self.retry_seconds is None and error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            self.retry_seconds = RETRY_SECONDS


class Pusher:
    def __init__(self, options, channel):
        self.options, self.replication = options, services.ReplicationServiceStub(channel)
        self.total = {"objects": 0, "pushed": 0, "equal": 0, "failed": 0, "refused": 0}

    async def push(self, objects):
        """Partition by partition; one that is refused is tried again after the others."""
        waiting = {}
        for one in objects:
            waiting.setdefault(one.partition, {})[one.hash] = one
        self.total["objects"] = sum(map(len, waiting.values()))
        turns = deque((partition, left, 1, 0) for partition, left in sorted(waiting.items()))
        while turns:
            partition, left, attempt, not_before = turns.popleft()
            await asyncio.sleep(max(0, not_before - time.monotonic()))
            before = len(left)
            try:
                await self.session(partition, left)
                if left:  # the receiver ended the session in order: open the next
                    turns.appendleft((partition, left, attempt + (len(left) == before), 0))
                continue
            except* grpc.aio.AioRpcError as errors:
                refused = Refused(errors)
            again = refused.retry_seconds is not None and attempt < self.options.tries
            tell("refused", partition=partition, code=refused.code, reason=refused.reason, message=refused.message,
                 retry_seconds=refused.retry_seconds, attempt=attempt, again=again)
            if again:
                turns.append((partition, left, attempt + 1, time.monotonic() + refused.retry_seconds))
            else:
                self.total["refused"] += len(left)
        tell("done", **self.total)
        return self.total["failed"] + self.total["refused"] == 0

    async def session(self, partition, left):
        """One session. An object with a verdict is taken out of `left`; what stays has to be offered again."""
        where = types.PartitionRef(device=self.options.device, partition=partition, policy_index=self.options.policy)
        call = self.replication.Updates()
        sender = pb.Sender(device=self.options.device, job=pb.JOB_CLIENT, agent="ssync-example-python/1")
        await call.write(pb.UpdatesRequest(open=pb.UpdatesOpen(partition=where, sender=sender)))
        async with asyncio.TaskGroup() as group:
            wants, draining = asyncio.Queue(), asyncio.Event()
            room, sent = None, {}
            async for answer in call:
                match answer.WhichOneof("message"):
                    case "accepted":
                        tell("accepted", partition=partition, offers=len(left))
                        room = asyncio.Semaphore(answer.accepted.outstanding_updates_max)
                        inline_max = min(answer.accepted.inline_bytes_max, CHUNK_BYTES)
                        check = group.create_task(self.check(where, list(left.values()), left, wants))
                        sending = group.create_task(self.send(call, wants, left, room, sent, draining, inline_max))
                    case "results":
                        for result in answer.results.results:
                            room.release()
                            self.settle(left, sent.pop(result.update_id), result)
                    case "draining":
                        tell("draining", partition=partition, message=answer.draining.reason)
                        draining.set()
                        wants.put_nowait(None)
                    case "summary":
                        summary = answer.summary
                        tell("summary", partition=partition, applied=summary.applied, confirmed=summary.confirmed,
                             superseded=summary.superseded, failed=summary.failed)
            if room is not None:
                check.cancel(), sending.cancel()

    async def check(self, where, objects, left, wants):
        """Offers up, wants down: each is handed on as soon as it is known."""
        call = self.replication.MissingCheck()
        window, unanswered = asyncio.Semaphore(UNANSWERED_MAX), deque()

        async def ask():
            for start in range(0, len(objects), OFFERS_MAX):
                await window.acquire()
                batch = objects[start:start + OFFERS_MAX]
                unanswered.append(start + len(batch))
                offers = [one.offer() for one in batch]
                await call.write(pb.MissingCheckRequest(partition=None if start else where, offers=offers))
            await call.done_writing()

        async with asyncio.TaskGroup() as group:
            group.create_task(ask())
            answered = 0
            async for answer in call:
                wanted = {want.object_hash for want in answer.wants if want.data}
                for one in objects[answered:answer.answered_offers]:
                    if one.hash in wanted:
                        wants.put_nowait(one)
                    else:
                        self.total["equal"] += 1
                        del left[one.hash]
                answered = answer.answered_offers
                while unanswered and unanswered[0] <= answered:
                    unanswered.popleft()
                    window.release()
        wants.put_nowait(None)

    async def send(self, call, wants, left, room, sent, draining, inline_max):
        """Feeds wants into the session until there are no more, or the receiver asks to finish."""
        update_id = 0
        while True:
            try:
                one = await asyncio.wait_for(wants.get(), HEARTBEAT_SECONDS)
            except TimeoutError:
                await call.write(pb.UpdatesRequest(heartbeat=pb.Heartbeat()))
                continue
            if one is None or draining.is_set():
                return await call.done_writing()
            try:
                with open(one.file, "rb") as file:
                    await room.acquire()
                    update_id += 1
                    sent[update_id] = one
                    await self.put(call, update_id, one, file, inline_max)
            except OSError as error:
                if sent.pop(update_id, None) is one:
                    room.release()
                self.fail(left, one, "UNREADABLE", str(error))
            except asyncio.InvalidStateError:
                return  # the call has ended; why is for its reader to say

    async def put(self, call, update_id, one, file, inline_max):
        head = pb.PutUpdate(timestamp=types.SwiftTimestamp(ticks=one.ticks), content_length=one.size, metadata=[
            types.MetadataEntry(name=b"Content-Type", value=b"application/octet-stream")])
        update = pb.Update(update_id=update_id, path=one.path, put=head)
        if one.size <= inline_max:
            data = file.read(one.size + 1)
            if len(data) != one.size:
                raise OSError(f"the file has not the {one.size} bytes of before")
            head.inline_body.CopyFrom(pb.InlineBody(data=data, etag=one.etag or hashlib.md5(data).hexdigest()))
            update.put.CopyFrom(head)
            return await call.write(pb.UpdatesRequest(update=update))
        await call.write(pb.UpdatesRequest(update=update))
        md5, length, trouble = hashlib.md5(), 0, None
        try:
            while chunk := file.read(CHUNK_BYTES):
                md5.update(chunk)
                length += len(chunk)
                await call.write(pb.UpdatesRequest(chunk=pb.BodyChunk(data=chunk)))
        except OSError as error:
            trouble = str(error)
        if trouble is None and length != one.size:
            trouble = f"the file has {length} bytes, not the {one.size} of before"
        # What cannot be read to its end is broken off: it costs this object, not the session.
        complete = pb.BodyComplete(etag=one.etag or md5.hexdigest())
        end = pb.BodyEnd(abort_reason=trouble) if trouble else pb.BodyEnd(complete=complete)
        await call.write(pb.UpdatesRequest(end=end))

    def settle(self, left, one, result):
        outcome = pb.UpdateOutcome.Name(result.outcome).removeprefix("UPDATE_OUTCOME_")
        if outcome in GOOD:
            del left[one.hash]
            self.total["pushed"] += 1
            return tell("object", path=os.fsdecode(one.path), hash=one.hash, outcome=outcome)
        info = details.ErrorInfo()
        for detail in result.error.details:
            detail.Unpack(info)
        self.fail(left, one, info.reason or outcome, result.error.message)

    def fail(self, left, one, reason, message):
        del left[one.hash]
        self.total["failed"] += 1
        tell("object", path=os.fsdecode(one.path), hash=one.hash, outcome="FAILED", reason=reason, message=message)


def tell(event, **what):
    print(json.dumps({"event": event} | {name: value for name, value in what.items() if value is not None}), flush=True)


def options():
    parser = argparse.ArgumentParser(description="Pushes FOLDER/account/container/object... to a device of a receiver.")
    parser.add_argument("address", help="HOST:PORT of the receiver")
    parser.add_argument("device", help="a device there, by its name in the ring")
    parser.add_argument("folder")
    parser.add_argument("--part-power", type=int, required=True, help="of the policy's ring")
    parser.add_argument("--hash-prefix", default="", help="swift_hash_path_prefix of swift.conf")
    parser.add_argument("--hash-suffix", default="", help="swift_hash_path_suffix of swift.conf")
    parser.add_argument("--policy", type=int, default=0, help="its index in swift.conf")
    parser.add_argument("--partition", type=int, help="only the objects of this one")
    parser.add_argument("--checksums", help="a file as md5sum prints it, with names below FOLDER")
    parser.add_argument("--tries", type=int, default=5, help="how often a refused partition is tried")
    given = parser.parse_args()
    if not os.path.isdir(given.folder):
        parser.error("%s is no folder" % given.folder)
    return given


async def main():
    given = options()
    async with grpc.aio.insecure_channel(given.address, options=KEEPALIVE) as channel:
        return await Pusher(given, channel).push(find_objects(given))


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
