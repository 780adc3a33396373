// One training step: batches forward with the tape on, fused loss, backward, clip, optimizer. What happens
// around the steps is train/training_run.h.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "autograd/tape.h"
#include "models/model.h"
#include "ops/matrix_product.h"
#include "tensor/storage_cache.h"
#include "train/data_loader.h"
#include "train/distributed/data_parallel.h"
#include "train/learning_rate.h"
#include "train/optimizer.h"
#include "train/token_dataset.h"

namespace tessera::train {

struct TrainerOptions {
  LearningRateSchedule schedule;
  OptimizerOptions optimizer;
  std::int64_t accumulation = 1;  // batches that make up a step
  double label_smoothing = 0.0;
  double dropout = 0.0;
  double lora_dropout = 0.0;  // of what adapters see
  std::uint64_t seed = 0;     // of the dropout masks, with the step
  ops::MatmulPrecision precision = ops::MatmulPrecision::f32;
  bool activation_checkpointing = false;  // less memory, a second forward
};

struct StepResult {
  std::int64_t step = 0;  // from 1: how many have been taken
  double loss = 0;        // mean over the step's targets, in nats
  double learning_rate = 0;
  double gradient_norm = 0;  // before clipping
  std::int64_t tokens = 0;
};

// A batch as models take it: rows, or the documents within them, are sequences of their own.
struct SequenceBatch {
  explicit SequenceBatch(const Batch& batch);
  RaggedBatch ragged() const;
  std::int64_t counted() const;  // targets that count

  std::vector<TokenId> tokens;
  std::vector<std::int32_t> targets, positions, query_start, context_length;
};

class Trainer {
 public:
  // Gives the next batch, starting over at the end of an epoch.
  using NextBatch = std::function<void(Batch&)>;

  // `model` must be trainable (WeightForm::trainable) and outlive the trainer. Error bad_usage otherwise.
  // With a `group` of several ranks each takes its share of every batch; the group must outlive the trainer.
  Trainer(const models::Model& model, const TrainerOptions& options, ProcessGroup* group = nullptr)
      : Trainer(model, options, model.parameters(), group) {}
  // Trains `parameters` alone, whatever else `model` is made of (a LoRA adapter).
  Trainer(const models::Model& model, const TrainerOptions& options,
          std::span<const models::Parameter> parameters, ProcessGroup* group = nullptr);

  // Error limit when the loss or the gradient is not finite: then the parameters are as they were. Loss, norm
  // and tokens are those of all ranks.
  StepResult step(const NextBatch& next_batch);

  std::int64_t steps_taken() const { return optimizer_.steps_taken(); }
  Optimizer& optimizer() { return optimizer_; }
  const models::Model& model() const { return *model_; }
  const TrainerOptions& options() const { return options_; }
  // The optimizer's memory in whole tensors, as checkpoints keep it. When there are several ranks, all call
  // it: rank 0 to write, the others to send their parts, which they have done when it returns.
  std::vector<formats::TensorToWrite> optimizer_state() const;

 private:
  // The sum over all ranks.
  double sum_over_ranks(double value) { return parallel_ ? parallel_->group().sum(value) : value; }
  double accumulate_gradients(std::span<const SequenceBatch> batches, std::int64_t normalizer);
  std::uint64_t dropout_seed() const;

  StorageCacheScope kept_memory_;  // every step needs the same
  const models::Model* model_;
  TrainerOptions options_;
  autograd::Tape tape_;
  std::unique_ptr<DataParallel> parallel_;  // null: this process trains alone
  Optimizer optimizer_;
};

// Mean loss in nats over every target of the dataset, `batch_size` windows at a time. `progress(done, all)`
// may throw to stop. The ranks of a group share the windows; the result is the same for any number of them.
double evaluate(const models::Model& model, const TokenDataset& dataset, std::int64_t batch_size,
                const std::function<void(std::int64_t, std::int64_t)>& progress = {},
                ProcessGroup* group = nullptr);

// Multiply-adds of one token's forward and backward, times two: 6 for each weight of a matrix product, and
// the attention's (Narayanan et al. 2021, appendix).
double training_flops_per_token(const models::Model& model, std::int64_t seq_len);

}  // namespace tessera::train
