// What a server shows of a training run that goes on beside it: a page and the numbers it draws. This room
// knows nothing of training; whoever trains implements the view.
#pragma once
#include <cstdint>
#include <string>

#include "serve/route_table.h"
#include "serve/web_assets.h"

namespace tessera::serve {

class TrainingView {
 public:
  virtual ~TrainingView() = default;
  // Any thread; quick. A JSON object:
  //   {run, step, steps, seconds_left, tokens_per_second, share_of_peak, checkpoint (its name or null),
  //    points: [{step, loss, learning_rate, gradient_norm, tokens_per_second, validation_loss?,
  //    ema_validation_loss?}, ...], samples: [{step, prompt, text}, ...]}
  // with points and samples of steps above `after` only, and of many points an even choice.
  virtual std::string state_json(std::int64_t after) const = 0;
};

// GET /training, the page, and GET /api/training?after=STEP. Both must outlive the routes.
void add_training_routes(RouteTable& routes, const WebAssets& assets, const TrainingView& view);

}  // namespace tessera::serve
