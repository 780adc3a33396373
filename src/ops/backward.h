// What operations record on the tape, beside their forwards: for each an equation in kernels/ref/training.h.
// Only the operations' own files call these.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "autograd/tape.h"
#include "ops/activation.h"
#include "ops/attention.h"
#include "ops/linear.h"
#include "ops/rotary_embedding.h"
#include "ops/weight_matrix.h"

namespace tessera::ops {

// y = a + b, element by element: both get dy.
void record_add(autograd::Tape& tape, const Tensor& a, const Tensor& b, const Tensor& y);
void record_scale_in_place(autograd::Tape& tape, const Tensor& x, float factor);
void record_softcap_in_place(autograd::Tape& tape, const Tensor& x, float cap);
void record_activate(autograd::Tape& tape, const Tensor& x, const Tensor& y, Activation activation);
void record_gated(autograd::Tape& tape, const Tensor& gate, const Tensor& up, const Tensor& y,
                  Activation activation);
void record_gated(autograd::Tape& tape, const Tensor& gate_up, const Tensor& y, Activation activation);
void record_rms_norm(autograd::Tape& tape, const Tensor& x, const Tensor& weight, const Tensor& y,
                     float epsilon, bool add_one);
void record_layer_norm(autograd::Tape& tape, const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const Tensor& y, float epsilon);
void record_embedding(autograd::Tape& tape, std::span<const std::int32_t> ids, const WeightMatrix& weight,
                      const Tensor& y);
// dx = the rotation the other way round, of the gradient in its place.
void record_rotary(autograd::Tape& tape, const Tensor& x, std::span<const std::int32_t> positions,
                   std::span<const float> inverse_frequencies, RotaryLayout layout, float magnitude);
// The forward too: y = x W^T + b as matrix products; dx = dy W, dW += dy^T x, db += the sum of dy's rows.
std::vector<Tensor> recorded_linear(autograd::Tape& tape, const Tensor& x,
                                    std::span<const Projection> projections);
// With the scalar kernels, by the definition.
void record_dense_attention(autograd::Tape& tape, const Tensor& q, const Tensor& k, const Tensor& v,
                            const Tensor& y, const RaggedBatch& batch, const AttentionParameters& parameters);

// The tape to record on when it tracks the stored form of `weight` or one of `inputs`.
autograd::Tape* tape_for_weight(const WeightMatrix& weight, std::initializer_list<const Tensor*> inputs);
// Error internal when gradients would flow through an operation that has no backward.
void expect_no_gradient(std::initializer_list<const Tensor*> inputs, std::string_view operation);

// dx (+)= dy for the window of x's gradient.
void add_gradient(const autograd::GradientWindow& window, const Tensor& dy);

}  // namespace tessera::ops
