// The page's files, built from web/ and embedded in the program: found by path, answered with headers that
// let nothing of a model's text run or reach another host.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/http_message.h"
#include "serve/route_table.h"

namespace tessera::serve {

struct WebAsset {
  std::string_view path;  // "/", "/training" or "/assets/NAME"
  std::string_view content_type;
  std::string_view etag;   // without quotes
  std::string_view bytes;  // as they are
  std::string_view gzip;   // compressed (RFC 1952); empty where that saves nothing
};

// A pack as web/build.mjs writes it: "tessera-page 1\n", a line for each file
// "PATH\tTYPE\tETAG\tOFFSET\tSIZE\tGZIP_OFFSET\tGZIP_SIZE\n", an empty line, the bytes (offsets count from
// there). When the page could not be built: "tessera-page 0\n" and the reason.
class WebAssets {
 public:
  // `pack` must outlive the assets. Error internal: not such a pack, or an entry that reaches beyond its end.
  explicit WebAssets(std::string_view pack);
  // What this program was built with.
  static const WebAssets& embedded();

  // nullptr: no such file.
  const WebAsset* find(std::string_view path) const;
  const std::vector<WebAsset>& all() const { return assets_; }
  // Why the page was not built; empty when it was.
  std::string_view missing_reason() const { return missing_reason_; }

 private:
  std::vector<WebAsset> assets_;
  std::string_view missing_reason_;
};

// The file that `request` asks for: compressed when the client takes that, 304 when it has it already (RFC
// 9110, 13.1.2). Without a page, "/" and "/training" say so and how to build it (status 501). ApiError 404:
// no such file.
HttpResponse web_response(const WebAssets& assets, const HttpRequest& request);

// "/" and "/assets/{file}", open to everybody: they hold nothing of anybody's.
void add_web_routes(RouteTable& routes, const WebAssets& assets);

}  // namespace tessera::serve
