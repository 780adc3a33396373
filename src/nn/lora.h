// LoRA (Hu et al. 2021): beside a frozen linear layer W stands a product of two thin matrices, so that
// y = W x + s B A x. Several adapters may stand beside one layer; which one a row of a batch takes is said by
// a scope, so that models and their forward passes know nothing of it.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace tessera::nn {

class Linear;

using LoraId = std::int32_t;           // an adapter of the model, counted from 0
inline constexpr LoraId kNoLora = -1;  // the layer alone

// One adapter's part of one layer.
struct LoraWeights {
  Tensor a;            // [r, in] f32
  Tensor b;            // [out, r] f32, its rows in the order of the layer's own
  float scale = 0.0F;  // s
};

// The adapters beside one linear layer. Parts of a fused projection share the slot of the whole.
class LoraSlot {
 public:
  LoraSlot(std::int64_t in_features, std::int64_t out_features)
      : in_features_(in_features), out_features_(out_features) {}

  std::int64_t in_features() const { return in_features_; }
  std::int64_t out_features() const { return out_features_; }

  // Error internal for shapes that do not fit. Not while a forward pass runs.
  void set(LoraId id, LoraWeights weights);
  // Null when adapter `id` leaves this layer alone.
  const LoraWeights* find(LoraId id) const;

 private:
  std::int64_t in_features_;
  std::int64_t out_features_;
  std::vector<LoraWeights> adapters_;  // by id; undefined tensors: none
};

// While one lives, linear layers of this thread add the adapters that it names. Outside of one they add none.
class LoraScope {
 public:
  // Every row takes `id`.
  explicit LoraScope(LoraId id);
  // Row t of whatever passes through a layer takes rows[t].
  explicit LoraScope(std::span<const LoraId> rows);
  ~LoraScope();
  LoraScope(const LoraScope&) = delete;
  LoraScope& operator=(const LoraScope&) = delete;

 private:
  friend bool lora_in_force();
  friend void add_lora(const Tensor& x, std::span<const std::reference_wrapper<const Linear>> layers,
                       std::span<Tensor> outputs);
  // Rows that take the same adapter, in ascending order; no rows: all of them.
  struct Group {
    LoraId id = kNoLora;
    std::vector<std::int32_t> rows;
  };
  std::vector<Group> groups_;
  std::int64_t row_count_ = 0;  // 0: any
  LoraScope* outer_;
};

// Whether linear layers of this thread have anything to add.
bool lora_in_force();
// outputs[i] [T, out] of layers[i] for x [T, in] gets what the adapters in force add to it. The bits of a row
// depend on that row and its adapter alone. Where training drops out (ops/dropout.h), A alone sees it, as in
// PEFT.
void add_lora(const Tensor& x, std::span<const std::reference_wrapper<const Linear>> layers,
              std::span<Tensor> outputs);

}  // namespace tessera::nn
