// One model with its cache, generating text for one sequence at a time.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "engine/generation.h"
#include "engine/key_value_cache.h"
#include "engine/model_loader.h"
#include "engine/model_runner.h"
#include "engine/request.h"
#include "engine/sequence.h"

namespace tessera::engine {

struct GeneratorOptions {
  std::int64_t context_size = 0;  // tokens; 0: what the model was trained for, at most kDefaultContextLimit
  std::optional<DType> cache_key_dtype = {};  // default_key_value_type()
  std::optional<DType> cache_value_dtype = {};
  std::int64_t prefill_chunk = 512;  // tokens a forward pass
  nn::LoraId lora = nn::kNoLora;     // of LoadedModel::adapters, for new sequences
};
inline constexpr std::int64_t kDefaultContextLimit = 8192;

// `wanted`, or for 0 what the model was trained for, at most kDefaultContextLimit. Error bad_usage: more than
// the model can, or negative.
std::int64_t chosen_context_size(const models::ModelConfig& config, std::int64_t wanted);

class Generator {
 public:
  // Error bad_usage: a context size outside [1, what the model can]; limit: memory.
  Generator(std::shared_ptr<const LoadedModel> loaded, const GeneratorOptions& options);

  const LoadedModel& loaded() const { return *loaded_; }
  const text::Tokenizer& tokenizer() const { return *loaded_->tokenizer; }
  std::int64_t context_size() const { return context_size_; }
  std::int64_t prefill_chunk() const { return prefill_chunk_; }
  KeyValueCache& cache() { return cache_; }
  const KeyValueCache& cache() const { return cache_; }
  ModelRunner& runner() { return runner_; }

  Sequence new_sequence() {
    Sequence sequence(cache_.block_manager());
    sequence.set_lora(lora_);
    return sequence;
  }

  // Makes `sequence` the request's prompt, computing only what comes after their common prefix, and
  // generates. Afterwards the sequence holds prompt and generated tokens. Cancelling leaves a sequence that
  // can go on. Error limit: the prompt leaves no room in the context, with both counts; bad_usage: options
  // out of range.
  GenerationResult generate(Sequence& sequence, const Request& request, const PieceSink& on_piece = {},
                            const CancelFlag* cancel = nullptr, const ProgressSink& on_progress = {});

  // Computes the sequence's uncached tokens in chunks → logits of the last one [1, V]; undefined when
  // cancelled.
  Tensor prefill(Sequence& sequence, const CancelFlag* cancel = nullptr,
                 const ProgressSink& on_progress = {});

  // Ids that may be sampled: those that both the model and the tokenizer know.
  std::int64_t vocabulary_size() const { return engine::vocabulary_size(*loaded_); }

 private:
  Tensor decode(Sequence& sequence, Generation& generation, const CancelFlag* cancel);
  Progress prefill_progress(const Sequence& sequence, std::int64_t first, double seconds) const;

  std::shared_ptr<const LoadedModel> loaded_;
  std::int64_t context_size_;
  std::int64_t prefill_chunk_;
  nn::LoraId lora_;
  KeyValueCache cache_;
  ModelRunner runner_;
  VerificationCost verification_cost_;
};

}  // namespace tessera::engine
