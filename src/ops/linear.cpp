#include "ops/linear.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "ops/check.h"

namespace tessera::ops {
namespace {

// Rows a thread takes at least: a multiple of every kernel's panel of rows.
constexpr std::int64_t kRowGrain = 16;

struct Task {
  kernels::LinearKernel kernel = nullptr;
  kernels::LinearArguments arguments;  // without the row range
  std::int64_t rows = 0;
  std::int64_t chunks = 0;  // of kRowGrain rows
};

Task make_task(const Tensor& x, const Projection& projection, Tensor& y) {
  const Tensor& weight = *projection.weight;
  expect_rank(weight, 2, "linear: weight");
  expect_dim(weight, 1, x.dim(1), "linear: weight");
  Task task;
  task.rows = weight.dim(0);
  task.chunks = (task.rows + kRowGrain - 1) / kRowGrain;
  task.kernel = kernels::active().linear[static_cast<std::size_t>(weight.dtype())];
  if (task.kernel == nullptr) {
    fail(ErrorKind::internal, "linear: no kernel for {} weights", name(weight.dtype()));
  }
  y = Tensor::empty({x.dim(0), task.rows});
  task.arguments.input = x.as<float>().data();
  task.arguments.input_stride = x.dim(1);
  task.arguments.weight = weight.raw();
  if (projection.bias != nullptr && projection.bias->defined()) {
    expect_f32(*projection.bias, "linear: bias");
    expect_shape(*projection.bias, Shape{task.rows}, "linear: bias");
    task.arguments.bias = projection.bias->as<float>().data();
  }
  task.arguments.output = y.as_mutable<float>().data();
  task.arguments.output_stride = task.rows;
  task.arguments.tokens = x.dim(0);
  task.arguments.in_features = x.dim(1);
  return task;
}

// Chunks [begin, end) of all tasks laid end to end.
void run_chunks(std::span<const Task> tasks, std::int64_t begin, std::int64_t end) {
  std::int64_t first = 0;  // chunk at which this task begins
  for (const Task& task : tasks) {
    const std::int64_t low = std::max(begin, first) - first;
    const std::int64_t high = std::min(end, first + task.chunks) - first;
    first += task.chunks;
    if (low >= high) continue;
    kernels::LinearArguments part = task.arguments;
    part.row_begin = low * kRowGrain;
    part.row_end = std::min(task.rows, high * kRowGrain);
    task.kernel(part);
  }
}

}  // namespace

std::vector<Tensor> linear_together(const Tensor& x, std::span<const Projection> projections) {
  constexpr std::size_t kMostProjections = 4;
  expect_f32(x, "linear: x");
  expect_rank(x, 2, "linear: x");
  if (projections.size() > kMostProjections) {
    fail(ErrorKind::internal, "linear: {} projections together, at most {}", projections.size(),
         kMostProjections);
  }
  std::vector<Tensor> outputs(projections.size());
  std::array<Task, kMostProjections> storage;
  const std::span<Task> tasks(storage.data(), projections.size());
  std::int64_t chunks = 0;
  for (std::size_t i = 0; i < projections.size(); ++i) {
    tasks[i] = make_task(x, projections[i], outputs[i]);
    chunks += tasks[i].chunks;
  }
  thread_pool().parallel_for(chunks, 1,
                             [&](std::int64_t begin, std::int64_t end) { run_chunks(tasks, begin, end); });
  return outputs;
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const Projection projection{&weight, &bias};
  return std::move(linear_together(x, {&projection, 1}).front());
}

}  // namespace tessera::ops
