// The backward of ops/embedding: each token's gradient is added to its row of the table.
#include <algorithm>
#include <vector>

#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/training_table.h"
#include "ops/backward.h"

namespace tessera::ops {

void record_embedding(autograd::Tape& tape, std::span<const std::int32_t> ids, const WeightMatrix& weight,
                      const Tensor& y) {
  const Tensor& table = weight.stored();
  const std::vector<std::int32_t> rows(ids.begin(), ids.end());
  tape.record({y}, {}, [table, rows, y](autograd::Tape& t) {
    const ProfileTimer timer("embedding backward");
    const Tensor dy = t.gradient(y);
    Tensor gradient = t.gradient(table);
    const std::int64_t width = table.dim(1);
    const float* upstream = dy.as<float>().data();
    float* target = gradient.as_mutable<float>().data();
    const auto add_to = kernels::active_training().add_to;
    // A thread owns a range of the table's rows, so a row is summed in the order of the tokens.
    const std::int64_t grain = std::max<std::int64_t>(16, table.dim(0) / 8);
    thread_pool().parallel_for(table.dim(0), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::size_t token = 0; token < rows.size(); ++token) {
        const std::int64_t row = rows[token];
        if (row < begin || row >= end) continue;
        add_to(target + row * width, upstream + static_cast<std::int64_t>(token) * width, width);
      }
    });
  });
}

}  // namespace tessera::ops
