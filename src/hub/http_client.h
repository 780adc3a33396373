// HTTP GET over libcurl: redirects, proxies and TLS are its; which errors are worth another attempt is told
// here.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hub/hub_settings.h"

namespace tessera::hub {

struct HttpResponse {
  long status = 0;                             // of the last hop; 0: none came
  std::map<std::string, std::string> headers;  // of the last hop, names in lower case
  std::string body;                            // when no sink took it

  std::string header(const std::string& name) const;
};

enum class TransportProblem {
  none,
  no_address,  // the host's name has no address: offline, or a wrong name
  no_connection,
  cut,    // the connection ended early or stood still
  other,  // TLS and the rest
};

struct TransferOutcome {
  HttpResponse response;
  TransportProblem problem = TransportProblem::none;
  std::string problem_text;
};

class HttpClient {
 public:
  explicit HttpClient(HubSettings settings);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Receives the body of a 200 or 206 as it comes; the body of any other status is kept in the response.
  using BodySink = std::function<void(const HttpResponse& head, std::string_view bytes)>;
  // Called at least once a second while a transfer runs; what it throws ends the transfer and comes out of
  // get().
  using Tick = std::function<void()>;

  // The token goes only to the hub's own endpoint, never to a host it redirects to.
  TransferOutcome get(const std::string& url, const std::vector<std::string>& headers,
                      const BodySink& sink = {}, const Tick& tick = {});

  const HubSettings& settings() const { return settings_; }

 private:
  struct Handle;
  HubSettings settings_;
  std::unique_ptr<Handle> handle_;
};

// `text` for one segment of a path: everything but unreserved characters as %XX.
std::string percent_encoded(std::string_view text);

}  // namespace tessera::hub
