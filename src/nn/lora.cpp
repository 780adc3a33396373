#include "nn/lora.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "nn/linear.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "ops/low_rank.h"

namespace tessera::nn {
namespace {

thread_local LoraScope* active_scope = nullptr;

}  // namespace

void LoraSlot::set(LoraId id, LoraWeights weights) {
  const Tensor& a = weights.a;
  const Tensor& b = weights.b;
  const bool fits = id >= 0 && a.defined() && b.defined() && a.rank() == 2 && b.rank() == 2 &&
                    a.dtype() == DType::f32 && b.dtype() == DType::f32 && a.dim(1) == in_features_ &&
                    b.dim(0) == out_features_ && a.dim(0) == b.dim(1);
  if (!fits) fail(ErrorKind::internal, "LoRA: weights that do not fit their layer");
  if (static_cast<std::size_t>(id) >= adapters_.size()) adapters_.resize(static_cast<std::size_t>(id) + 1);
  adapters_[static_cast<std::size_t>(id)] = std::move(weights);
}

const LoraWeights* LoraSlot::find(LoraId id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= adapters_.size()) return nullptr;
  const LoraWeights& weights = adapters_[static_cast<std::size_t>(id)];
  return weights.a.defined() ? &weights : nullptr;
}

LoraScope::LoraScope(LoraId id) : outer_(std::exchange(active_scope, this)) {
  if (id != kNoLora) groups_.push_back({id, {}});
}

LoraScope::LoraScope(std::span<const LoraId> rows)
    : row_count_(static_cast<std::int64_t>(rows.size())), outer_(std::exchange(active_scope, this)) {
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (rows[row] == kNoLora) continue;
    auto group = std::ranges::find(groups_, rows[row], &Group::id);
    if (group == groups_.end()) group = groups_.insert(group, {rows[row], {}});
    group->rows.push_back(static_cast<std::int32_t>(row));
  }
  if (groups_.size() == 1 && groups_.front().rows.size() == rows.size()) groups_.front().rows.clear();
}

LoraScope::~LoraScope() { active_scope = outer_; }

bool lora_in_force() { return active_scope != nullptr && !active_scope->groups_.empty(); }

void add_lora(const Tensor& x, std::span<const std::reference_wrapper<const Linear>> layers,
              std::span<Tensor> outputs) {
  if (!lora_in_force()) return;
  if (active_scope->row_count_ != 0 && active_scope->row_count_ != x.dim(0)) {
    fail(ErrorKind::internal, "LoRA: {} rows where adapters of {} are named", x.dim(0),
         active_scope->row_count_);
  }
  for (const LoraScope::Group& group : active_scope->groups_) {
    Tensor input;                    // the group's rows of x
    const LoraSlot* slot = nullptr;  // parts of a fused layer follow each other and share s x Aᵀ
    Tensor h;                        // [R, r]
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const Linear& layer = layers[i];
      const LoraWeights* weights = layer.lora_slot() != nullptr ? layer.lora_slot()->find(group.id) : nullptr;
      if (weights == nullptr) continue;
      if (!input.defined()) input = group.rows.empty() ? x : ops::gather_rows(x, group.rows);
      if (layer.lora_slot() != slot) {
        slot = layer.lora_slot();
        h = ops::linear(ops::adapter_dropout(input), weights->a);
        ops::scale_in_place(h, weights->scale);
      }
      const std::int64_t first = layer.first_lora_row();
      ops::add_low_rank(outputs[i], h, weights->b.rows(first, first + layer.out_features()), group.rows);
    }
  }
}

}  // namespace tessera::nn
