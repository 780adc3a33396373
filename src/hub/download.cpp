#include "hub/download.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <system_error>
#include <thread>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/partial_file.h"

namespace tessera::hub {
namespace {

namespace fs = std::filesystem;

constexpr double kLongestPause = 60;

// Beside the .part file: which content it is the beginning of. The checksum pins that; where the hub gives
// none, the server's ETag does, through If-Range (RFC 9110, 13.1.5).
struct PartIdentity {
  std::string checksum;
  std::string etag;
};

fs::path identity_path(const fs::path& destination) { return destination.string() + ".part.id"; }

PartIdentity read_identity(const fs::path& destination) {
  PartIdentity identity;
  std::ifstream file(identity_path(destination));
  std::getline(file, identity.checksum);
  std::getline(file, identity.etag);
  return identity;
}

void write_identity(const fs::path& destination, const PartIdentity& identity) {
  write_file_atomically(identity_path(destination).string(), identity.checksum + "\n" + identity.etag + "\n");
}

void remove_identity(const fs::path& destination) {
  std::error_code ignored;
  fs::remove(identity_path(destination), ignored);
}

bool is_strong(const std::string& etag) { return !etag.empty() && !etag.starts_with("W/"); }

bool can_resume(const PartIdentity& identity, const HubFile& file) {
  if (file.checksum.kind != ChecksumKind::none) return identity.checksum == file.checksum.text();
  return identity.checksum.empty() && is_strong(identity.etag);
}

// "bytes FIRST-LAST/TOTAL"; false when it is not that.
bool starts_at(const std::string& content_range, std::uint64_t wanted) {
  constexpr std::string_view kUnit = "bytes ";
  if (!content_range.starts_with(kUnit)) return false;
  std::uint64_t first = 0;
  const char* begin = content_range.data() + kUnit.size();
  const auto [after, problem] = std::from_chars(begin, content_range.data() + content_range.size(), first);
  return problem == std::errc() && after != begin && first == wanted;
}

// The state of one download over its attempts.
class Fetch {
 public:
  Fetch(HttpClient& client, const Download& download, ProgressMeter& meter)
      : client_(&client),
        download_(&download),
        meter_(&meter),
        part_(download.destination.string()),
        checksum_(download.file.checksum.kind, download.file.size),
        identity_(read_identity(download.destination)) {
    if (part_.size() == 0) return;
    if (!can_resume(identity_, download.file) || part_.size() > download.file.size) {
      part_.clear();
    } else {
      part_.read_all([this](std::string_view bytes) {
        checksum_.update(bytes);
        meter_->tick();
      });
    }
  }

  void run() {
    int fruitless = 0;
    while (!is_complete()) {
      const std::uint64_t before = part_.size();
      const TransferOutcome outcome = attempt();
      whole_ = outcome.problem == TransportProblem::none && is_content(outcome.response);
      if (is_complete()) break;
      if (!is_worth_repeating(outcome)) fail_for(outcome, download_->reference, *client_, "'" + name() + "'");
      fruitless = part_.size() > before ? 0 : fruitless + 1;
      if (fruitless >= client_->settings().attempts) give_up(outcome);
      pause(fruitless, outcome.response);
    }
    verify_and_commit();
  }

 private:
  std::string name() const { return printable(download_->file.path, 200); }

  bool is_complete() const { return part_.size() == download_->file.size && (part_.size() > 0 || whole_); }

  static bool is_content(const HttpResponse& response) {
    return response.status == 200 || response.status == 206;
  }

  std::string url() const {
    std::string path;
    const std::string& whole = download_->file.path;
    for (std::size_t begin = 0; begin <= whole.size();) {
      const std::size_t end = std::min(whole.find('/', begin), whole.size());
      path += "/" + percent_encoded(std::string_view(whole).substr(begin, end - begin));
      begin = end + 1;
    }
    return client_->settings().endpoint + "/" + download_->reference.repository + "/resolve/" +
           download_->commit + path;
  }

  TransferOutcome attempt() {
    std::vector<std::string> headers;
    requested_ = part_.size();
    if (requested_ > 0) {
      headers.push_back(fmt::format("Range: bytes={}-", requested_));
      if (download_->file.checksum.kind == ChecksumKind::none)
        headers.push_back("If-Range: " + identity_.etag);
    }
    begun_ = false;
    return client_->get(
        url(), headers,
        [this](const HttpResponse& head, std::string_view bytes) {
          if (!begun_) begin(head);
          take(bytes);
        },
        [this] { meter_->tick(); });
  }

  // At the first byte of a body: does it go on where we are, or start anew?
  void begin(const HttpResponse& head) {
    begun_ = true;
    if (head.status == 206 && !starts_at(head.header("content-range"), requested_)) {
      fail(ErrorKind::bad_input, "{}: '{}': asked the server for bytes from {} on, found Content-Range '{}'",
           download_->reference.text(), name(), requested_, printable(head.header("content-range")));
    }
    if (head.status == 200 && part_.size() > 0) start_anew("the server sends the whole file");
    if (part_.size() == 0) {
      identity_ = {download_->file.checksum.text(), head.header("etag")};
      write_identity(download_->destination, identity_);
    }
  }

  void start_anew(std::string_view why) {
    log_line(LogLevel::info, fmt::format("{}: starting anew: {}", name(), why));
    meter_->retreat(part_.size());
    part_.clear();
    checksum_ = Checksum(download_->file.checksum.kind, download_->file.size);
  }

  void take(std::string_view bytes) {
    if (bytes.size() > download_->file.size - part_.size()) {
      part_.discard();
      remove_identity(download_->destination);
      fail(ErrorKind::bad_input, "{}: '{}': expected {} bytes, the server sends more; pull again",
           download_->reference.text(), name(), download_->file.size);
    }
    part_.append(bytes);
    checksum_.update(bytes);
    meter_->advance(bytes.size());
  }

  bool is_worth_repeating(const TransferOutcome& outcome) {
    const long status = outcome.response.status;
    if (outcome.problem != TransportProblem::none) return outcome.problem != TransportProblem::other;
    if (status == 416 && part_.size() > 0) {
      start_anew("the server cannot continue it");
      return true;
    }
    return is_content(outcome.response) || status == 408 || status == 429 || status >= 500;
  }

  [[noreturn]] void give_up(const TransferOutcome& outcome) const {
    if (outcome.problem == TransportProblem::none && is_content(outcome.response)) {
      fail(ErrorKind::io, "{}: '{}': expected {} bytes, the server ends after {}; pull again to go on",
           download_->reference.text(), name(), download_->file.size, part_.size());
    }
    fail_for(outcome, download_->reference, *client_, "'" + name() + "'");
  }

  void pause(int fruitless, const HttpResponse& response) const {
    double seconds = client_->settings().first_retry_seconds;
    for (int i = 1; i < fruitless; ++i) seconds *= 2;
    const std::string asked = response.header("retry-after");
    int wanted = 0;
    const auto [after, problem] = std::from_chars(asked.data(), asked.data() + asked.size(), wanted);
    if (problem == std::errc() && after != asked.data() && response.status == 429) {
      seconds = std::max(seconds, static_cast<double>(wanted));
    }
    seconds = std::min(seconds, kLongestPause);
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < end) {
      meter_->tick();  // Ctrl-C is noticed here
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  void verify_and_commit() {
    const ExpectedChecksum& expected = download_->file.checksum;
    const std::string found = checksum_.finish();
    if (found != expected.hex) {
      part_.discard();
      remove_identity(download_->destination);
      fail(ErrorKind::bad_input, "{}: '{}': expected {}, found {}; the partial file is removed, pull again",
           download_->reference.text(), name(), expected.text(), found);
    }
    part_.commit();
    remove_identity(download_->destination);
  }

  HttpClient* client_;
  const Download* download_;
  ProgressMeter* meter_;
  PartialFile part_;
  Checksum checksum_;
  PartIdentity identity_;
  std::uint64_t requested_ = 0;
  bool begun_ = false;
  bool whole_ = false;  // a body came to its end; settles files of no bytes
};

}  // namespace

std::uint64_t resumable_bytes(const Download& download) {
  std::error_code problem;
  const auto bytes = fs::file_size(download.destination.string() + ".part", problem);
  if (problem || bytes > download.file.size) return 0;
  return can_resume(read_identity(download.destination), download.file) ? bytes : 0;
}

void download_file(HttpClient& client, const Download& download, ProgressMeter& meter) {
  Fetch(client, download, meter).run();
}

bool matches(const fs::path& path, const HubFile& file, ProgressMeter& meter) {
  std::error_code problem;
  if (fs::file_size(path, problem) != file.size || problem) return false;
  if (file.checksum.kind == ChecksumKind::none) return true;
  Checksum checksum(file.checksum.kind, file.size);
  std::ifstream stream(path, std::ios::binary);
  std::vector<char> buffer(std::size_t{1} << 20);
  while (stream) {
    stream.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    checksum.update({buffer.data(), static_cast<std::size_t>(stream.gcount())});
    meter.advance(static_cast<std::uint64_t>(stream.gcount()));
  }
  const bool same = checksum.finish() == file.checksum.hex;
  if (!same) meter.retreat(file.size);
  return same;
}

}  // namespace tessera::hub
