// The fields that chat and text completions have in common, read and checked.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/request.h"
#include "serve/json_fields.h"

namespace tessera::serve {

struct GenerationLimits {
  std::int64_t context_size = 0;
  std::int64_t vocabulary_size = 0;
};

struct GenerationFields {
  engine::SamplingOptions sampling;
  std::int64_t max_new_tokens = -1;  // -1: until the context is full
  std::vector<std::string> stop;
  bool ignore_eos = false;
  std::int64_t n = 1;
  bool stream = false;
  bool include_usage = false;
  bool truncates = false;  // the oldest messages may be left out
};

inline constexpr std::int64_t kMostChoices = 64;

// `defaults`: what counts for fields that are not given; without a seed a random one is taken. Reads
// everything but the prompt, the logprobs and max_tokens' other name. ApiError 400 naming the field.
GenerationFields read_generation_fields(JsonFields& fields, const engine::SamplingOptions& defaults,
                                        const GenerationLimits& limits);

// The member "model", when given, must be one of `served`. ApiError 404.
void check_model(JsonFields& fields, const std::vector<std::string>& served);

// The numbers that every way of asking for text has, each checked and named in its error; what is not given
// stays. Two APIs call the penalty of repetition differently. ApiError 400.
void read_sampling_numbers(JsonFields& fields, const char* repetition_penalty, std::int64_t most_top_k,
                           engine::SamplingOptions& sampling);

}  // namespace tessera::serve
