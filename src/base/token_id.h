// The number of one token of a vocabulary; shared by text, models, engine and train.
#pragma once
#include <cstdint>

namespace tessera {
using TokenId = std::int32_t;
}
