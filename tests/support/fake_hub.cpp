#include "support/fake_hub.h"

#include "hub/checksum.h"

namespace tessera::testing {
namespace {

std::string checksum(hub::ChecksumKind kind, const std::string& content) {
  hub::Checksum sum(kind, content.size());
  sum.update(content);
  return sum.finish();
}

HttpAnswer error(int status, const std::string& code) {
  HttpAnswer answer;
  answer.status = status;
  answer.headers = {{"X-Error-Code", code}};
  answer.body = "{\"error\":\"no\"}";
  return answer;
}

std::string decoded(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      plain += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::string quoted(const std::string& text) {
  std::string json = "\"";
  for (const char c : text) json += c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
  return json + "\"";
}

}  // namespace

FakeHub::FakeHub()
    : store_([this](const HttpRequest& request) { return answer_store(request); }),
      hub_([this](const HttpRequest& request) { return answer_hub(request); }) {}

HttpAnswer FakeHub::answer_hub(const HttpRequest& request) {
  if (switches.gated) return error(403, "GatedRepo");
  if (!switches.token.empty() && request.header("authorization") != "Bearer " + switches.token) {
    return error(401, "RepoNotFound");
  }
  const std::string api = std::string("/api/models/") + kRepository;
  if (request.path == api + "/revision/main" || request.path == api + "/revision/refs%2Fpr%2F1") {
    HttpAnswer answer;
    answer.body = std::string("{\"id\":\"x\",\"sha\":\"") + kCommit + "\"}";
    return answer;
  }
  if (request.path.starts_with(api + "/revision/")) return error(404, "RevisionNotFound");
  if (request.path.starts_with(api + "/tree/" + kCommit)) return answer_tree(request.path);
  const std::string resolve = std::string("/") + kRepository + "/resolve/" + kCommit + "/";
  if (!request.path.starts_with(resolve)) return error(404, "RepoNotFound");
  const auto found = files.find(decoded(request.path.substr(resolve.size())));
  if (found == files.end()) return error(404, "EntryNotFound");
  if (!found->second.is_lfs) return answer_file(request, found->second);
  HttpAnswer answer;
  answer.status = 302;
  answer.headers = {{"Location", store_.url() + "/" + request.path.substr(resolve.size())}};
  answer.body = "Found. Redirecting.";
  return answer;
}

HttpAnswer FakeHub::answer_tree(const std::string& path) {
  const std::size_t cursor = path.find("&cursor=");
  const std::size_t first = cursor == std::string::npos ? 0 : std::stoul(path.substr(cursor + 8));
  HttpAnswer answer;
  answer.body = "[{\"type\":\"directory\",\"oid\":\"x\",\"size\":0,\"path\":\"folder\"}";
  std::size_t at = 0;
  for (const auto& [name, file] : files) {
    if (at >= first && at < first + switches.page_size) {
      answer.body +=
          ",{\"type\":\"file\",\"path\":" + quoted(name) + ",\"size\":" + std::to_string(file.content.size());
      const auto kind = file.is_lfs ? hub::ChecksumKind::sha256 : hub::ChecksumKind::git_sha1;
      const std::string sum =
          file.wrong_checksum.empty() ? checksum(kind, file.content) : file.wrong_checksum;
      if (!switches.without_checksums) {
        answer.body += file.is_lfs ? ",\"oid\":\"pointer\",\"lfs\":{\"oid\":\"" + sum + "\"}"
                                   : ",\"oid\":\"" + sum + "\"";
      }
      answer.body += "}";
    }
    ++at;
  }
  answer.body += "]";
  if (at > first + switches.page_size) {
    const std::string next = path.substr(0, cursor) + "&cursor=" + std::to_string(first + switches.page_size);
    answer.headers = {{"Link", "<" + hub_.url() + next + ">; rel=\"next\""}};
  }
  return answer;
}

HttpAnswer FakeHub::answer_store(const HttpRequest& request) {
  const auto found = files.find(decoded(request.path.substr(1)));
  return found == files.end() ? error(404, "EntryNotFound") : answer_file(request, found->second);
}

HttpAnswer FakeHub::answer_file(const HttpRequest& request, const FakeFile& file) {
  if (switches.busy.load() > 0) {
    --switches.busy;
    return error(switches.busy_status, "Busy");
  }
  HttpAnswer answer;
  answer.headers = {{"ETag", switches.etag}};
  answer.body = file.content;
  answer.bytes_per_millisecond = switches.bytes_per_millisecond;
  const std::string range = request.header("range");
  const bool still_same = request.header("if-range").empty() || request.header("if-range") == switches.etag;
  if (!range.empty() && !switches.ignore_ranges && still_same) {
    std::size_t from = std::stoul(range.substr(range.find('=') + 1));
    if (switches.refuse_ranges || from >= file.content.size()) return error(416, "Range");
    if (switches.wrong_range) from = from > 0 ? from - 1 : 0;
    answer.status = 206;
    answer.body = file.content.substr(from);
    answer.headers.emplace_back("Content-Range", "bytes " + std::to_string(from) + "-" +
                                                     std::to_string(file.content.size() - 1) + "/" +
                                                     std::to_string(file.content.size()));
  }
  if (switches.cuts.load() > 0) {
    --switches.cuts;
    answer.cut_after = switches.cut_after;
  }
  return answer;
}

}  // namespace tessera::testing
