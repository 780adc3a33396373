#include "train/trainer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "nn/attention/attention_factory.h"
#include "ops/activation_checkpoint.h"
#include "ops/cross_entropy.h"
#include "ops/dropout.h"

namespace tessera::train {
namespace {

static_assert(kIgnoredTarget == ops::kIgnoredTarget);

// `attention` must live until the backward has run.
Tensor loss_of(const models::Model& model, const SequenceBatch& batch, nn::AttentionMechanism& attention,
               double label_smoothing, std::int64_t normalizer) {
  const Tensor hidden = model.forward(batch.ragged(), attention);  // [B T, C]
  const models::OutputHead head = model.output_head();
  return ops::linear_cross_entropy(hidden, head.weight, batch.targets,
                                   {.label_smoothing = static_cast<float>(label_smoothing),
                                    .logit_softcap = head.logit_softcap,
                                    .normalizer = normalizer,
                                    .gradient_with_loss = true});
}

}  // namespace

SequenceBatch::SequenceBatch(const Batch& batch)
    : tokens(batch.inputs.begin(), batch.inputs.end()), targets(batch.targets) {
  query_start.push_back(0);
  const auto close_sequence = [&](std::size_t end) {
    context_length.push_back(static_cast<std::int32_t>(end) - query_start.back());
    query_start.push_back(static_cast<std::int32_t>(end));
  };
  const auto width = static_cast<std::size_t>(batch.T);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool new_row = i % width == 0;
    const bool new_document =
        !batch.documents.empty() && batch.documents[i] != batch.documents[i - (new_row ? 0 : 1)];
    if (i > 0 && (new_row || new_document)) close_sequence(i);
    positions.push_back(static_cast<std::int32_t>(i) - query_start.back());
  }
  close_sequence(tokens.size());
}

RaggedBatch SequenceBatch::ragged() const {
  return {.tokens = tokens,
          .positions = positions,
          .query_start = query_start,
          .context_length = context_length,
          .slot_mapping = {},
          .block_tables = {}};
}

std::int64_t SequenceBatch::counted() const {
  return std::ranges::count_if(targets, [](std::int32_t target) { return target != kIgnoredTarget; });
}

Trainer::Trainer(const models::Model& model, const TrainerOptions& options,
                 std::span<const models::Parameter> parameters, ProcessGroup* group)
    : model_(&model),
      options_(options),
      parallel_(group != nullptr && group->size() > 1
                    ? std::make_unique<DataParallel>(*group, tape_, parameters)
                    : nullptr),
      optimizer_(parallel_ ? parallel_->own_slices() : whole_parameters(parameters), options.optimizer) {
  if (parameters.empty()) fail(ErrorKind::bad_usage, "trainer: the model was not made to be trained");
  if (options.accumulation < 1) {
    fail(ErrorKind::bad_usage, "accumulation: expected 1 or more, found {}", options.accumulation);
  }
  for (const models::Parameter& parameter : parameters) tape_.watch(parameter.tensor);
}

// Each step, and each rank, drops others.
std::uint64_t Trainer::dropout_seed() const {
  const auto rank = static_cast<std::uint64_t>(parallel_ ? parallel_->group().rank() : 0);
  return options_.seed + static_cast<std::uint64_t>(steps_taken()) * 0x9e3779b97f4a7c15ULL +
         rank * 0xd6e8feb86659fd93ULL;
}

// Leaves the gradients of all batches, and of all ranks, on the tape; returns this rank's part of the loss.
double Trainer::accumulate_gradients(std::span<const SequenceBatch> batches, std::int64_t normalizer) {
  const ops::MatmulPrecisionScope precision(options_.precision);
  const ops::DropoutScope dropout(options_.dropout, dropout_seed(), options_.lora_dropout);
  const ops::ActivationCheckpointScope checkpointing(options_.activation_checkpointing);
  const auto attention = nn::make_attention_mechanism(model_->config().attention);
  tape_.zero_gradients();
  double sum = 0;
  for (const SequenceBatch& batch : batches) {
    const autograd::RecordingScope recording(tape_);
    const Tensor loss = loss_of(*model_, batch, *attention, options_.label_smoothing, normalizer);
    sum += double{loss.as<float>()[0]};
    if (parallel_ && &batch == &batches.back()) parallel_->begin_reduction();
    tape_.backward(loss);
  }
  if (parallel_) parallel_->finish_reduction();
  return sum;
}

StepResult Trainer::step(const NextBatch& next_batch) {
  StepResult result;
  std::vector<SequenceBatch> batches;
  std::array<double, 2> counts{};  // targets that count, tokens
  for (std::int64_t i = 0; i < options_.accumulation; ++i) {
    Batch batch;
    next_batch(batch);
    batches.emplace_back(batch);
    counts[0] += static_cast<double>(batches.back().counted());
    counts[1] += static_cast<double>(batches.back().tokens.size());
  }
  if (parallel_) parallel_->group().all_reduce_sum(counts);
  result.tokens = static_cast<std::int64_t>(counts[1]);
  result.loss = sum_over_ranks(accumulate_gradients(batches, static_cast<std::int64_t>(counts[0])));
  result.learning_rate = options_.schedule.at(steps_taken());
  result.gradient_norm =
      std::isfinite(result.loss)
          ? optimizer_.step(tape_, result.learning_rate, [this](double own) { return sum_over_ranks(own); })
          : result.loss;
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    const Error error(
        ErrorKind::limit,
        fmt::format("step {}: expected finite numbers, found loss {} and gradient norm {}: the learning rate "
                    "{} may be too high",
                    steps_taken() + 1, result.loss, result.gradient_norm, result.learning_rate));
    if (parallel_) parallel_->group().fail_together(std::make_exception_ptr(error));
    throw error;
  }
  if (parallel_) parallel_->gather_parameters();
  result.step = steps_taken();
  return result;
}

std::vector<formats::TensorToWrite> Trainer::optimizer_state() const {
  if (parallel_) {
    if (!parallel_->group().is_first()) parallel_->send_state(optimizer_);
    return parallel_->state_to_write(optimizer_);
  }
  std::vector<formats::TensorToWrite> tensors;
  for (const OptimizerTensor& entry : optimizer_.state()) {
    tensors.push_back({entry.name, DType::f32, entry.tensor.shape(), [&entry] { return entry.tensor; }});
  }
  return tensors;
}

namespace {

// Windows [first, first + count) of the dataset.
Batch batch_of(const TokenDataset& dataset, std::int64_t first, std::int64_t count) {
  Batch batch;
  batch.B = count;
  batch.T = dataset.seq_len();
  const auto elements = static_cast<std::size_t>(batch.B * batch.T);
  batch.inputs.resize(elements);
  batch.targets.resize(elements);
  if (dataset.separate_documents()) batch.documents.resize(elements);
  for (std::int64_t row = 0; row < batch.B; ++row) {
    const auto part = [&](std::vector<std::int32_t>& values) {
      return std::span(values).subspan(static_cast<std::size_t>(row * batch.T),
                                       static_cast<std::size_t>(batch.T));
    };
    dataset.window(first + row, part(batch.inputs), part(batch.targets),
                   batch.documents.empty() ? std::span<std::int32_t>() : part(batch.documents));
  }
  return batch;
}

}  // namespace

double evaluate(const models::Model& model, const TokenDataset& dataset, std::int64_t batch_size,
                const std::function<void(std::int64_t, std::int64_t)>& progress, ProcessGroup* group) {
  const autograd::NoGradientScope forward_only;
  const auto attention = nn::make_attention_mechanism(model.config().attention);
  const std::int64_t batches = (dataset.size() + batch_size - 1) / batch_size;
  const std::int64_t ranks = group != nullptr ? group->size() : 1;
  // Loss and targets of each batch, computed by one rank and zero on the others: the sum over the batches
  // then has one order.
  std::vector<double> parts(static_cast<std::size_t>(2 * batches));
  for (std::int64_t index = group != nullptr ? group->rank() : 0; index < batches; index += ranks) {
    const std::int64_t first = index * batch_size;
    const std::int64_t rows = std::min(batch_size, dataset.size() - first);
    const SequenceBatch sequences(batch_of(dataset, first, rows));
    const auto at = static_cast<std::size_t>(2 * index);
    parts[at] = double{loss_of(model, sequences, *attention, 0.0, 1).as<float>()[0]};
    parts[at + 1] = static_cast<double>(sequences.counted());
    if (progress) progress(std::min(dataset.size(), first + ranks * rows), dataset.size());
  }
  if (group != nullptr) group->all_reduce_sum(parts);
  double sum = 0;
  double counted = 0;
  for (std::size_t i = 0; i < parts.size(); i += 2) {
    sum += parts[i];
    counted += parts[i + 1];
  }
  return sum / std::max(1.0, counted);
}

double training_flops_per_token(const models::Model& model, std::int64_t seq_len) {
  double weights = 0;
  const models::OutputHead head = model.output_head();
  for (const models::Parameter& parameter : model.parameters()) {
    // Tables that are only looked up are not multiplied; a tied head is.
    const bool is_table =
        parameter.tensor.rank() == 2 &&
        (parameter.name.find("embed") != std::string::npos ||
         parameter.name.find("wte") != std::string::npos || parameter.name.find("wpe") != std::string::npos);
    const bool is_head = parameter.tensor.rank() == 2 && parameter.tensor.raw() == head.weight.raw();
    if (parameter.tensor.rank() == 2 && (!is_table || is_head)) {
      weights += static_cast<double>(parameter.tensor.elements());
    }
  }
  // Two products of head_dim a key, of which a causal row sees half, or a row of a state.
  double attention = 0;
  for (const models::KeyValueShape& layer : model.config().layers) {
    attention +=
        2.0 * static_cast<double>(model.config().num_attention_heads * layer.head_dim) *
        (layer.state_floats > 0 ? static_cast<double>(layer.head_dim) : static_cast<double>(seq_len) / 2.0);
  }
  return 6.0 * (weights + attention);
}

}  // namespace tessera::train
