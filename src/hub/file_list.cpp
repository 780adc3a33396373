#include "hub/file_list.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace tessera::hub {
namespace {

using Json = nlohmann::json;

constexpr int kMostPages = 200;
constexpr std::size_t kMostFiles = 100'000;

bool is_hex(const std::string& text, std::size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string get_text(HttpClient& client, const std::string& url, const ModelReference& reference,
                     const HttpClient::Tick& tick, std::string* next_page = nullptr) {
  std::string body;
  constexpr std::size_t kLargestPage = std::size_t{64} << 20;
  const auto outcome = client.get(
      url, {"Accept: application/json"},
      [&body](const HttpResponse&, std::string_view bytes) {
        if (body.size() + bytes.size() > kLargestPage)
          fail(ErrorKind::bad_input, "the hub's list is too long");
        body += bytes;
      },
      tick);
  if (outcome.problem != TransportProblem::none || outcome.response.status != 200) {
    fail_for(outcome, reference, client, "its file list");
  }
  if (next_page != nullptr) *next_page = outcome.response.header("link");
  return body;
}

Json parse_answer(const std::string& text, const std::string& url) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) {
    fail(ErrorKind::bad_input, "{}: expected JSON from the hub, found '{}'", printable(url, 200),
         printable(text, 60));
  }
  return json;
}

// Link: <URL>; rel="next" (RFC 8288); empty when this was the last page.
std::string next_url(const std::string& link, const std::string& endpoint) {
  const std::size_t open = link.find('<');
  const std::size_t close = link.find('>', open == std::string::npos ? 0 : open);
  if (open == std::string::npos || close == std::string::npos) return {};
  if (link.find("rel=\"next\"", close) == std::string::npos) return {};
  std::string url = link.substr(open + 1, close - open - 1);
  if (url.starts_with('/')) url = endpoint + url;
  return url;
}

// The text under `key`; empty when there is none.
std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

ExpectedChecksum checksum_of(const Json& entry) {
  if (const auto lfs = entry.find("lfs"); lfs != entry.end() && lfs->is_object()) {
    std::string hex = text_at(*lfs, "oid");
    if (hex.starts_with("sha256:")) hex.erase(0, 7);
    if (is_hex(hex, 64)) return {ChecksumKind::sha256, hex};
  } else if (const std::string hex = text_at(entry, "oid"); is_hex(hex, 40)) {
    return {ChecksumKind::git_sha1, hex};
  }
  return {};
}

void add_page(const Json& page, const std::string& repository, std::vector<HubFile>& files) {
  if (!page.is_array()) fail(ErrorKind::bad_input, "{}: expected a list of files from the hub", repository);
  for (const Json& entry : page) {
    if (!entry.is_object() || text_at(entry, "type") != "file") continue;
    HubFile file;
    file.path = text_at(entry, "path");
    require_safe_path(file.path, repository);
    const Json size = entry.contains("size") ? entry["size"] : Json();
    if (!size.is_number_unsigned()) {
      fail(ErrorKind::bad_input, "{}: expected a size for '{}', found '{}'", repository, printable(file.path),
           printable(size.dump()));
    }
    file.size = size.get<std::uint64_t>();
    file.checksum = checksum_of(entry);
    files.push_back(std::move(file));
    if (files.size() > kMostFiles) fail(ErrorKind::limit, "{}: more than {} files", repository, kMostFiles);
  }
}

}  // namespace

void require_safe_path(const std::string& path, const std::string& repository) {
  bool safe = !path.empty() && path.size() < 1024;
  std::size_t begin = 0;
  while (safe && begin <= path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = std::string_view(path).substr(begin, end - begin);
    safe = !part.empty() && part.size() < 250 && part != "." && part != "..";
    begin = end + 1;
  }
  for (const char c : path) safe = safe && static_cast<unsigned char>(c) >= 0x20 && c != '\\' && c != 0x7F;
  if (!safe) {
    fail(ErrorKind::bad_input, "{}: the hub lists '{}'; expected a file name inside the repository",
         repository, printable(path, 200));
  }
}

void fail_for(const TransferOutcome& outcome, const ModelReference& reference, const HttpClient& client,
              const std::string& what) {
  const std::string name = reference.text();
  const std::string& endpoint = client.settings().endpoint;
  const std::string_view advice = "check the connection, HTTPS_PROXY and HF_ENDPOINT";
  switch (outcome.problem) {
    case TransportProblem::none:
      break;
    case TransportProblem::no_address:
      fail(ErrorKind::io, "{}: cannot find the address of {} ({}); are you offline? {}", name, endpoint,
           outcome.problem_text, advice);
    case TransportProblem::no_connection:
      fail(ErrorKind::io, "{}: cannot connect to {} ({}); {}", name, endpoint, outcome.problem_text, advice);
    case TransportProblem::cut:
      fail(ErrorKind::io, "{}: the connection for {} broke ({}); what has come is kept, pull again to go on",
           name, what, outcome.problem_text);
    case TransportProblem::other:
      fail(ErrorKind::io, "{}: no {} from {} ({}); {}", name, what, endpoint, outcome.problem_text, advice);
  }
  const HttpResponse& response = outcome.response;
  const bool has_token = !client.settings().token.empty();
  const std::string gate = endpoint + "/" + reference.repository;
  if (response.header("x-error-code") == "GatedRepo" || response.status == 403) {
    fail(ErrorKind::io, "{}: the hub answers {}: access is gated; ask for it at {} and {}", name,
         response.status, gate, has_token ? "check that HF_TOKEN may read it" : "set HF_TOKEN");
  }
  if (response.status == 401) {
    fail(
        ErrorKind::io, "{}: the hub answers 401: no such repository, or a private one; check the name, or {}",
        name,
        has_token ? "whether HF_TOKEN is valid and may read it" : "set HF_TOKEN to a token that may read it");
  }
  if (response.status == 404) {
    const bool revision = response.header("x-error-code") == "RevisionNotFound";
    fail(ErrorKind::io, "{}: the hub answers 404: no such {}; look at {}", name,
         revision ? "revision" : "repository or file (" + what + ")", revision ? gate : endpoint + "/models");
  }
  fail(ErrorKind::io, "{}: expected {} from {}, found HTTP status {} '{}'; try again later", name, what,
       endpoint, response.status, printable(response.body, 80));
}

HubListing list_repository(HttpClient& client, const ModelReference& reference,
                           const HttpClient::Tick& tick) {
  const std::string api = client.settings().endpoint + "/api/models/" + reference.repository;
  const std::string revision = reference.revision.empty() ? "main" : reference.revision;
  HubListing listing;
  const std::string about = api + "/revision/" + percent_encoded(revision);
  const Json description = parse_answer(get_text(client, about, reference, tick), about);
  if (description.is_object()) listing.commit = text_at(description, "sha");
  if (!is_hex(listing.commit, 40)) {
    fail(ErrorKind::bad_input, "{}: expected the commit ('sha') of '{}', found '{}'", printable(about, 200),
         printable(revision), printable(listing.commit));
  }
  std::string url = api + "/tree/" + listing.commit + "?recursive=true";
  for (int page = 0; !url.empty(); ++page) {
    if (page == kMostPages) fail(ErrorKind::limit, "{}: its file list has too many pages", reference.text());
    std::string link;
    const Json answer = parse_answer(get_text(client, url, reference, tick, &link), url);
    add_page(answer, reference.text(), listing.files);
    url = next_url(link, client.settings().endpoint);
  }
  return listing;
}

}  // namespace tessera::hub
