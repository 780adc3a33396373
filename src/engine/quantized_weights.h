// A model's weights rounded to another type while they are loaded: what `--quantize` puts between file and
// model.
#pragma once
#include <memory>

#include "engine/quantization_plan.h"
#include "tensor/weight_source.h"

namespace tessera::engine {

// `source` seen with every matrix in the type the plan of `recipe` gives it; each is rounded when it is
// loaded, on all threads, and held in memory of its own. Vectors and what the plan keeps are loaded as they
// are. Error unsupported: an architecture that stores matrices the other way round (GPT-2 in safetensors),
// which must be converted first.
std::shared_ptr<const WeightSource> quantize_at_load(std::shared_ptr<const WeightSource> source,
                                                     const QuantizationRecipe& recipe);

}  // namespace tessera::engine
