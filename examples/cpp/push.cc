// Pushes a folder of objects to an ssync receiver; examples/README.md says how it is called and what it prints.
#include <getopt.h>
#include <grpcpp/grpcpp.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "google/rpc/error_details.pb.h"
#include "ssync/v1/replication_service.grpc.pb.h"

namespace v1 = ssync::v1;
using std::string;
using Clock = std::chrono::steady_clock;

constexpr size_t kOffersMax = 1000;    // in a message of a check
constexpr size_t kUnansweredMax = 8;   // messages of a check
constexpr size_t kChunkBytes = 64 * 1024;
constexpr auto kHeartbeat = std::chrono::seconds(15);
constexpr double kRetrySeconds = 1;    // where a refusal that is worth another try names no time

// === What is printed ===

class Line {
 public:
  explicit Line(const char* event) { (*this)("event", event); }
  ~Line() {
    static std::mutex printing;
    std::lock_guard lock(printing);
    std::cout << text_ << "}" << std::endl;
  }
  Line& operator()(const char* name, const string& value) {
    add(name) += '"';
    for (unsigned char c : value) {
      char escaped[8];
      if (c == '"' || c == '\\') (text_ += '\\') += static_cast<char>(c);
      else if (c < 0x20) snprintf(escaped, sizeof escaped, "\\u%04x", c), text_ += escaped;
      else text_ += static_cast<char>(c);
    }
    text_ += '"';
    return *this;
  }
  Line& operator()(const char* name, const char* value) { return (*this)(name, string(value)); }
  Line& operator()(const char* name, bool value) { return add(name) += value ? "true" : "false", *this; }
  Line& operator()(const char* name, double value) { return add(name) += std::to_string(value), *this; }
  template <typename Integer> Line& operator()(const char* name, Integer value) { return add(name) += std::to_string(value), *this; }

 private:
  string& add(const char* name) { return text_ += string(text_.empty() ? "{" : ", ") + '"' + name + "\": "; }
  string text_;
};

// === Objects ===

class Md5 {
 public:
  Md5() { EVP_DigestInit_ex(context_.get(), EVP_md5(), nullptr); }
  Md5& update(const string& data) { return EVP_DigestUpdate(context_.get(), data.data(), data.size()), *this; }
  string hex() {
    unsigned char digest[16];
    EVP_DigestFinal_ex(context_.get(), digest, nullptr);
    char text[33];
    for (int i = 0; i < 16; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

struct Object {
  string path;  // /account/container/object
  string file;
  uint64_t size, ticks;  // of ten microseconds, from the file's mtime
  string hash;
  uint32_t partition;
  string etag;  // if --checksums names one; else that of the bytes
};

struct Options {
  string address, device, folder, hash_prefix, hash_suffix, checksums;
  uint32_t part_power = 0, policy = 0;
  std::optional<uint32_t> partition;
  int tries = 5;
};

// Objects that have no verdict yet, by hash.
using Left = std::map<string, Object>;

std::map<uint32_t, Left> find_objects(const Options& options) {
  std::map<string, string> etags;
  std::ifstream checksums(options.checksums);
  for (string line; std::getline(checksums, line);) {  // as md5sum prints them
    if (line.size() <= 34) continue;
    string name = line.substr(34);
    etags[name.rfind("./", 0) == 0 ? name.substr(2) : name] = line.substr(0, 32);
  }
  std::map<uint32_t, Left> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(options.folder)) {
    string below = entry.path().lexically_relative(options.folder);
    if (entry.is_directory() || std::count(below.begin(), below.end(), '/') < 2) continue;  // no object
    string path = "/" + below, hash = Md5().update(options.hash_prefix + path + options.hash_suffix).hex();
    uint32_t partition = std::stoull(hash.substr(0, 8), nullptr, 16) >> (32 - options.part_power);
    struct stat file;
    if (options.partition.value_or(partition) != partition || stat(entry.path().c_str(), &file) != 0) continue;
    uint64_t ticks = file.st_mtim.tv_sec * 100000ull + file.st_mtim.tv_nsec / 10000;
    found[partition][hash] = {path, entry.path(), static_cast<uint64_t>(file.st_size), ticks, hash, partition, etags[below]};
  }
  return found;
}

// What the details of a status say to programs: the reason, and when to come back.
std::pair<string, std::optional<double>> read(const google::rpc::Status& status) {
  string reason;
  std::optional<double> retry;
  for (const auto& detail : status.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::RetryInfo again;
    if (detail.UnpackTo(&info)) reason = info.reason();
    if (detail.UnpackTo(&again)) retry = again.retry_delay().seconds() + again.retry_delay().nanos() / 1e9;
  }
  return {reason, retry};
}

struct Totals {
  size_t objects = 0, pushed = 0, equal = 0, failed = 0, refused = 0;
};

// === One session: three threads, each with a direction of its own ===

class Session {
 public:
  Session(v1::ReplicationService::Stub& stub, const Options& options, uint32_t partition, Left& left, Totals& total)
      : stub_(stub), left_(left), total_(total) {
    where_.set_device(options.device);
    where_.set_partition(partition);
    where_.set_policy_index(options.policy);
  }

  // An object with a verdict is taken out of `left`; what stays has to be offered again.
  grpc::Status run() {
    call_ = stub_.Updates(&context_);
    v1::UpdatesRequest open;
    *open.mutable_open()->mutable_partition() = where_;
    auto* sender = open.mutable_open()->mutable_sender();
    sender->set_device(where_.device());
    sender->set_job(v1::JOB_CLIENT);
    sender->set_agent("ssync-example-cpp/1");
    call_->Write(open);
    std::thread checking, sending;
    for (v1::UpdatesResponse answer; call_->Read(&answer);) {
      if (answer.has_accepted()) {
        Line("accepted")("partition", where_.partition())("offers", left_.size());
        room_ = answer.accepted().outstanding_updates_max();
        inline_max_ = std::min<size_t>(answer.accepted().inline_bytes_max(), kChunkBytes);
        std::vector<Object> objects;
        for (const auto& [hash, one] : left_) objects.push_back(one);
        checking = std::thread([this, objects] { check(objects); });
        sending = std::thread([this] { send(); });
      } else if (answer.has_results()) {
        for (const auto& result : answer.results().results()) settle(result);
      } else if (answer.has_draining()) {
        Line("draining")("partition", where_.partition())("message", answer.draining().reason());
        change([this] { draining_ = true; });
      } else if (answer.has_summary()) {
        const auto& summary = answer.summary();
        Line("summary")("partition", where_.partition())("applied", summary.applied())("confirmed", summary.confirmed())(
            "superseded", summary.superseded())("failed", summary.failed());
      }
    }
    change([this] { over_ = true; });
    check_context_.TryCancel();
    if (checking.joinable()) checking.join(), sending.join();
    grpc::Status status = call_->Finish();
    return check_status_.ok() || check_status_.error_code() == grpc::CANCELLED ? status : check_status_;
  }

 private:
  template <typename Change> void change(Change change) {
    std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }

  // Offers up, wants down: each is handed on as soon as it is known.
  void check(const std::vector<Object>& objects) {
    auto call = stub_.MissingCheck(&check_context_);
    size_t offered = 0, answered = 0;
    auto ask = [&] {
      while (offered < objects.size() && offered - answered <= (kUnansweredMax - 1) * kOffersMax) {
        v1::MissingCheckRequest question;
        if (offered == 0) *question.mutable_partition() = where_;
        for (size_t end = std::min(offered + kOffersMax, objects.size()); offered < end; offered++) {
          auto* offer = question.add_offers();
          offer->set_object_hash(objects[offered].hash);
          offer->mutable_data_timestamp()->set_ticks(objects[offered].ticks);
          offer->set_kind(v1::OBJECT_KIND_DATA);
        }
        call->Write(question);
        if (offered == objects.size()) call->WritesDone();
      }
    };
    ask();
    for (v1::MissingCheckResponse answer; call->Read(&answer); ask()) {
      std::set<string> wanted;
      for (const auto& want : answer.wants()) if (want.data()) wanted.insert(want.object_hash());
      change([&] {
        for (; answered < answer.answered_offers() && answered < objects.size(); answered++) {
          const Object& one = objects[answered];
          if (wanted.count(one.hash)) wants_.push_back(one);
          else total_.equal++, left_.erase(one.hash);
        }
      });
    }
    check_status_ = call->Finish();
    change([this] { checked_ = true; });
    // Its refusal is that of the session, which is of no use without it.
    if (!check_status_.ok()) context_.TryCancel();
  }

  // Feeds wants into the session until there are no more, or the receiver asks to finish.
  void send() {
    for (uint64_t id = 1;;) {
      Object one;
      {
        std::unique_lock lock(mutex_);
        auto ready = [this] { return over_ || draining_ || (room_ > 0 && !wants_.empty()) || (checked_ && wants_.empty()); };
        if (!changed_.wait_for(lock, kHeartbeat, ready)) {
          v1::UpdatesRequest alive;
          alive.mutable_heartbeat();
          call_->Write(alive);
          continue;
        }
        if (over_ || draining_ || wants_.empty()) break;
        one = wants_.front();
        wants_.pop_front();
        sent_[id] = one;
        room_--;
      }
      if (string trouble = put(id, one); !trouble.empty()) {
        change([&] { sent_.erase(id), room_++; });
        fail(one, "UNREADABLE", trouble);
      }
      id++;
    }
    call_->WritesDone();
  }

  // A small body in one message, a larger one in pieces. A text means that nothing was sent, and says why.
  string put(uint64_t id, const Object& one) {
    v1::UpdatesRequest request;
    auto* update = request.mutable_update();
    update->set_update_id(id);
    update->set_path(one.path);
    auto* head = update->mutable_put();
    head->mutable_timestamp()->set_ticks(one.ticks);
    head->set_content_length(one.size);
    auto* kind = head->add_metadata();
    kind->set_name("Content-Type");
    kind->set_value("application/octet-stream");

    std::ifstream file(one.file, std::ios::binary);
    string data(one.size <= inline_max_ ? one.size + 1 : kChunkBytes, '\0');
    auto next = [&] { return file.read(data.data(), data.size()), static_cast<size_t>(file.gcount()); };
    size_t count = next();
    if (file.bad() || !file.is_open()) return one.file + " cannot be read";
    if (one.size <= inline_max_) {
      if (count != one.size) return one.file + " has not the bytes of before";
      data.resize(count);
      head->mutable_inline_body()->set_etag(one.etag.empty() ? Md5().update(data).hex() : one.etag);
      head->mutable_inline_body()->set_data(data);
      call_->Write(request);
      return {};
    }
    call_->Write(request);
    Md5 md5;
    size_t length = 0;
    for (; count > 0; count = next()) {
      data.resize(count);
      md5.update(data);
      length += count;
      v1::UpdatesRequest piece;
      piece.mutable_chunk()->set_data(data);
      call_->Write(piece);
      data.resize(kChunkBytes);
    }
    v1::UpdatesRequest end;
    // What cannot be read to its end is broken off: it costs this object, not the session.
    if (length == one.size) end.mutable_end()->mutable_complete()->set_etag(one.etag.empty() ? md5.hex() : one.etag);
    else end.mutable_end()->set_abort_reason("the file has " + std::to_string(length) + " bytes, not the " + std::to_string(one.size) + " of before");
    call_->Write(end);
    return {};
  }

  void settle(const v1::UpdateResult& result) {
    Object one;
    {
      std::lock_guard lock(mutex_);
      auto found = sent_.find(result.update_id());
      if (found == sent_.end()) return;
      one = found->second;
      sent_.erase(found);
      room_++;
      changed_.notify_all();
    }
    string outcome = v1::UpdateOutcome_Name(result.outcome()).substr(strlen("UPDATE_OUTCOME_"));
    switch (result.outcome()) {
      case v1::UPDATE_OUTCOME_APPLIED:
      case v1::UPDATE_OUTCOME_APPLIED_UNFLUSHED:
      case v1::UPDATE_OUTCOME_CONFIRMED:
      case v1::UPDATE_OUTCOME_SUPERSEDED:
        change([&] { left_.erase(one.hash), total_.pushed++; });
        Line("object")("path", one.path)("hash", one.hash)("outcome", outcome);
        break;
      default:
        string reason = read(result.error()).first;
        fail(one, reason.empty() ? outcome : reason, result.error().message());
    }
  }

  void fail(const Object& one, const string& reason, const string& message) {
    change([&] { left_.erase(one.hash), total_.failed++; });
    Line("object")("path", one.path)("hash", one.hash)("outcome", "FAILED")("reason", reason)("message", message);
  }

  v1::ReplicationService::Stub& stub_;
  v1::PartitionRef where_;
  grpc::ClientContext context_, check_context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::UpdatesRequest, v1::UpdatesResponse>> call_;
  grpc::Status check_status_;
  size_t inline_max_ = 0;

  std::mutex mutex_;  // of all that follows
  std::condition_variable changed_;
  Left& left_;
  Totals& total_;
  std::deque<Object> wants_;
  std::map<uint64_t, Object> sent_;
  uint32_t room_ = 0;  // updates that may still be sent before a result comes
  bool checked_ = false, draining_ = false, over_ = false;
};

// Partition by partition; one that is refused is tried again after the others.
bool push(v1::ReplicationService::Stub& stub, const Options& options) {
  static const char* const kCodes[] = {"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
      "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
      "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"};
  struct Turn {
    uint32_t partition;
    Left left;
    int attempt;
    Clock::time_point not_before;
  };
  Totals total;
  std::deque<Turn> turns;
  for (auto& [partition, left] : find_objects(options)) {
    total.objects += left.size();
    turns.push_back({partition, std::move(left), 1, Clock::now()});
  }
  while (!turns.empty()) {
    Turn turn = std::move(turns.front());
    turns.pop_front();
    std::this_thread::sleep_until(turn.not_before);
    size_t before = turn.left.size();
    grpc::Status status = Session(stub, options, turn.partition, turn.left, total).run();
    if (status.ok()) {
      if (turn.left.size() == before) turn.attempt++;
      if (!turn.left.empty()) turns.push_front(std::move(turn));  // ended in order: open the next
      continue;
    }
    google::rpc::Status details;
    details.ParseFromString(status.error_details());
    auto [reason, retry] = read(details);
    bool passing = status.error_code() == grpc::UNAVAILABLE || status.error_code() == grpc::DEADLINE_EXCEEDED;
    if (!retry && passing) retry = kRetrySeconds;
    bool again = retry && turn.attempt < options.tries;
    {
      Line line("refused");
      line("partition", turn.partition)("code", kCodes[status.error_code()])("reason", reason)("message", status.error_message());
      if (retry) line("retry_seconds", *retry);
      line("attempt", turn.attempt)("again", again);
    }
    if (again) {
      turn.attempt++;
      turn.not_before = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(*retry));
      turns.push_back(std::move(turn));
    } else {
      total.refused += turn.left.size();
    }
  }
  Line("done")("objects", total.objects)("pushed", total.pushed)("equal", total.equal)("failed", total.failed)("refused", total.refused);
  return total.failed + total.refused == 0;
}

int main(int count, char** words) {
  Options options;
  static const option kOptions[] = {{"part-power", 1, nullptr, 'n'}, {"hash-prefix", 1, nullptr, 'a'},
      {"hash-suffix", 1, nullptr, 'z'}, {"policy", 1, nullptr, 'i'}, {"partition", 1, nullptr, 'p'},
      {"checksums", 1, nullptr, 'c'}, {"tries", 1, nullptr, 't'}, {}};
  bool understood = true;
  for (int which; (which = getopt_long(count, words, "", kOptions, nullptr)) != -1;) {
    switch (which) {
      case 'n': options.part_power = std::stoul(optarg); break;
      case 'a': options.hash_prefix = optarg; break;
      case 'z': options.hash_suffix = optarg; break;
      case 'i': options.policy = std::stoul(optarg); break;
      case 'p': options.partition = std::stoul(optarg); break;
      case 'c': options.checksums = optarg; break;
      case 't': options.tries = std::stoi(optarg); break;
      default: understood = false;
    }
  }
  if (!understood || count - optind != 3 || options.part_power == 0 || options.part_power > 32) {
    std::cerr << "usage: push ADDRESS DEVICE FOLDER --part-power N [--hash-prefix TEXT] [--hash-suffix TEXT] [--policy N] "
                 "[--partition N] [--checksums FILE] [--tries N]\n";
    return 2;
  }
  options.device = words[optind + 1];
  options.folder = words[optind + 2];
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  auto channel = grpc::CreateCustomChannel(words[optind], grpc::InsecureChannelCredentials(), arguments);
  return push(*v1::ReplicationService::NewStub(channel), options) ? 0 : 1;
}
