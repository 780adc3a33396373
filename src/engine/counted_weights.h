// Tells how much of a model's weights has been read while it is loaded.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "tensor/weight_source.h"

namespace tessera::engine {

// `source`, calling `on_bytes` after each load with the bytes of all tensors loaded so far. In the thread
// that loads; what it throws goes on to whoever loads. A tensor that is loaded twice counts twice.
std::shared_ptr<const WeightSource> count_loaded_bytes(std::shared_ptr<const WeightSource> source,
                                                       std::function<void(std::uint64_t)> on_bytes);

}  // namespace tessera::engine
