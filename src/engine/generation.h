// One answer in the making: takes the logits of each forward pass, samples, and knows when the text is over.
// What runs the passes, alone or among others, is no concern of its, so the text is the same either way.
#pragma once
#include <cstdint>
#include <vector>

#include "engine/model_loader.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "engine/sequence.h"
#include "engine/speculative.h"
#include "engine/text_output.h"
#include "engine/token_grammar.h"
#include "tensor/tensor.h"

namespace tessera::engine {

// Ids that may be sampled: those that both the model and the tokenizer know.
std::int64_t vocabulary_size(const LoadedModel& loaded);
bool ends_generation(const LoadedModel& loaded, TokenId token);

class Generation {
 public:
  // Error limit: the prompt leaves no room in the context, with both counts; bad_usage: a field of the
  // request out of range, by name. `loaded` must outlive the generation.
  Generation(const LoadedModel& loaded, Request request, std::int64_t context_size);

  const Request& request() const { return request_; }
  bool finished() const { return finished_; }
  std::int64_t generated() const { return result_.usage.completion_tokens; }

  // Appends guesses at the next tokens to `sequence`, whose last token has been sampled and not computed, at
  // most `limit`; returns how many. `others`: rows of other sequences in the same pass. The next pass must
  // compute them all, with logits for each and for the token before them.
  std::int64_t draft(Sequence& sequence, std::int64_t limit, const VerificationCost& cost,
                     std::int64_t others = 0);
  // logits [R, V] of the last R tokens of `sequence`, all but the first of which are drafts: samples the next
  // token, and one more after each draft that equals what was sampled. Afterwards the sequence ends with the
  // last sampled token, everything before it computed, as if there had been no drafts.
  void advance(Sequence& sequence, const Tensor& logits);
  // Ends it from outside.
  void finish(FinishReason reason);

  // Text that became certain since the last call; its tokens and text are in result() then too.
  std::vector<GeneratedPiece> take_pieces();
  GenerationResult& result() { return result_; }
  const GenerationResult& result() const { return result_; }

 private:
  void take(SampledToken token, std::int64_t length);

  const LoadedModel* loaded_;
  Request request_;
  std::int64_t context_size_;
  Sampler sampler_;
  TextOutput output_;
  Drafter drafter_;
  TokenGrammar::State grammar_state_ = 0;
  GenerationResult result_;
  bool finished_ = false;
};

}  // namespace tessera::engine
