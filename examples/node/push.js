// Pushes a folder of objects to an ssync receiver; examples/README.md says how it is called and what it prints.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { open, readFile, readdir, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import protobuf from "protobufjs";

const OFFERS_MAX = 1000; // in a message of a check
const UNANSWERED_MAX = 8; // messages of a check
const CHUNK_BYTES = 64 * 1024;
const HEARTBEAT_MS = 15_000;
const RETRY_SECONDS = 1; // where a refusal that is worth another try names no time
const GOOD = new Set(["APPLIED", "APPLIED_UNFLUSHED", "CONFIRMED", "SUPERSEDED"]);
const CONTENT_TYPE = { name: Buffer.from("Content-Type"), value: Buffer.from("application/octet-stream") };

const proto = new URL("proto", import.meta.url).pathname;
const definition = loadSync("ssync/v1/replication_service.proto", {
  includeDirs: [proto], longs: Number, enums: String, defaults: true, oneofs: true,
});
const { ReplicationService } = grpc.loadPackageDefinition(definition).ssync.v1;
const rpc = new protobuf.Root();
rpc.resolvePath = (_, file) => join(proto, file);
rpc.loadSync(["google/rpc/status.proto", "google/rpc/error_details.proto"]);

// What the details of a status say to programs: the reason, and when to come back.
function read(details) {
  const told = {};
  for (const detail of details ?? []) {
    const [name, value] = [(detail.type_url ?? detail.typeUrl).split("/").pop(), detail.value];
    if (name === "google.rpc.ErrorInfo") told.reason = rpc.lookupType(name).decode(value).reason;
    if (name === "google.rpc.RetryInfo") {
      const { seconds, nanos } = rpc.lookupType(name).decode(value).retryDelay;
      told.retrySeconds = Number(seconds) + nanos / 1e9;
    }
  }
  return told;
}

function readStatus(error) {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  const told = bytes ? read(rpc.lookupType("google.rpc.Status").decode(bytes).details) : {};
  if ([grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED].includes(error.code)) told.retrySeconds ??= RETRY_SECONDS;
  return told;
}

const tell = (event, what) => console.log(JSON.stringify({ event, ...what }));

// Finds FOLDER/account/container/object..., each with its place in the ring.
async function findObjects(folder, options) {
  const etags = new Map();
  if (options.checksums) {
    for (const line of (await readFile(options.checksums, "utf8")).split("\n")) {
      if (line.length > 34) etags.set(line.slice(34).replace(/^\.\//, ""), line.slice(0, 32)); // as md5sum prints them
    }
  }
  const found = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const file = join(entry.path, entry.name);
    const below = relative(folder, file);
    if (entry.isDirectory() || below.split("/").length < 3) continue; // no object: no account, or no container
    const path = `/${below}`;
    const digest = createHash("md5").update(options["hash-prefix"] + path + options["hash-suffix"]).digest();
    const partition = Math.floor(digest.readUInt32BE() / 2 ** (32 - Number(options["part-power"])));
    if (options.partition !== undefined && partition !== Number(options.partition)) continue;
    const { size, mtimeNs } = await stat(file, { bigint: true });
    const timestamp = { ticks: Number(mtimeNs / 10_000n) }; // of ten microseconds
    found.push({ path, file, size: Number(size), timestamp, hash: digest.toString("hex"), partition, etag: etags.get(below) });
  }
  return found;
}

// A queue with one reader; `next` gives undefined when nothing came for so long.
class Queue {
  #items = [];
  #wake = () => {};
  put(item) {
    this.#items.push(item);
    this.#wake();
  }
  async next(patience) {
    if (!this.#items.length) {
      const timer = setTimeout(() => this.#wake(), patience);
      await new Promise((wake) => (this.#wake = wake));
      clearTimeout(timer);
    }
    return this.#items.shift();
  }
}

// A receiver that reads slowly slows us down; one that has ended the call says why to its reader.
const write = async (call, message) => {
  if (!call.destroyed && !call.write(message)) await Promise.race([once(call, "drain"), once(call, "close")]).catch(() => {});
};

class Pusher {
  total = { objects: 0, pushed: 0, equal: 0, failed: 0, refused: 0 };

  constructor(client, device, options) {
    Object.assign(this, { client, device, policyIndex: Number(options.policy), tries: Number(options.tries) });
  }

  // Partition by partition; one that is refused is tried again after the others.
  async push(objects) {
    this.total.objects = objects.length;
    const partitions = new Map();
    for (const one of objects) partitions.set(one.partition, (partitions.get(one.partition) ?? new Map()).set(one.hash, one));
    const turns = [...partitions].sort(([a], [b]) => a - b).map(([partition, left]) => ({ partition, left, attempt: 1, notBefore: 0 }));
    while (turns.length) {
      const turn = turns.shift();
      await sleep(Math.max(0, turn.notBefore - Date.now()));
      const before = turn.left.size;
      try {
        await this.session(turn);
        if (!turn.left.size) continue;
        if (turn.left.size === before) turn.attempt++;
        turns.unshift(turn); // the receiver ended the session in order: open the next
      } catch (error) {
        if (error.code === undefined || error.details === undefined) throw error;
        const { reason, retrySeconds } = readStatus(error);
        const again = retrySeconds !== undefined && turn.attempt < this.tries;
        tell("refused", {
          partition: turn.partition, code: grpc.status[error.code], reason, message: error.details,
          retry_seconds: retrySeconds, attempt: turn.attempt, again,
        });
        if (again) turns.push({ ...turn, attempt: turn.attempt + 1, notBefore: Date.now() + retrySeconds * 1000 });
        else this.total.refused += turn.left.size;
      }
    }
    tell("done", this.total);
    return this.total.failed + this.total.refused === 0;
  }

  // One session. An object with a verdict is taken out of `left`; what stays has to be offered again.
  async session({ partition, left }) {
    const where = { device: this.device, partition, policyIndex: this.policyIndex };
    const call = this.client.Updates();
    call.on("error", () => {}); // told to the reader below
    const state = { call, left, wants: new Queue(), room: 0, waiting: new Queue(), sent: new Map(), draining: false };
    const sender = { device: this.device, job: "JOB_CLIENT", agent: "ssync-example-node/1" };
    call.write({ open: { partition: where, sender } });
    try {
      for await (const answer of call) {
        switch (answer.message) {
          case "accepted":
            tell("accepted", { partition, offers: left.size });
            state.room = answer.accepted.outstandingUpdatesMax;
            state.inlineMax = Math.min(answer.accepted.inlineBytesMax, CHUNK_BYTES);
            for (const half of [this.check(where, state), this.send(state)]) half.catch((error) => this.giveUp(state, error));
            break;
          case "results":
            for (const result of answer.results.results) this.settle(state, result);
            break;
          case "draining":
            tell("draining", { partition, message: answer.draining.reason });
            state.draining = true;
            state.wants.put(null);
            break;
          case "summary": {
            const { applied, confirmed, superseded, failed } = answer.summary;
            tell("summary", { partition, applied, confirmed, superseded, failed });
          }
        }
      }
    } catch (error) {
      throw state.trouble ?? error;
    } finally {
      state.over = true;
      state.wants.put(null);
      state.waiting.put(null);
      state.check?.cancel();
    }
  }

  // A session whose check was refused is of no use.
  giveUp(state, error) {
    if (state.over) return;
    state.trouble = error;
    state.call.cancel();
  }

  // Offers up, wants down: each is handed on as soon as it is known.
  async check(where, state) {
    const { left, wants } = state;
    const objects = [...left.values()];
    const call = (state.check = this.client.MissingCheck());
    call.on("error", () => {});
    let offered = 0;
    let answered = 0;
    const ask = () => {
      while (offered < objects.length && offered - answered <= (UNANSWERED_MAX - 1) * OFFERS_MAX) {
        const batch = objects.slice(offered, offered + OFFERS_MAX);
        const offers = batch.map((one) => ({ objectHash: one.hash, dataTimestamp: one.timestamp, kind: "OBJECT_KIND_DATA" }));
        call.write({ partition: offered ? undefined : where, offers });
        offered += batch.length;
        if (offered === objects.length) call.end();
      }
    };
    ask();
    for await (const answer of call) {
      const wanted = new Set(answer.wants.filter((want) => want.data).map((want) => want.objectHash));
      for (; answered < answer.answeredOffers; answered++) {
        const one = objects[answered];
        if (wanted.has(one.hash)) {
          wants.put(one);
        } else {
          left.delete(one.hash);
          this.total.equal++;
        }
      }
      ask();
    }
    wants.put(null);
  }

  // Feeds wants into the session until there are no more, or the receiver asks to finish.
  async send(state) {
    for (let updateId = 1; ; ) {
      const one = await state.wants.next(HEARTBEAT_MS);
      if (one === undefined) {
        await write(state.call, { heartbeat: {} });
        continue;
      }
      while (one && !state.room && !state.over) await state.waiting.next(HEARTBEAT_MS);
      if (one === null || state.draining || state.over) return state.call.end();
      state.room--;
      state.sent.set(updateId, one);
      try {
        await this.put(state, updateId, one);
      } catch (error) {
        state.sent.delete(updateId);
        state.room++;
        this.fail(state, one, "UNREADABLE", error.message);
      }
      updateId++;
    }
  }

  // A small body in one message, a larger one in pieces. An error means that nothing was sent.
  async put({ call, inlineMax }, updateId, one) {
    const file = await open(one.file);
    try {
      const update = { updateId, path: Buffer.from(one.path), put: { timestamp: one.timestamp, contentLength: one.size, metadata: [CONTENT_TYPE] } };
      if (one.size <= inlineMax) {
        const data = await file.readFile();
        if (data.length !== one.size) throw new Error(`the file has ${data.length} bytes, not the ${one.size} of before`);
        update.put.inlineBody = { data, etag: one.etag ?? createHash("md5").update(data).digest("hex") };
        return await write(call, { update });
      }
      await write(call, { update });
      const md5 = createHash("md5");
      let [length, trouble] = [0, null];
      try {
        for await (const data of file.createReadStream({ highWaterMark: CHUNK_BYTES, autoClose: false })) {
          md5.update(data);
          length += data.length;
          await write(call, { chunk: { data } });
        }
        if (length !== one.size) trouble = `the file has ${length} bytes, not the ${one.size} of before`;
      } catch (error) {
        trouble = error.message;
      }
      // What cannot be read to its end is broken off: it costs this object, not the session.
      await write(call, { end: trouble ? { abortReason: trouble } : { complete: { etag: one.etag ?? md5.digest("hex") } } });
    } finally {
      await file.close();
    }
  }

  // Takes a verdict.
  settle(state, result) {
    const one = state.sent.get(result.updateId);
    if (!one) return;
    state.sent.delete(result.updateId);
    state.room++;
    state.waiting.put(true);
    const outcome = result.outcome.replace("UPDATE_OUTCOME_", "");
    if (!GOOD.has(outcome)) {
      return this.fail(state, one, read(result.error?.details).reason ?? outcome, result.error?.message);
    }
    state.left.delete(one.hash);
    this.total.pushed++;
    tell("object", { path: one.path, hash: one.hash, outcome });
  }

  fail(state, one, reason, message) {
    state.left.delete(one.hash);
    this.total.failed++;
    tell("object", { path: one.path, hash: one.hash, outcome: "FAILED", reason, message });
  }
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "part-power": { type: "string" }, "hash-prefix": { type: "string", default: "" },
    "hash-suffix": { type: "string", default: "" }, policy: { type: "string", default: "0" },
    partition: { type: "string" }, checksums: { type: "string" }, tries: { type: "string", default: "5" },
  },
});
if (positionals.length !== 3 || !options["part-power"]) {
  console.error("usage: push ADDRESS DEVICE FOLDER --part-power N [--hash-prefix TEXT] [--hash-suffix TEXT] [--policy N] " +
    "[--partition N] [--checksums FILE] [--tries N]");
  process.exit(2);
}
const [address, device, folder] = positionals;
const client = new ReplicationService(address, grpc.credentials.createInsecure(), {
  "grpc.keepalive_time_ms": 30_000, "grpc.keepalive_timeout_ms": 20_000,
});
const good = await new Pusher(client, device, options).push(await findObjects(folder, options));
client.close();
process.exitCode = good ? 0 : 1;
