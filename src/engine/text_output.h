// Text of sampled tokens on its way out: whole characters only, stop strings found, pieces to hand on.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "engine/request.h"
#include "engine/stop_matcher.h"
#include "text/tokenizer.h"

namespace tessera::engine {

class TextOutput {
 public:
  // Error bad_usage: stop strings that StopMatcher refuses. `tokenizer` must outlive the output.
  TextOutput(const text::Tokenizer& tokenizer, const Request& request);

  // True when a stop string is complete: then the text ends.
  bool push(SampledToken token);
  // No token follows: what was held back is certain now.
  void finish();
  const std::optional<std::string>& matched_stop() const { return matcher_.matched(); }

  // Text that became certain since the last call.
  std::vector<GeneratedPiece> take_pieces();

 private:
  void close_piece();

  text::StreamDecoder decoder_;
  StopMatcher matcher_;
  GeneratedPiece waiting_;
  std::vector<GeneratedPiece> ready_;
};

}  // namespace tessera::engine
