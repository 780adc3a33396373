// The tokens a model expects around a text: BOS, EOS, [CLS], [SEP].
#pragma once
#include <vector>

#include "base/token_id.h"

namespace tessera::text {

// What all post-processors of tokenizer.json come down to for one text.
struct PostProcessor {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
};

}  // namespace tessera::text
