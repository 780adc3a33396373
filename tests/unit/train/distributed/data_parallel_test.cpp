// Ranks that train one model together: who owns what, gradients in buckets, and the same steps as one alone.
#include "train/distributed/data_parallel.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "../training_fixture.h"
#include "base/error.h"
#include "support/test_paths.h"
#include "thread_ranks.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

namespace tessera::train::testing {
namespace {

constexpr SmallGptShape kTiny{.layers = 2, .heads = 2, .width = 16, .positions = 8, .vocabulary = 11};
constexpr std::int64_t kGlobalBatch = 8;

std::vector<models::Parameter> parameters_of_sizes(const std::vector<Shape>& shapes) {
  std::vector<models::Parameter> parameters;
  for (const Shape& shape : shapes) {
    parameters.push_back({fmt::format("p{}", parameters.size()), Tensor::zeros(shape)});
  }
  return parameters;
}

// Every element belongs to one rank, and pieces are no longer than asked for.
TEST(ParameterBuckets, DealEveryElementToOneRank) {
  for (const int ranks : {1, 2, 3, 7}) {
    for (const std::int64_t bucket_elements : {1, 10, 64, 1000}) {
      auto parameters = parameters_of_sizes({{7, 3}, {1}, {5}, {64, 2}, {9}, {2, 2, 2}});
      const ParameterBuckets buckets(parameters, ranks, bucket_elements);
      for (int rank = 0; rank < ranks; ++rank) {
        for (ParameterSlice& slice : buckets.slices(rank)) {
          EXPECT_EQ(slice.whole, parameters[slice.index].tensor.shape());
          for (float& value : slice.part.tensor.as_mutable<float>()) value += 1.0F;
        }
      }
      for (const models::Parameter& parameter : parameters) {
        EXPECT_THAT(parameter.tensor.as<float>(), ::testing::Each(1.0F)) << parameter.name;
      }
      for (std::size_t bucket = 0; bucket < buckets.buckets().size(); ++bucket) {
        std::int64_t covered = 0;
        for (const BucketPiece& piece : buckets.pieces(bucket)) {
          EXPECT_EQ(piece.offset, covered);
          EXPECT_LE(piece.length, std::max<std::int64_t>(1, bucket_elements / ranks));
          covered += piece.length;
        }
        EXPECT_EQ(covered, buckets.buckets()[bucket].slice);
      }
    }
  }
}

TEST(ParameterBuckets, TakeTheLastParametersFirst) {
  const auto parameters = parameters_of_sizes({{4}, {4}, {4}});
  const ParameterBuckets buckets(parameters, 2, 8);
  ASSERT_EQ(buckets.buckets().size(), 2U);
  EXPECT_EQ(buckets.buckets()[0].parameters[0].parameter, 2U);
  EXPECT_EQ(buckets.buckets()[0].elements, 8);
  EXPECT_EQ(buckets.buckets()[1].parameters[0].parameter, 0U);
}

// loss = Σ factor · p over all parameters, whose gradients are recorded one operation each.
Tensor recorded_loss(autograd::Tape& tape, const std::vector<models::Parameter>& parameters, float factor) {
  Tensor sum = Tensor::zeros({1});
  tape.watch(parameters.front().tensor);
  for (const models::Parameter& parameter : parameters) {
    const Tensor next = Tensor::zeros({1});
    tape.record({next}, {}, [p = parameter.tensor, sum, next, factor](autograd::Tape& t) {
      const float upstream = t.gradient(next).as<float>()[0];
      autograd::GradientWindow window = t.gradient_to_write(p);
      float place = 0;
      for (float& value : window.values.as_mutable<float>()) value = factor * upstream * ++place;
      if (t.tracks(sum)) t.gradient(sum).as_mutable<float>()[0] += upstream;
    });
    sum = next;
  }
  return sum;
}

// Whatever the sizes, the own slices get the sum over ranks, and afterwards all ranks have what each made of
// its slices.
TEST(DataParallel, SumsGradientsAndGathersParameters) {
  for (const int ranks : {2, 3}) {
    for (const std::int64_t bucket_elements : {1, 6, 100}) {
      on_ranks(ranks, [&](ProcessGroup& group) {
        auto parameters = parameters_of_sizes({{7, 3}, {1}, {5}, {8, 2}});
        autograd::Tape tape;
        for (const models::Parameter& parameter : parameters) tape.watch(parameter.tensor);
        DataParallel parallel(group, tape, parameters, bucket_elements);
        for (int step = 0; step < 3; ++step) {
          tape.zero_gradients();
          const Tensor loss = recorded_loss(tape, parameters, static_cast<float>(group.rank() + 1));
          parallel.begin_reduction();
          tape.backward(loss);
          parallel.finish_reduction();
          const auto factors = static_cast<float>(ranks * (ranks + 1)) / 2.0F;
          for (ParameterSlice slice : parallel.own_slices()) {
            const Tensor gradient = tape.gradient(slice.part.tensor);
            for (std::int64_t i = 0; i < slice.part.tensor.elements(); ++i) {
              ASSERT_EQ(gradient.as<float>()[static_cast<std::size_t>(i)],
                        factors * static_cast<float>(slice.first + i + 1));
            }
            for (float& value : slice.part.tensor.as_mutable<float>())
              value = static_cast<float>(group.rank() + step);
          }
          parallel.gather_parameters();
          for (int rank = 0; rank < ranks; ++rank) {
            const ParameterBuckets same(parameters, ranks, bucket_elements);
            for (const ParameterSlice& slice : same.slices(rank)) {
              EXPECT_THAT(slice.part.tensor.as<float>(), ::testing::Each(static_cast<float>(rank + step)));
            }
          }
        }
      });
    }
  }
}

// A group that counts the exchanges begun while the tape still has operations to undo.
class WatchedRank final : public ThreadRank {
 public:
  WatchedRank(ThreadWorld& world, const autograd::Tape& tape) : ThreadRank(world, 0), tape_(&tape) {}
  std::unique_ptr<Transfer> start_all_to_all(Bytes out, MutableBytes in) override {
    begun_early_ += tape_->recorded_operations() > 0 ? 1 : 0;
    return ThreadRank::start_all_to_all(out, in);
  }
  int begun_early() const { return begun_early_; }

 private:
  const autograd::Tape* tape_;
  int begun_early_ = 0;
};

TEST(DataParallel, SendsBucketsWhileTheWalkBackGoesOn) {
  const auto parameters = parameters_of_sizes({{8}, {8}, {8}, {8}});
  autograd::Tape tape;
  for (const models::Parameter& parameter : parameters) tape.watch(parameter.tensor);
  ThreadWorld world(1);
  WatchedRank group(world, tape);
  DataParallel parallel(group, tape, parameters, 8);
  std::vector<int> early;
  for (int step = 0; step < 2; ++step) {
    tape.zero_gradients();
    const Tensor loss = recorded_loss(tape, parameters, 1.0F);
    parallel.begin_reduction();
    tape.backward(loss);
    parallel.finish_reduction();
    early.push_back(group.begun_early());
  }
  EXPECT_EQ(early[0], 0) << "the first walk cannot know which write is the last";
  EXPECT_EQ(early[1], 3) << "all buckets but that of the last operation";
}

TrainerOptions options_of(OptimizerKind kind) {
  TrainerOptions options;
  options.schedule = {
      .kind = ScheduleKind::cosine, .peak = 1e-3, .minimum = 1e-4, .warmup_steps = 2, .total_steps = 100};
  options.optimizer = {.kind = kind};
  return options;
}

// Rows [rank share) of the global batch of a step.
Batch share_of(std::uint64_t step, int rank, int ranks) {
  const Batch all = counted_batch(step, kGlobalBatch, 8, kTiny.vocabulary);
  const std::int64_t rows = kGlobalBatch / ranks;
  const auto begin = static_cast<std::ptrdiff_t>(rank * rows * 8);
  const auto end = begin + static_cast<std::ptrdiff_t>(rows * 8);
  return {.B = rows,
          .T = 8,
          .inputs = {all.inputs.begin() + begin, all.inputs.begin() + end},
          .targets = {all.targets.begin() + begin, all.targets.begin() + end},
          .documents = {}};
}

std::vector<float> weights_of(const models::Model& model) {
  std::vector<float> values;
  for (const models::Parameter& parameter : model.parameters()) {
    const auto own = parameter.tensor.as<float>();
    values.insert(values.end(), own.begin(), own.end());
  }
  return values;
}

void set_weights(const models::Model& model, std::span<const float> values) {
  for (const models::Parameter& parameter : model.parameters()) {
    Tensor tensor = parameter.tensor;
    const auto count = static_cast<std::size_t>(tensor.elements());
    std::ranges::copy(values.first(count), tensor.as_mutable<float>().begin());
    values = values.subspan(count);
  }
}

struct Outcome {
  std::vector<StepResult> steps;
  std::vector<std::vector<float>> weights;  // of each rank
};

Outcome train_on(int ranks, OptimizerKind kind, int steps) {
  Outcome outcome;
  outcome.weights.resize(static_cast<std::size_t>(ranks));
  on_ranks(ranks, [&](ProcessGroup& group) {
    const auto model = small_gpt(kTiny);
    Trainer trainer(*model, options_of(kind), &group);
    std::vector<StepResult> results;
    for (int step = 0; step < steps; ++step) {
      results.push_back(trainer.step([&](Batch& batch) {
        batch = share_of(static_cast<std::uint64_t>(step), group.rank(), group.size());
      }));
    }
    outcome.weights[static_cast<std::size_t>(group.rank())] = weights_of(*model);
    if (group.is_first()) outcome.steps = results;
  });
  return outcome;
}

TEST(DataParallel, TakesTheStepsOfOneRankAlone) {
  for (const OptimizerKind kind : {OptimizerKind::adamw, OptimizerKind::lion, OptimizerKind::sgd}) {
    const Outcome alone = train_on(1, kind, 6);
    for (const int ranks : {2, 4}) {
      const Outcome together = train_on(ranks, kind, 6);
      for (std::size_t step = 0; step < alone.steps.size(); ++step) {
        const StepResult& expected = alone.steps[step];
        const StepResult& found = together.steps[step];
        EXPECT_EQ(found.tokens, expected.tokens);
        // Only the order of float32 sums differs; see AccumulatedBatchesAreOneBatch.
        EXPECT_NEAR(found.loss, expected.loss, 1e-5 * expected.loss) << ranks << " ranks, step " << step;
        EXPECT_NEAR(found.gradient_norm, expected.gradient_norm, 1e-3 * expected.gradient_norm);
      }
      for (const auto& weights : together.weights) {
        EXPECT_EQ(weights, together.weights.front()) << "every rank has the same model";
      }
    }
  }
}

TEST(DataParallel, GivesTheSameBitsEveryTime) {
  const Outcome once = train_on(2, OptimizerKind::adamw, 4);
  const Outcome again = train_on(2, OptimizerKind::adamw, 4);
  EXPECT_EQ(once.weights, again.weights);
}

TEST(DataParallel, EveryRankSeesThatNumbersAreNoLongerFinite) {
  on_ranks(2, [](ProcessGroup& group) {
    const auto model = small_gpt(kTiny);
    Trainer trainer(*model, options_of(OptimizerKind::adamw), &group);
    Tensor table = model->parameters().front().tensor;
    if (group.rank() == 1) table.as_mutable<float>()[0] = std::numeric_limits<float>::quiet_NaN();
    try {
      trainer.step([&](Batch& batch) { batch = share_of(0, group.rank(), group.size()); });
      ADD_FAILURE() << "rank " << group.rank() << " went on";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), group.is_first() ? ErrorKind::limit : ErrorKind::cancelled);
    }
    EXPECT_TRUE(group.ended_together());
  });
}

TEST(DataParallel, MeasuresTheSameOnAnyNumberOfRanks) {
  std::vector<TokenId> ids;
  for (std::uint64_t i = 0; i < 100; ++i) ids.push_back(skewed_token(1, i, 11));
  const TokenDataset dataset(ids, {.seq_len = 8, .keep_tail = true});
  const auto model = small_gpt(kTiny);
  const double alone = evaluate(*model, dataset, 2);
  for (const int ranks : {2, 3}) {
    on_ranks(ranks, [&](ProcessGroup& group) { EXPECT_EQ(evaluate(*model, dataset, 2, {}, &group), alone); });
  }
}

// What several ranks save is what one would; any number of them goes on from it.
TEST(DataParallel, ACheckpointBelongsToNoNumberOfRanks) {
  const tessera::testing::TemporaryFolder folder;
  std::string checkpoint;
  std::vector<float> saved;
  const auto save = [&](Trainer& trainer, ProcessGroup& group, const models::Model& model) {
    auto state = trainer.optimizer_state();
    if (!group.is_first()) return;
    TrainingState place;
    place.step = trainer.steps_taken();
    checkpoint = write_checkpoint(folder.path().string(), weights_writer(model), std::move(state), place, {});
  };
  const auto step = [](Trainer& trainer, ProcessGroup& group, std::uint64_t index) {
    return trainer.step([&](Batch& batch) { batch = share_of(index, group.rank(), group.size()); });
  };
  std::vector<std::vector<float>> after_a_step(5);
  on_ranks(4, [&](ProcessGroup& group) {
    const auto model = small_gpt(kTiny);
    Trainer trainer(*model, options_of(OptimizerKind::adamw), &group);
    for (std::uint64_t index = 0; index < 3; ++index) step(trainer, group, index);
    save(trainer, group, *model);
    if (group.is_first()) saved = weights_of(*model);
    step(trainer, group, 3);
    if (group.is_first()) after_a_step[0] = weights_of(*model);
  });
  for (const int ranks : {1, 2, 4}) {
    on_ranks(ranks, [&](ProcessGroup& group) {
      const auto model = small_gpt(kTiny);
      set_weights(*model, saved);
      Trainer trainer(*model, options_of(OptimizerKind::adamw), &group);
      restore_optimizer(checkpoint, trainer.optimizer(), 3);
      step(trainer, group, 3);
      if (group.is_first()) after_a_step[static_cast<std::size_t>(ranks)] = weights_of(*model);
    });
  }
  EXPECT_EQ(after_a_step[4], after_a_step[0]) << "the same number of ranks: the same bits";
  for (const std::size_t ranks : {1U, 2U}) {
    for (std::size_t i = 0; i < after_a_step[0].size(); ++i) {
      ASSERT_NEAR(after_a_step[ranks][i], after_a_step[0][i], 1e-5) << ranks << " ranks, weight " << i;
    }
  }
}

}  // namespace
}  // namespace tessera::train::testing
