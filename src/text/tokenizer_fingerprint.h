// One number that tells two tokenizers apart, kept beside ids that one of them made.
#pragma once
#include <cstdint>

#include "text/tokenizer.h"

namespace tessera::text {

// XXH64 over every token's spelling and kind, in the order of ids; never 0. The same for a vocabulary however
// it was loaded, as long as its ids mean the same.
std::uint64_t tokenizer_fingerprint(const Tokenizer& tokenizer);

}  // namespace tessera::text
