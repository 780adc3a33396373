#include "serve/training_view.h"

#include <limits>

#include "serve/query_fields.h"

namespace tessera::serve {

void add_training_routes(RouteTable& routes, const WebAssets& assets, const TrainingView& view) {
  routes.add({.method = "GET",
              .path = "/training",
              .summary = "The page of the training run.",
              .response_type = "text/html; charset=utf-8",
              .open = true,
              .light = true,
              .handle = [&assets](const auto& exchange) {
                exchange->respond(web_response(assets, exchange->request()));
              }});
  routes.add({.method = "GET",
              .path = "/api/training",
              .summary = "The training run: where it is, its curves and samples.",
              .query = {{"after", "integer", "leaves out what was told up to this step"}},
              .light = true,
              .handle = [&view](const auto& exchange) {
                QueryFields fields(exchange->request().query);
                const auto after = fields.integer("after", 0, std::numeric_limits<std::int64_t>::max());
                fields.finish();
                exchange->respond({.body = view.state_json(after.value_or(-1))});
              }});
}

}  // namespace tessera::serve
