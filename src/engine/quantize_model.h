// Writes a model as a GGUF file in another stored type, tensor by tensor: memory for about one tensor.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/progress.h"
#include "engine/gguf_contents.h"
#include "engine/quantization_plan.h"

namespace tessera::engine {

// A conversion that is decided and checked, but not yet done.
struct QuantizationJob {
  GgufContents contents;
  QuantizationRecipe recipe;
  std::vector<PlannedTensor> plan;  // of contents.tensors
  std::uint64_t source_bytes = 0;   // of the tensors
  std::uint64_t target_bytes = 0;
};

// Error unsupported: a tensor type or architecture that cannot be converted.
QuantizationJob plan_quantization_job(const formats::ModelFiles& files, const QuantizationRecipe& recipe);

// Writes `target`, which appears complete or not at all. The bytes depend on source and recipe alone. Reports
// the stage "quantize" in bytes of the source; what the sink throws (cancelled) leaves nothing behind. Error
// limit "needs N GB, you have M" before anything is written, for the disk and for the memory of the largest
// tensor; bad_usage: `target` is the source itself; bad_input: a value that cannot be stored, naming tensor,
// row and column.
void write_quantized(const QuantizationJob& job, const std::string& target,
                     const ProgressSink& progress = {});

}  // namespace tessera::engine
