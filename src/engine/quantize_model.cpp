#include "engine/quantize_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/system_memory.h"
#include "formats/gguf_writer.h"
#include "ops/quantize.h"

namespace tessera::engine {
namespace {

namespace fs = std::filesystem;

// The version of the block layouts that K-quants came with; readers look for it in quantised files.
constexpr std::int64_t kQuantizationVersion = 2;

// Header, padding and what the file system adds.
constexpr std::uint64_t kSlackBytes = 16 << 20;

void check_target(const QuantizationJob& job, const fs::path& target) {
  std::error_code problem;
  if (fs::is_directory(target, problem)) {
    fail(ErrorKind::bad_usage, "{}: expected the name of a file to write, found a folder", target.string());
  }
  for (const TensorInfo& tensor : job.contents.tensors) {
    if (!tensor.file.empty() && fs::equivalent(target, tensor.file, problem)) {
      fail(ErrorKind::bad_usage, "{}: expected another file than the source", target.string());
    }
  }
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  const fs::space_info space = fs::space(folder, problem);
  if (problem)
    fail(ErrorKind::io, "{}: expected a folder to write to: {}", folder.string(), problem.message());
  if (job.target_bytes + kSlackBytes > space.available) {
    fail(ErrorKind::limit, "{}: needs {} of disk, you have {}", target.string(),
         format_bytes(job.target_bytes), format_bytes(space.available));
  }
}

// Source pages can be dropped by the kernel at any time; what must fit is one tensor as float32 at most and
// as written.
void check_memory(const QuantizationJob& job) {
  std::uint64_t largest = 0;
  for (const PlannedTensor& tensor : job.plan) {
    largest = std::max(largest, planned_bytes({&tensor, 1}) + static_cast<std::uint64_t>(tensor.columns) * 8);
  }
  if (largest > available_memory()) {
    fail(ErrorKind::limit, "quantising needs {} of memory, you have {}", format_bytes(largest),
         format_bytes(available_memory()));
  }
}

class Meter {
 public:
  Meter(const ProgressSink& sink, std::string subject, std::uint64_t total) : sink_(sink) {
    progress_.stage = "quantize";
    progress_.subject = std::move(subject);
    progress_.total = total;
  }

  void advance(std::uint64_t bytes) {
    progress_.done += bytes;
    progress_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    if (progress_.seconds > 0) progress_.per_second = static_cast<double>(progress_.done) / progress_.seconds;
    progress_.finished = progress_.done >= progress_.total;
    if (sink_) sink_(progress_);
  }

 private:
  const ProgressSink& sink_;
  Progress progress_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace

QuantizationJob plan_quantization_job(const formats::ModelFiles& files, const QuantizationRecipe& recipe) {
  QuantizationJob job;
  job.contents = gguf_contents(files);
  job.recipe = recipe;
  job.plan = plan_quantization(job.contents.tensors, recipe);
  for (const TensorInfo& tensor : job.contents.tensors)
    job.source_bytes += tensor_bytes(tensor.shape, tensor.dtype);
  job.target_bytes = planned_bytes(job.plan);
  return job;
}

void write_quantized(const QuantizationJob& job, const std::string& target, const ProgressSink& progress) {
  check_target(job, target);
  check_memory(job);
  formats::GgufWriter writer(job.contents.architecture);
  for (const GgufContents::Pair& pair : job.contents.pairs) writer.set(pair.key, pair.value, pair.type);
  writer.set("general.file_type", job.recipe.file_type);
  writer.set("general.quantization_version", kQuantizationVersion);
  Meter meter(progress, fs::path(target).filename().string(), job.source_bytes);
  for (std::size_t i = 0; i < job.plan.size(); ++i) {
    const TensorInfo& tensor = job.contents.tensors[i];
    const DType to = job.plan[i].to;
    writer.add_tensor({tensor.name, to, tensor.shape, [&, i, to] {
                         const std::string subject =
                             fmt::format("{}: tensor '{}'", tensor.file, printable(tensor.name));
                         Tensor made = ops::quantize(job.contents.loads[i](), to, subject);
                         meter.advance(tensor_bytes(tensor.shape, tensor.dtype));
                         return made;
                       }});
  }
  writer.write(target);
}

}  // namespace tessera::engine
