#include "serve/web_assets.h"

#include <array>
#include <charconv>

#include "base/error.h"
#include "base/near_names.h"
#include "serve/api_error.h"
#include "serve/web_pack.h"

namespace tessera::serve {
namespace {

constexpr std::string_view kBuilt = "tessera-page 1\n";
constexpr std::string_view kMissing = "tessera-page 0\n";

// Scripts and styles come from this server alone and nothing else is loaded at all, so that a text which got
// into the page as markup could neither run nor tell anybody. Text becomes nodes, never markup: with trusted
// types the browser itself refuses innerHTML. Prefetching is off because even a look-up of a link's host name
// tells something.
constexpr const char* kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src data:; connect-src "
    "'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'";

HttpHeaders page_headers() {
  return {{"Content-Security-Policy", kContentSecurityPolicy},
          {"X-Content-Type-Options", "nosniff"},
          {"Referrer-Policy", "no-referrer"},
          {"Cross-Origin-Opener-Policy", "same-origin"},
          {"Cross-Origin-Resource-Policy", "same-origin"},
          {"X-Frame-Options", "DENY"},
          {"X-DNS-Prefetch-Control", "off"},
          {"Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"}};
}

std::string_view cut(std::string_view& text, char border) {
  const std::size_t end = text.find(border);
  if (end == std::string_view::npos) fail(ErrorKind::internal, "embedded page: an entry breaks off");
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end + 1);
  return part;
}

std::size_t number(std::string_view text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    fail(ErrorKind::internal, "embedded page: expected a number, found '{}'", printable(text));
  }
  return value;
}

// Whether a header such as "gzip, br;q=0.5" takes `coding`. A weight of 0 forbids it (RFC 9110, 12.4.2).
bool accepts(std::string_view header, std::string_view coding) {
  while (!header.empty()) {
    const std::size_t comma = header.find(',');
    std::string item = to_lower_ascii(header.substr(0, comma));
    header.remove_prefix(comma == std::string_view::npos ? header.size() : comma + 1);
    std::erase(item, ' ');
    const std::size_t semicolon = item.find(';');
    if (item.substr(0, semicolon) != coding) continue;
    const std::string weight = semicolon == std::string::npos ? "" : item.substr(semicolon);
    return weight.find_first_not_of(";q=0.") != std::string::npos || weight.empty();
  }
  return false;
}

HttpResponse missing_page(std::string_view reason) {
  std::string body =
      "<!doctype html><meta charset=utf-8><title>Tessera</title><h1>The page was not built</h1>"
      "<p>The server works; only its web page is missing from this build: ";
  for (const char c : reason) body += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  body +=
      "</p><p>To have it: install Node.js 18 or newer with npm (<code>apt-get install nodejs npm</code>), "
      "let npm "
      "reach its registry, and build again (<code>./quickstart serve</code>).</p>"
      "<p><a href=/openapi.json>What the server answers</a></p>";
  return {.status = 501,
          .content_type = "text/html; charset=utf-8",
          .body = std::move(body),
          .headers = page_headers()};
}

}  // namespace

WebAssets::WebAssets(std::string_view pack) {
  if (pack.starts_with(kMissing)) {
    missing_reason_ = pack.substr(kMissing.size());
    return;
  }
  if (!pack.starts_with(kBuilt)) fail(ErrorKind::internal, "embedded page: expected 'tessera-page 1'");
  const std::size_t head_end = pack.find("\n\n");
  if (head_end == std::string_view::npos) fail(ErrorKind::internal, "embedded page: its list has no end");
  std::string_view list = pack.substr(kBuilt.size(), head_end + 1 - kBuilt.size());
  const std::string_view bytes = pack.substr(head_end + 2);
  const auto part = [bytes](std::size_t offset, std::size_t size) {
    if (offset > bytes.size() || size > bytes.size() - offset) {
      fail(ErrorKind::internal, "embedded page: a file ends at byte {} of {}", offset + size, bytes.size());
    }
    return bytes.substr(offset, size);
  };
  while (!list.empty()) {
    std::string_view line = cut(list, '\n');
    WebAsset asset;
    asset.path = cut(line, '\t');
    asset.content_type = cut(line, '\t');
    asset.etag = cut(line, '\t');
    std::array<std::size_t, 4> numbers{};
    for (std::size_t i = 0; i < 3; ++i) numbers[i] = number(cut(line, '\t'));
    numbers[3] = number(line);
    asset.bytes = part(numbers[0], numbers[1]);
    asset.gzip = part(numbers[2], numbers[3]);
    assets_.push_back(asset);
  }
}

const WebAssets& WebAssets::embedded() {
  static const WebAssets assets(embedded_web_pack());
  return assets;
}

const WebAsset* WebAssets::find(std::string_view path) const {
  for (const WebAsset& asset : assets_) {
    if (asset.path == path) return &asset;
  }
  return nullptr;
}

HttpResponse web_response(const WebAssets& assets, const HttpRequest& request) {
  const WebAsset* asset = assets.find(request.path);
  if (asset == nullptr) {
    if (!request.path.starts_with("/assets/")) return missing_page(assets.missing_reason());
    throw ApiError(404, "no such file of the page: " + printable(request.path), "", "not_found");
  }
  HttpResponse response{.content_type = std::string(asset->content_type), .headers = page_headers()};
  const bool compressed = !asset->gzip.empty() && accepts(request.header("accept-encoding"), "gzip");
  const std::string tag = "\"" + std::string(asset->etag) + (compressed ? "-gzip\"" : "\"");
  response.headers.emplace_back("ETag", tag);
  response.headers.emplace_back("Vary", "Accept-Encoding");
  // Names under /assets/ change with their content; the page itself is asked for anew each time.
  response.headers.emplace_back("Cache-Control", asset->path.starts_with("/assets/")
                                                     ? "public, max-age=31536000, immutable"
                                                     : "no-cache");
  if (request.header("if-none-match").find(tag) != std::string_view::npos) {
    response.status = 304;
    return response;
  }
  if (compressed) response.headers.emplace_back("Content-Encoding", "gzip");
  response.body = compressed ? asset->gzip : asset->bytes;
  return response;
}

void add_web_routes(RouteTable& routes, const WebAssets& assets) {
  const auto answer = [&assets](const std::shared_ptr<Exchange>& exchange) {
    exchange->respond(web_response(assets, exchange->request()));
  };
  routes.add({.method = "GET",
              .path = "/",
              .summary = "The web page.",
              .response_type = "text/html; charset=utf-8",
              .open = true,
              .light = true,
              .handle = answer});
  routes.add({.method = "GET",
              .path = "/assets/{file}",
              .summary = "A file of the web page.",
              .response_type = "application/octet-stream",
              .open = true,
              .light = true,
              .handle = answer});
}

}  // namespace tessera::serve
