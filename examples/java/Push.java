// Pushes a folder of objects to an ssync receiver; examples/README.md says how it is called and what it prints.

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Stream;
import ssync.v1.ObjectKind;
import ssync.v1.ObjectOffer;
import ssync.v1.ReplicationServiceGrpc;
import ssync.v1.ReplicationServiceGrpc.ReplicationServiceStub;
import ssync.v1.SwiftTimestamp;

/** The command: finds objects, and gives each partition its turn. */
public final class Push {
  /** Where a refusal that is worth another try names no time. */
  private static final double RETRY_SECONDS = 1;

  /** A file that stands for an object; its etag is null where --checksums names none. */
  record Entry(String path, Path file, long size, SwiftTimestamp time, String hash, int partition, String etag) {
    ObjectOffer offer() {
      return ObjectOffer.newBuilder().setObjectHash(hash).setDataTimestamp(time).setKind(ObjectKind.OBJECT_KIND_DATA).build();
    }
  }

  /** What a status says to programs; `retrySeconds` is null where nothing says when to come back. */
  record Told(String reason, Double retrySeconds) {
    static Told by(List<Any> details) {
      String reason = null;
      Double retry = null;
      try {
        for (Any detail : details) {
          if (detail.is(ErrorInfo.class)) reason = detail.unpack(ErrorInfo.class).getReason();
          if (detail.is(RetryInfo.class)) {
            var delay = detail.unpack(RetryInfo.class).getRetryDelay();
            retry = delay.getSeconds() + delay.getNanos() / 1e9;
          }
        }
      } catch (InvalidProtocolBufferException unreadable) {
        reason = null;
      }
      return new Told(reason, retry);
    }
  }

  /** What became of the objects. */
  static final class Totals {
    final AtomicInteger pushed = new AtomicInteger();
    final AtomicInteger equal = new AtomicInteger();
    final AtomicInteger failed = new AtomicInteger();
    int objects;
    int refused;
  }

  /** A partition that waits, with its objects that have no verdict yet, by hash. */
  private record Turn(int partition, Map<String, Entry> left, int attempt, long notBefore) {}

  final ReplicationServiceStub replication;
  final Totals total = new Totals();
  final String device;
  final int policy;

  private Push(ReplicationServiceStub replication, String device, int policy) {
    this.replication = replication;
    this.device = device;
    this.policy = policy;
  }

  /** Partition by partition; one that is refused is tried again after the others. */
  private boolean all(List<Entry> objects, int tries) throws InterruptedException {
    var partitions = new TreeMap<Integer, Map<String, Entry>>();
    for (Entry one : objects) partitions.computeIfAbsent(one.partition(), none -> new ConcurrentHashMap<>()).put(one.hash(), one);
    total.objects = objects.size();
    var turns = new ArrayDeque<Turn>();
    partitions.forEach((partition, left) -> turns.add(new Turn(partition, left, 1, System.nanoTime())));
    while (!turns.isEmpty()) {
      Turn turn = turns.poll();
      TimeUnit.NANOSECONDS.sleep(turn.notBefore - System.nanoTime());
      int before = turn.left.size();
      try {
        new Session(this, turn.partition, turn.left).run();
        int attempt = turn.attempt + (turn.left.size() == before ? 1 : 0);
        // The receiver ended the session in order: open the next.
        if (!turn.left.isEmpty()) turns.addFirst(new Turn(turn.partition, turn.left, attempt, System.nanoTime()));
      } catch (StatusRuntimeException refusal) {
        Double delay = refused(turn, refusal, tries);
        if (delay == null) total.refused += turn.left.size();
        else turns.add(new Turn(turn.partition, turn.left, turn.attempt + 1, System.nanoTime() + (long) (delay * 1e9)));
      }
    }
    tell("done", "objects", total.objects, "pushed", total.pushed, "equal", total.equal, "failed", total.failed, "refused", total.refused);
    return total.failed.get() + total.refused == 0;
  }

  /** Tells of a refusal; gives the seconds after which to come back, if that is of any use. */
  private Double refused(Turn turn, StatusRuntimeException refusal, int tries) {
    Status status = refusal.getStatus();
    var rpc = StatusProto.fromThrowable(refusal);
    Told told = Told.by(rpc == null ? List.of() : rpc.getDetailsList());
    boolean passing = status.getCode() == Status.Code.UNAVAILABLE || status.getCode() == Status.Code.DEADLINE_EXCEEDED;
    Double delay = told.retrySeconds() == null && passing ? (Double) RETRY_SECONDS : told.retrySeconds();
    boolean again = delay != null && turn.attempt < tries;
    tell("refused", "partition", turn.partition, "code", status.getCode().name(), "reason", told.reason(), "message",
        status.getDescription(), "retry_seconds", delay, "attempt", turn.attempt, "again", again);
    return again ? delay : null;
  }

  /** Prints one line: the event, and names with their values; those that are null are left out. */
  static void tell(String event, Object... what) {
    var line = new StringBuilder("{\"event\": \"" + event + '"');
    for (int i = 0; i < what.length; i += 2) {
      if (what[i + 1] == null) continue;
      line.append(", \"").append(what[i]).append("\": ");
      if (what[i + 1] instanceof String text) {
        line.append('"');
        text.chars().forEach(c -> line.append(c < 0x20 || c == '"' || c == '\\' ? String.format("\\u%04x", c) : (char) c));
        line.append('"');
      } else {
        line.append(what[i + 1]);
      }
    }
    synchronized (System.out) {
      System.out.println(line.append('}'));
    }
  }

  /** Finds FOLDER/account/container/object..., each with its place in the ring. */
  private static List<Entry> find(Path folder, Map<String, String> options) throws IOException {
    var etags = new HashMap<String, String>();
    if (options.containsKey("checksums")) {
      for (String line : Files.readAllLines(Path.of(options.get("checksums")))) { // as md5sum prints them
        if (line.length() > 34) etags.put(line.substring(34).replaceFirst("^\\./", ""), line.substring(0, 32));
      }
    }
    int partPower = Integer.parseInt(options.get("part-power"));
    var only = options.containsKey("partition") ? Integer.valueOf(options.get("partition")) : null;
    var found = new ArrayList<Entry>();
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : (Iterable<Path>) files::iterator) {
        String below = folder.relativize(file).toString();
        if (Files.isDirectory(file) || below.split("/").length < 3) continue; // no object: no account, or no container
        String salted = options.getOrDefault("hash-prefix", "") + "/" + below + options.getOrDefault("hash-suffix", "");
        String hash = HexFormat.of().formatHex(md5().digest(salted.getBytes("UTF-8")));
        int partition = (int) (Long.parseLong(hash.substring(0, 8), 16) >> (32 - partPower));
        if (only != null && only != partition) continue;
        long ticks = Files.getLastModifiedTime(file).to(TimeUnit.MICROSECONDS) / 10;
        var time = SwiftTimestamp.newBuilder().setTicks(ticks).build();
        found.add(new Entry("/" + below, file, Files.size(file), time, hash, partition, etags.get(below)));
      }
    }
    return found;
  }

  static MessageDigest md5() {
    try {
      return MessageDigest.getInstance("MD5");
    } catch (java.security.NoSuchAlgorithmException never) {
      throw new AssertionError(never);
    }
  }

  public static void main(String[] arguments) throws Exception {
    Logger.getLogger("io.grpc").setLevel(Level.SEVERE);
    var known = List.of("part-power", "hash-prefix", "hash-suffix", "policy", "partition", "checksums", "tries");
    var options = new HashMap<String, String>();
    var words = new ArrayList<String>();
    for (int i = 0; i < arguments.length; i++) {
      boolean option = arguments[i].startsWith("--") && known.contains(arguments[i].substring(2)) && i + 1 < arguments.length;
      if (option) options.put(arguments[i].substring(2), arguments[++i]);
      else words.add(arguments[i]);
    }
    if (words.size() != 3 || !options.containsKey("part-power")) {
      System.err.println("usage: push ADDRESS DEVICE FOLDER --part-power N [--hash-prefix TEXT] [--hash-suffix TEXT] [--policy N] "
          + "[--partition N] [--checksums FILE] [--tries N]");
      System.exit(2);
    }
    ManagedChannel channel = NettyChannelBuilder.forTarget(words.get(0)).usePlaintext()
        .keepAliveTime(30, TimeUnit.SECONDS).keepAliveTimeout(20, TimeUnit.SECONDS).build();
    var push = new Push(ReplicationServiceGrpc.newStub(channel), words.get(1), Integer.parseInt(options.getOrDefault("policy", "0")));
    boolean good = push.all(find(Path.of(words.get(2)), options), Integer.parseInt(options.getOrDefault("tries", "5")));
    channel.shutdownNow();
    System.exit(good ? 0 : 1);
  }
}
