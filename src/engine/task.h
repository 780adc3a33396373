// One answer among the many that the engine works on: its request, its text so far, its place in the cache.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/generation.h"
#include "engine/prefix_cache.h"
#include "engine/sequence.h"

namespace tessera::engine {

using RequestId = std::uint64_t;

// A request to an engine that serves many.
struct EngineRequest {
  Request request = {};
  std::int64_t n = 1;             // answers to the same prompt; answer i takes the seed + i
  std::int32_t priority = 0;      // a higher one goes first, and may take the place of a lower one
  std::string client = {};        // who asks: among equal priorities, clients get equal shares
  std::string salt = {};          // only requests of the same salt share cached prefixes
  nn::LoraId lora = nn::kNoLora;  // of LoadedModel::adapters; others may be in the same batch
  bool wants_progress = false;    // events tell how far the prompt is
};
inline constexpr std::int64_t kMostAnswers = 128;

struct Task {
  using Clock = std::chrono::steady_clock;

  Task(RequestId request_id, std::uint64_t task_id, std::int64_t index, const EngineRequest& asked,
       Generation making, BlockManager& manager)
      : request(request_id),
        id(task_id),
        choice(index),
        priority(asked.priority),
        client(asked.client),
        salt(asked.salt),
        wants_progress(asked.wants_progress),
        generation(std::move(making)),
        sequence(manager) {
    sequence.set_lora(asked.lora);
    sequence.replace(generation.request().prompt);
  }

  RequestId request;
  std::uint64_t id;     // in the order of arrival
  std::int64_t choice;  // which answer of the request
  std::int32_t priority;
  std::string client;
  std::string salt;
  bool wants_progress;  // until the prompt is computed
  Generation generation;
  Sequence sequence;
  PrefixCache::Cursor cursor;
  std::unique_ptr<DiskTier::Staged> staged = {};  // of the prompt, read from disk and not in the cache yet
  // The other answers to the prompt: they wait for it to be computed and take it over.
  std::vector<std::unique_ptr<Task>> siblings;

  bool preempted = false;    // has lost its blocks once; then it does not take parts of blocks, see Scheduler
  bool started = false;      // the first admission is past
  std::int64_t planned = 0;  // tokens in the step at hand, drafts included
  std::int64_t drafts = 0;
  std::int64_t logit_rows = 0;
  std::int64_t counted = 0;  // generated tokens that are in the statistics
  std::string error;         // why it failed
  Clock::time_point arrived = Clock::now();
  Clock::time_point admitted = {};
  Clock::time_point first_token = {};

  // Tokens without keys and values.
  std::int64_t uncached() const { return sequence.length() - sequence.cached(); }
  // Steps bring it one token, or a few if guesses hold.
  bool decodes() const { return uncached() - drafts == 1; }

  // Samples from the logits of its rows. An error is the task's own: it ends with it, and nobody else does.
  void advance(const Tensor& logits);
  // Waiting, prompt and decoding, as far as they came.
  void finish_timings();
};

}  // namespace tessera::engine
