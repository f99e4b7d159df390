import com.google.protobuf.ByteString;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import ssync.v1.BodyChunk;
import ssync.v1.BodyComplete;
import ssync.v1.BodyEnd;
import ssync.v1.Heartbeat;
import ssync.v1.InlineBody;
import ssync.v1.Job;
import ssync.v1.MetadataEntry;
import ssync.v1.MissingCheckRequest;
import ssync.v1.MissingCheckResponse;
import ssync.v1.PartitionRef;
import ssync.v1.PutUpdate;
import ssync.v1.Sender;
import ssync.v1.Update;
import ssync.v1.UpdateResult;
import ssync.v1.UpdatesOpen;
import ssync.v1.UpdatesRequest;
import ssync.v1.UpdatesResponse;

/** One session: offers and wants on one call, objects and verdicts on the other, all at once. */
final class Session {
  private static final int OFFERS_MAX = 1000; // in a message of a check
  private static final int UNANSWERED_MAX = 8; // messages of a check
  private static final int CHUNK_BYTES = 64 * 1024;
  private static final int HEARTBEAT_SECONDS = 15;
  private static final MetadataEntry CONTENT_TYPE = MetadataEntry.newBuilder()
      .setName(ByteString.copyFromUtf8("Content-Type")).setValue(ByteString.copyFromUtf8("application/octet-stream")).build();
  /** Behind the last want. */
  private static final Push.Entry END = new Push.Entry("", null, 0, null, "", 0, null);

  private final Push push;
  private final PartitionRef where;
  private final Map<String, Push.Entry> left;
  private final Map<Long, Push.Entry> sent = new ConcurrentHashMap<>();
  private final BlockingQueue<Push.Entry> wants = new LinkedBlockingQueue<>();
  private final Semaphore room = new Semaphore(0); // updates that may still be sent before a result comes
  private final Call<UpdatesRequest, UpdatesResponse> updates = new Call<>(this::take, this::ended);
  private final Call<MissingCheckRequest, MissingCheckResponse> check = new Call<>(this::answered, this::checked);
  private List<Push.Entry> offers = List.of();
  private int offered;
  private int answered;
  private volatile boolean draining;
  private volatile int inlineMax;

  /** An object with a verdict is taken out of `left`; what stays has to be offered again. */
  Session(Push push, int partition, Map<String, Push.Entry> left) {
    this.push = push;
    this.left = left;
    this.where = PartitionRef.newBuilder().setDevice(push.device).setPartition(partition).setPolicyIndex(push.policy).build();
  }

  /** Runs to the end of the session; a refusal of either call is thrown. */
  void run() throws InterruptedException {
    push.replication.updates(updates);
    var sender = Sender.newBuilder().setDevice(push.device).setJob(Job.JOB_CLIENT).setAgent("ssync-example-java/1");
    updates.write(UpdatesRequest.newBuilder().setOpen(UpdatesOpen.newBuilder().setPartition(where).setSender(sender)).build());
    send();
    updates.end();
    StatusRuntimeException refusal = updates.await();
    check.cancel();
    if (check.refusal() != null && check.refusal().getStatus().getCode() != Status.Code.CANCELLED) throw check.refusal();
    if (refusal != null) throw refusal;
  }

  /** Feeds wants into the session until there are no more, or the receiver asks to finish. */
  private void send() throws InterruptedException {
    for (long id = 1;;) {
      Push.Entry one = wants.poll(HEARTBEAT_SECONDS, TimeUnit.SECONDS);
      if (one == null) {
        updates.write(UpdatesRequest.newBuilder().setHeartbeat(Heartbeat.getDefaultInstance()).build());
        continue;
      }
      if (one == END || draining) return;
      room.acquire();
      sent.put(id, one);
      try {
        put(id, one);
      } catch (IOException trouble) {
        sent.remove(id);
        room.release();
        fail(one, "UNREADABLE", trouble.toString());
      }
      id++;
    }
  }

  /** A small body in one message, a larger one in pieces. An exception means that nothing was sent. */
  private void put(long id, Push.Entry one) throws IOException, InterruptedException {
    var head = PutUpdate.newBuilder().setTimestamp(one.time()).setContentLength(one.size()).addMetadata(CONTENT_TYPE);
    var update = Update.newBuilder().setUpdateId(id).setPath(ByteString.copyFromUtf8(one.path()));
    try (InputStream file = Files.newInputStream(one.file())) {
      var md5 = Push.md5();
      if (one.size() <= inlineMax) {
        byte[] data = file.readNBytes((int) one.size() + 1);
        if (data.length != one.size()) throw new IOException("the file has not the " + one.size() + " bytes of before");
        head.setInlineBody(InlineBody.newBuilder().setData(ByteString.copyFrom(data)).setEtag(etag(one, md5.digest(data))));
        updates.write(UpdatesRequest.newBuilder().setUpdate(update.setPut(head)).build());
        return;
      }
      updates.write(UpdatesRequest.newBuilder().setUpdate(update.setPut(head)).build());
      long length = 0;
      String trouble = null;
      try {
        for (byte[] data; (data = file.readNBytes(CHUNK_BYTES)).length > 0; length += data.length) {
          md5.update(data);
          updates.write(UpdatesRequest.newBuilder().setChunk(BodyChunk.newBuilder().setData(ByteString.copyFrom(data))).build());
        }
        if (length != one.size()) trouble = "the file has " + length + " bytes, not the " + one.size() + " of before";
      } catch (IOException unreadable) {
        trouble = unreadable.toString();
      }
      // What cannot be read to its end is broken off: it costs this object, not the session.
      var end = trouble != null ? BodyEnd.newBuilder().setAbortReason(trouble)
          : BodyEnd.newBuilder().setComplete(BodyComplete.newBuilder().setEtag(etag(one, md5.digest())));
      updates.write(UpdatesRequest.newBuilder().setEnd(end).build());
    }
  }

  private static String etag(Push.Entry one, byte[] digest) {
    return one.etag() != null ? one.etag() : HexFormat.of().formatHex(digest);
  }

  /** What the receiver says in the session. */
  private void take(UpdatesResponse answer) {
    switch (answer.getMessageCase()) {
      case ACCEPTED -> {
        Push.tell("accepted", "partition", where.getPartition(), "offers", left.size());
        inlineMax = Math.min(answer.getAccepted().getInlineBytesMax(), CHUNK_BYTES);
        room.release(answer.getAccepted().getOutstandingUpdatesMax());
        offers = List.copyOf(left.values());
        push.replication.missingCheck(check);
        ask();
      }
      case RESULTS -> answer.getResults().getResultsList().forEach(this::settle);
      case DRAINING -> {
        Push.tell("draining", "partition", where.getPartition(), "message", answer.getDraining().getReason());
        draining = true;
        wants.add(END);
      }
      case SUMMARY -> {
        var summary = answer.getSummary();
        Push.tell("summary", "partition", where.getPartition(), "applied", summary.getApplied(), "confirmed",
            summary.getConfirmed(), "superseded", summary.getSuperseded(), "failed", summary.getFailed());
      }
      default -> { } // opened, or a sign of life
    }
  }

  private void ended() {
    wants.add(END);
    room.release(OFFERS_MAX);
  }

  /** Offers, as many as may be unanswered. */
  private void ask() {
    while (offered < offers.size() && offered - answered <= (UNANSWERED_MAX - 1) * OFFERS_MAX) {
      var question = MissingCheckRequest.newBuilder();
      if (offered == 0) question.setPartition(where);
      var batch = offers.subList(offered, Math.min(offered + OFFERS_MAX, offers.size()));
      batch.forEach(one -> question.addOffers(one.offer()));
      check.say(question.build());
      offered += batch.size();
      if (offered == offers.size()) check.end();
    }
  }

  /** Wants are handed on as soon as they are known. */
  private void answered(MissingCheckResponse answer) {
    var wanted = new HashSet<String>();
    answer.getWantsList().forEach(want -> { if (want.getData()) wanted.add(want.getObjectHash()); });
    for (; answered < answer.getAnsweredOffers() && answered < offers.size(); answered++) {
      Push.Entry one = offers.get(answered);
      if (wanted.contains(one.hash())) {
        wants.add(one);
      } else {
        left.remove(one.hash());
        push.total.equal.incrementAndGet();
      }
    }
    ask();
  }

  private void checked() {
    wants.add(END);
    if (check.refusal() != null) updates.cancel();
  }

  private void settle(UpdateResult result) {
    Push.Entry one = sent.remove(result.getUpdateId());
    if (one == null) return;
    room.release();
    String outcome = result.getOutcome().name().replace("UPDATE_OUTCOME_", "");
    switch (result.getOutcome()) {
      case UPDATE_OUTCOME_APPLIED, UPDATE_OUTCOME_APPLIED_UNFLUSHED, UPDATE_OUTCOME_CONFIRMED, UPDATE_OUTCOME_SUPERSEDED -> {
        left.remove(one.hash());
        push.total.pushed.incrementAndGet();
        Push.tell("object", "path", one.path(), "hash", one.hash(), "outcome", outcome);
      }
      default -> {
        String reason = Push.Told.by(result.getError().getDetailsList()).reason();
        fail(one, reason != null ? reason : outcome, result.getError().getMessage());
      }
    }
  }

  private void fail(Push.Entry one, String reason, String message) {
    left.remove(one.hash());
    push.total.failed.incrementAndGet();
    Push.tell("object", "path", one.path(), "hash", one.hash(), "outcome", "FAILED", "reason", reason, "message", message);
  }
}
