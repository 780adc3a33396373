// What runs the model for the server: requests in from any thread, text out as it comes.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/disk_block_cache.h"
#include "engine/model_loader.h"
#include "engine/request.h"

namespace tessera::serve {

using JobId = std::uint64_t;

struct GenerationJob {
  engine::Request request = {};
  std::int64_t n = 1;             // answers to the same prompt; answer i takes the seed + i
  std::string client = {};        // whose it is: cached prefixes are shared within a client only
  std::int32_t priority = 0;      // a higher one goes first; among equals clients get equal shares
  nn::LoraId lora = nn::kNoLora;  // the adapter it is for; jobs of others may be in the same batch
  bool wants_progress = false;    // events tell how far the prompt is
};

// What became of one of the n answers.
struct GenerationEvent {
  std::int64_t choice = 0;
  std::vector<engine::GeneratedPiece> pieces = {};      // text that became certain
  std::optional<engine::PromptProgress> progress = {};  // when asked for, until the first token
  const engine::GenerationResult* result = nullptr;     // in the answer's last event; valid during the call
  std::string error = {};  // not empty: it failed, and this is why; its last event
};
using GenerationSink = std::function<void(const GenerationEvent&)>;

// Counts since the start, and what there is now.
struct BackendStatistics {
  std::int64_t waiting = 0;  // answers
  std::int64_t running = 0;
  std::int64_t cache_tokens = 0;         // that the cache has room for
  std::int64_t cache_used_tokens = 0;    // of those, taken by answers in the making
  std::int64_t cache_prefix_tokens = 0;  // and by prefixes that nobody uses now
  std::int64_t preemptions = 0;
  std::int64_t passes = 0;                           // through the model
  std::int64_t prompt_tokens = 0;                    // of answers that are over
  std::int64_t cached_tokens = 0;                    // of those, found in the cache
  std::int64_t computed_tokens = 0;                  // run through the model, guesses included
  std::int64_t generated_tokens = 0;                 // given out
  std::int64_t drafted_tokens = 0;                   // guessed
  std::int64_t accepted_tokens = 0;                  // of those, right
  std::int64_t finished = 0;                         // answers
  std::int64_t cancelled = 0;                        // of those
  std::int64_t failed = 0;                           // of those
  std::optional<engine::DiskCacheCounts> disk = {};  // none: prefixes are kept in memory only
  int retry_after_seconds = 1;                       // until the answers that wait now are being made, about
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const engine::LoadedModel& loaded() const = 0;
  virtual std::int64_t context_size() const = 0;

  // `sink` is called in the backend's thread, at least once an answer, the last time with result or error; it
  // must be quick. ApiError 429: the queue is full, 503: stopping. Error limit: the prompt does not fit, with
  // counts; bad_usage: a field out of range, by name.
  virtual JobId submit(GenerationJob job, GenerationSink sink) = 0;
  // Ends a job within two passes; its answers get their last events. Unknown ids do nothing.
  virtual void cancel(JobId job) = 0;
  // No room for another answer: submit() would refuse.
  virtual bool full() const = 0;
  virtual BackendStatistics statistics() const = 0;
  // Takes nothing more, cancels what there is, and waits until it has ended.
  virtual void stop() = 0;
};

}  // namespace tessera::serve
