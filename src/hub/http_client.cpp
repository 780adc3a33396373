#include "hub/http_client.h"

#include <curl/curl.h>

#include <exception>

#include "base/error.h"
#include "base/log.h"
#include "base/near_names.h"

namespace tessera::hub {

struct HttpClient::Handle {
  Handle() {
    static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (started != CURLE_OK)
      fail(ErrorKind::internal, "libcurl cannot start: {}", curl_easy_strerror(started));
    curl.reset(curl_easy_init());
    if (!curl) fail(ErrorKind::internal, "libcurl gave no handle");
  }
  struct Cleanup {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  };
  std::unique_ptr<CURL, Cleanup> curl;
};

namespace {

constexpr std::size_t kLargestBody = std::size_t{64} << 20;
constexpr long kConnectSeconds = 20;
constexpr long kMostRedirects = 10;

struct ListFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, ListFree>;

// What the C callbacks work on. No exception may pass through libcurl: the first is kept and thrown
// afterwards.
struct Transfer {
  HttpResponse response;
  const HttpClient::BodySink* sink = nullptr;
  const HttpClient::Tick* tick = nullptr;
  std::exception_ptr thrown;

  template <typename Work>
  bool guarded(Work&& work) {
    try {
      work();
      return true;
    } catch (...) {
      thrown = std::current_exception();
      return false;
    }
  }
};

std::string trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.remove_suffix(1);
  return std::string(text);
}

// Each hop of a redirect starts with its own status line.
std::size_t take_header(char* data, std::size_t, std::size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const bool well = transfer.guarded([&] {
    const std::string_view line(data, size);
    if (line.starts_with("HTTP/")) {
      transfer.response = {};
      const std::size_t blank = line.find(' ');
      if (blank != std::string_view::npos)
        transfer.response.status = std::atol(std::string(line.substr(blank)).c_str());
      return;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || transfer.response.headers.size() > 200) return;
    transfer.response.headers[to_lower_ascii(line.substr(0, colon))] = trimmed(line.substr(colon + 1));
  });
  return well ? size : 0;
}

std::size_t take_body(char* data, std::size_t, std::size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const bool well = transfer.guarded([&] {
    HttpResponse& response = transfer.response;
    const bool wanted = response.status == 200 || response.status == 206;
    if (wanted && *transfer.sink) {
      (*transfer.sink)(response, {data, size});
      return;
    }
    if (response.body.size() + size > kLargestBody) {
      fail(ErrorKind::bad_input, "the hub's answer is larger than {} bytes", kLargestBody);
    }
    response.body.append(data, size);
  });
  return well ? size : 0;
}

int take_tick(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (!*transfer.tick) return 0;
  return transfer.guarded([&] { (*transfer.tick)(); }) ? 0 : 1;
}

TransportProblem problem_of(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return TransportProblem::none;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return TransportProblem::no_address;
    case CURLE_COULDNT_CONNECT:
      return TransportProblem::no_connection;
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_OPERATION_TIMEDOUT:
      return TransportProblem::cut;
    default:
      return TransportProblem::other;
  }
}

}  // namespace

std::string HttpResponse::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

HttpClient::HttpClient(HubSettings settings)
    : settings_(std::move(settings)), handle_(std::make_unique<Handle>()) {}
HttpClient::~HttpClient() = default;

TransferOutcome HttpClient::get(const std::string& url, const std::vector<std::string>& headers,
                                const BodySink& sink, const Tick& tick) {
  CURL* curl = handle_->curl.get();
  curl_easy_reset(curl);  // keeps connections and the DNS cache
  HeaderList list;
  const auto add_header = [&list](const std::string& header) {
    list.reset(curl_slist_append(list.release(), header.c_str()));
  };
  for (const std::string& header : headers) add_header(header);
  // libcurl drops this header by itself when a redirect leaves the host or port it was meant for.
  if (!settings_.token.empty() && url.starts_with(settings_.endpoint + "/")) {
    add_header("Authorization: Bearer " + settings_.token);
  }
  Transfer transfer;
  transfer.sink = &sink;
  transfer.tick = &tick;
  const char* protocols = settings_.endpoint.starts_with("https://") ? "https" : "http,https";
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list.get());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "tessera/" TESSERA_VERSION);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols);
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, kMostRedirects);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, std::max(1L, static_cast<long>(settings_.stall_seconds)));
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, take_tick);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  const CURLcode code = curl_easy_perform(curl);
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  TransferOutcome outcome;
  outcome.response = std::move(transfer.response);
  outcome.problem = problem_of(code);
  if (code != CURLE_OK) outcome.problem_text = curl_easy_strerror(code);
  log_line(LogLevel::debug, fmt::format("GET {} -> {} {}", printable(url, 300), outcome.response.status,
                                        outcome.problem_text));
  return outcome;
}

std::string percent_encoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

}  // namespace tessera::hub
