// What a session says about how it is answered: mode, system message, sampling. Kept as JSON in the store.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "serve/json_fields.h"

namespace tessera::serve {

struct SessionParameters {
  bool story = false;                      // the text goes on as it is; no template
  std::optional<std::string> system = {};  // in place of a system message at the beginning of the path
  engine::SamplingOptions sampling = {};
  std::optional<std::uint64_t> seed = {};
  std::int64_t max_new_tokens = -1;
  std::vector<std::string> stop = {};
};

// ApiError 400 naming the member ("parameters.temperature") of a wrong type or out of range, or unknown.
void check_session_parameters(const Json& parameters);

// Lays `parameters` over `read`. Errors as above; unknown members of `stored` ones, which another program
// may have written, are passed over.
void lay_over(SessionParameters& read, const Json& parameters, bool stored);

}  // namespace tessera::serve
