// Training steps: against PyTorch, in pieces, on any number of threads, and where numbers run away.
#include "train/trainer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/thread_pool.h"
#include "nn/attention/flash_attention.h"
#include "ops/cross_entropy.h"
#include "support/test_paths.h"
#include "training_fixture.h"

namespace tessera::train::testing {
namespace {

TrainerOptions trace_options() {
  TrainerOptions options;
  options.schedule = {
      .kind = ScheduleKind::cosine, .peak = 1e-3, .minimum = 1e-4, .warmup_steps = 5, .total_steps = 2000};
  options.optimizer = {.beta1 = 0.9, .beta2 = 0.99, .weight_decay = 0.1, .max_gradient_norm = 1.0};
  return options;
}

std::vector<StepResult> run_steps(const models::Model& model, const TrainerOptions& options, int steps,
                                  std::int64_t rows = 12, std::int64_t width = 64,
                                  std::int64_t vocabulary = 65) {
  Trainer trainer(model, options);
  std::uint64_t stream = 0;
  std::vector<StepResult> results;
  for (int step = 0; step < steps; ++step) {
    results.push_back(
        trainer.step([&](Batch& batch) { batch = counted_batch(stream++, rows, width, vocabulary); }));
  }
  return results;
}

void expect_trace(const TrainerOptions& options, double tolerance) {
  const auto golden =
      nlohmann::json::parse(read_file((tessera::testing::golden_dir() / "training" / "trace.json").string()));
  const auto model = small_gpt();
  const std::vector<StepResult> results = run_steps(*model, options, static_cast<int>(golden.size()));
  for (std::size_t step = 0; step < golden.size(); ++step) {
    const auto& expected = golden[step];
    const double loss = expected.at("loss");
    EXPECT_NEAR(results[step].loss, loss, tolerance * loss) << "step " << step;
    EXPECT_NEAR(results[step].learning_rate, expected.at("learning_rate").get<double>(), 1e-12);
    const double norm = expected.at("gradient_norm");
    EXPECT_NEAR(results[step].gradient_norm, norm, 10 * tolerance * norm) << "step " << step;
  }
}

// tools/make_golden_training.py: nanoGPT's CPU configuration, ten steps.
TEST(Trainer, FollowsPyTorchForTenSteps) { expect_trace(trace_options(), 1e-4); }

TEST(Trainer, FollowsPyTorchForTenStepsInBf16) {
  if (!ops::has_fast_bf16()) GTEST_SKIP() << "this CPU has no fast bf16 products";
  TrainerOptions options = trace_options();
  options.precision = ops::MatmulPrecision::bf16;
  expect_trace(options, 1e-2);
}

constexpr SmallGptShape kTiny{.layers = 1, .heads = 2, .width = 16, .positions = 8, .vocabulary = 11};

std::vector<float> weights_of(const models::Model& model) {
  std::vector<float> values;
  for (const models::Parameter& parameter : model.parameters()) {
    const auto own = parameter.tensor.as<float>();
    values.insert(values.end(), own.begin(), own.end());
  }
  return values;
}

void expect_same_bits_on_any_number_of_threads(const TrainerOptions& options) {
  const int before = thread_pool().size();
  std::vector<std::vector<float>> weights;
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    const auto model = small_gpt();
    run_steps(*model, options, 2);
    weights.push_back(weights_of(*model));
  }
  set_thread_count(before);
  EXPECT_EQ(weights[0], weights[1]);
  EXPECT_EQ(weights[0], weights[2]);
}

TEST(Trainer, GivesTheSameBitsOnAnyNumberOfThreads) {
  expect_same_bits_on_any_number_of_threads(trace_options());
}

TEST(Trainer, GivesTheSameBitsOnAnyNumberOfThreadsInBf16) {
  if (!ops::has_fast_bf16()) GTEST_SKIP() << "this CPU has no fast bf16 products";
  TrainerOptions options = trace_options();
  options.precision = ops::MatmulPrecision::bf16;
  expect_same_bits_on_any_number_of_threads(options);
}

// The loss's gradient from its own logits is the one from logits computed again.
TEST(Trainer, GradientsWithTheLossAreThoseOfTheWalkBack) {
  std::vector<std::vector<float>> gradients;
  for (const bool with_loss : {false, true}) {
    const auto model = small_gpt(kTiny);
    autograd::Tape tape;
    for (const models::Parameter& parameter : model->parameters()) tape.watch(parameter.tensor);
    const SequenceBatch batch(counted_batch(5, 3, 8, 11));
    const autograd::RecordingScope recording(tape);
    nn::FlashAttention attention;
    const Tensor hidden = model->forward(batch.ragged(), attention);
    const Tensor loss = ops::linear_cross_entropy(hidden, model->output_head().weight, batch.targets,
                                                  {.label_smoothing = 0.1F, .gradient_with_loss = with_loss});
    tape.backward(loss);
    std::vector<float>& all = gradients.emplace_back(loss.as<float>().begin(), loss.as<float>().end());
    for (const models::Parameter& parameter : model->parameters()) {
      const Tensor gradient = tape.gradient(parameter.tensor);
      all.insert(all.end(), gradient.as<float>().begin(), gradient.as<float>().end());
    }
  }
  EXPECT_EQ(gradients[0], gradients[1]);
}

// Two batches of 3 rows are one of 6: the loss is a mean over all, and only the order of sums differs.
TEST(Trainer, AccumulatedBatchesAreOneBatch) {
  const auto whole_model = small_gpt(kTiny);
  Trainer whole(*whole_model, trace_options());
  const StepResult expected = whole.step([](Batch& batch) { batch = counted_batch(9, 6, 8, 11); });
  const auto model = small_gpt(kTiny);
  TrainerOptions options = trace_options();
  options.accumulation = 2;
  Trainer trainer(*model, options);
  int half = 0;
  const StepResult found = trainer.step([&](Batch& batch) {
    const Batch all = counted_batch(9, 6, 8, 11);
    const auto from = static_cast<std::ptrdiff_t>(half++ * 24);
    batch = {.B = 3,
             .T = 8,
             .inputs = {all.inputs.begin() + from, all.inputs.begin() + from + 24},
             .targets = {all.targets.begin() + from, all.targets.begin() + from + 24},
             .documents = {}};
  });
  EXPECT_NEAR(found.loss, expected.loss, 1e-6 * expected.loss);
  EXPECT_NEAR(found.gradient_norm, expected.gradient_norm, 1e-5 * expected.gradient_norm);
  EXPECT_EQ(found.tokens, expected.tokens);
  const std::vector<float> a = weights_of(*whole_model);
  const std::vector<float> b = weights_of(*model);
  // The first step of AdamW moves a weight by lr m / (sqrt(v) + eps), at most lr = 1.7e-4 whatever the
  // gradient; where the gradient is near eps its rounding shows.
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5) << i;
}

TEST(Trainer, IgnoredTargetsCountNowhere) {
  const auto run = [](bool extra_row) {
    const auto model = small_gpt(kTiny);
    Trainer trainer(*model, trace_options());
    return trainer
        .step([&](Batch& batch) {
          batch = counted_batch(3, 2, 8, 11);
          if (!extra_row) return;
          const Batch more = counted_batch(4, 1, 8, 11);
          batch.B = 3;
          batch.inputs.insert(batch.inputs.end(), more.inputs.begin(), more.inputs.end());
          batch.targets.insert(batch.targets.end(), 8, kIgnoredTarget);
        })
        .loss;
  };
  EXPECT_EQ(run(true), run(false));
}

TEST(Trainer, DocumentsInOneWindowDoNotSeeEachOther) {
  Batch batch = counted_batch(3, 2, 8, 11);
  batch.documents = {0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1};
  const SequenceBatch sequences(batch);
  EXPECT_EQ(sequences.query_start, (std::vector<std::int32_t>{0, 3, 8, 15, 16}));
  EXPECT_EQ(sequences.context_length, (std::vector<std::int32_t>{3, 5, 7, 1}));
  EXPECT_EQ(sequences.positions, (std::vector<std::int32_t>{0, 1, 2, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 0}));
}

TEST(Trainer, StopsWhenNumbersAreNoLongerFinite) {
  const auto model = small_gpt(kTiny);
  const auto next = [](Batch& batch) { batch = counted_batch(3, 2, 8, 11); };
  Trainer trainer(*model, trace_options());
  trainer.step(next);
  const std::vector<float> before = weights_of(*model);
  Tensor table = model->parameters().front().tensor;
  const float value = table.as<float>()[0];
  table.as_mutable<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(trainer.step(next), Error);
  EXPECT_EQ(trainer.steps_taken(), 1);
  table.as_mutable<float>()[0] = value;
  EXPECT_EQ(weights_of(*model), before);
}

// Every optimizer and schedule brings the loss of a repeated batch down.
TEST(Trainer, LearnsABatchByHeart) {
  for (const OptimizerKind kind : {OptimizerKind::adamw, OptimizerKind::lion, OptimizerKind::sgd}) {
    const auto model = small_gpt(kTiny);
    TrainerOptions options = trace_options();
    options.optimizer.kind = kind;
    options.schedule.kind = ScheduleKind::constant;
    options.schedule.warmup_steps = 0;
    options.schedule.peak = kind == OptimizerKind::sgd ? 0.3 : kind == OptimizerKind::lion ? 3e-3 : 1e-2;
    Trainer trainer(*model, options);
    double first = 0;
    double last = 0;
    for (int step = 0; step < 60; ++step) {
      last = trainer.step([](Batch& batch) { batch = counted_batch(3, 2, 8, 11); }).loss;
      if (step == 0) first = last;
    }
    EXPECT_LT(last, 0.7 * first) << "optimizer " << static_cast<int>(kind);
  }
}

TEST(Trainer, EvaluationIsTheMeanOverEveryTarget) {
  const auto model = small_gpt(kTiny);
  std::vector<TokenId> ids;
  for (std::uint64_t i = 0; i < 100; ++i) ids.push_back(skewed_token(1, i, 11));
  const TokenDataset dataset(ids, {.seq_len = 8, .keep_tail = true});
  const double one = evaluate(*model, dataset, 1);
  EXPECT_NEAR(evaluate(*model, dataset, 5), one, 1e-6);
  EXPECT_NEAR(one, std::log(11.0), 0.1);  // untrained: about uniform
}

}  // namespace
}  // namespace tessera::train::testing
