#include "train/training_run.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/open_model_files.h"
#include "ops/machine_peak.h"
#include "train/initial_weights.h"
#include "train/lora_training.h"
#include "train/step_log.h"
#include "train/weight_average.h"

namespace tessera::train {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Datasets {
  std::shared_ptr<const TokenFile> train_file;
  std::unique_ptr<TokenDataset> train;
  std::unique_ptr<TokenDataset> validation;  // null: none
};

Datasets open_data(const TrainingConfig& c) {
  const auto path_of = [&](const std::string& given, const char* name) {
    return !given.empty() ? given : c.data.empty() ? "" : (fs::path(c.data) / name).string();
  };
  const std::string train = path_of(c.train_file, "train.tokens");
  const std::string validation = path_of(c.validation_file, "validation.tokens");
  Datasets data;
  data.train_file = TokenFile::open(train);
  data.train = std::make_unique<TokenDataset>(
      data.train_file,
      TokenDatasetOptions{
          .seq_len = c.seq_len, .stride = c.stride, .separate_documents = c.separate_documents});
  if (!validation.empty() && (!c.validation_file.empty() || fs::exists(validation))) {
    data.validation = std::make_unique<TokenDataset>(
        TokenFile::open(validation),
        TokenDatasetOptions{
            .seq_len = c.seq_len, .keep_tail = true, .separate_documents = c.separate_documents});
  }
  return data;
}

// What describes the model and its text: copied into every checkpoint.
std::vector<CompanionFile> companions(const fs::path& folder) {
  std::vector<CompanionFile> files;
  for (const char* name : {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
                           "special_tokens_map.json", "chat_template.jinja"}) {
    if (fs::exists(folder / name)) files.emplace_back((folder / name).string(), name);
  }
  return files;
}

void add_tokenizer(const TrainingConfig& c, std::vector<CompanionFile>& files) {
  fs::path place = c.tokenizer.empty() ? fs::path(c.data) : fs::path(c.tokenizer);
  if (place.empty()) return;
  if (fs::is_regular_file(place)) {
    std::erase_if(files, [](const CompanionFile& file) { return file.name == "tokenizer.json"; });
    files.emplace_back(place.string(), "tokenizer.json");
    return;
  }
  for (const CompanionFile& found : companions(place)) {
    if (found.name == "config.json") continue;
    std::erase_if(files, [&](const CompanionFile& file) { return file.name == found.name; });
    files.push_back(found);
  }
}

struct Source {
  std::shared_ptr<const WeightSource> weights;
  std::vector<CompanionFile> files;
};

// Where the model comes from: a checkpoint to go on from, weights, a configuration, or a shape.
Source open_source(const TrainingConfig& c, const std::optional<std::string>& checkpoint,
                   std::int64_t vocabulary, bool may_write) {
  const std::string folder = checkpoint ? *checkpoint : c.model;
  if (!folder.empty() && fs::is_directory(folder)) {
    const formats::ModelFiles files = formats::open_model_files(folder);
    formats::require_weights(files);
    if (files.weights->naming() != NamingScheme::hugging_face) {
      fail(ErrorKind::unsupported, "{}: expected a Hugging Face folder to train, found GGUF", folder);
    }
    return {files.weights, companions(folder)};
  }
  std::string config_path = c.model;
  if (config_path.empty()) {
    config_path = (fs::path(c.out) / "config.json").string();
    if (may_write || !fs::exists(config_path)) {
      write_file_atomically(config_path, model_config_json(c, vocabulary));
    }
  }
  return {std::make_shared<InitialWeights>(config_path, c.seed), {CompanionFile(config_path, "config.json")}};
}

void check_model(const models::Model& model, const TrainingConfig& c, const Datasets& data) {
  const models::ModelConfig& m = model.config();
  const std::int64_t limit = m.position_limit > 0 ? m.position_limit : m.max_position_embeddings;
  if (c.seq_len > limit) {
    fail(ErrorKind::bad_usage, "seq-len: expected at most the model's {} positions, found {}", limit,
         c.seq_len);
  }
  for (const TokenDataset* set : {data.train.get(), data.validation.get()}) {
    if (set == nullptr || set->vocabulary_size() <= m.vocab_size) continue;
    fail(ErrorKind::bad_input, "{}: expected tokens of the model's vocabulary of {}, found one of {}",
         set->file()->path(), m.vocab_size, set->vocabulary_size());
  }
}

std::string metrics_line(const StepLine& line) {
  nlohmann::ordered_json entry{{"step", line.result.step},
                               {"loss", line.result.loss},
                               {"learning_rate", line.result.learning_rate},
                               {"gradient_norm", line.result.gradient_norm},
                               {"tokens", line.result.tokens},
                               {"tokens_per_second", line.tokens_per_second},
                               {"share_of_peak", line.share_of_peak}};
  if (line.validation_loss) entry["validation_loss"] = *line.validation_loss;
  if (line.average_validation_loss) entry["ema_validation_loss"] = *line.average_validation_loss;
  return entry.dump();
}

// Each rank reads its own rows of each batch, so that all together see what one alone would.
DataLoaderOptions share_of_batches(const TrainingConfig& c, const ProcessGroup& group) {
  if (c.batch_size % group.size() != 0) {
    fail(ErrorKind::bad_usage, "batch-size: expected a multiple of the {} ranks, found {}", group.size(),
         c.batch_size);
  }
  return {.batch_size = c.batch_size / group.size(),
          .seed = c.seed,
          .rank = group.rank(),
          .world_size = group.size()};
}

class Run {
 public:
  Run(const TrainingConfig& config, const TrainingEvents& events, const std::atomic<bool>* stop,
      ProcessGroup& group)
      : config_(config), events_(events), stop_(stop), group_(group) {}

  TrainingResult run();

 private:
  void open();
  void open_on_all_ranks();
  bool asked_to_stop() const;
  void open_model(const std::optional<std::string>& checkpoint);
  void note(const std::string& text) const {
    if (events_.note) events_.note(text);
  }
  void next_batch(Batch& batch);
  double evaluate_now();
  StepLine train_step();
  void measure(StepLine& line);
  void save();
  void resume_from(const std::string& checkpoint);
  std::string log_path(const char* name) const { return (fs::path(config_.out) / name).string(); }
  bool wants_samples() const { return config_.sample_every > 0 && events_.continue_text; }
  SampleLine write_sample() const;
  void tell_sample(StepLog& log, const SampleLine& sample) const;
  bool out_of_patience() const {
    return config_.patience > 0 && state_.measurements_since_best >= config_.patience;
  }
  bool due(std::int64_t every) const {
    const std::int64_t step = trainer_->steps_taken();
    return step == config_.steps || (every > 0 && step % every == 0);
  }
  StepLine line_of(const StepResult& result);

  const TrainingConfig& config_;
  const TrainingEvents& events_;
  const std::atomic<bool>* stop_;
  ProcessGroup& group_;
  Datasets data_;
  Source source_;
  std::unique_ptr<models::Model> own_model_;  // all of it is trained
  std::optional<LoraRun> lora_;               // or an adapter beside a frozen one
  const models::Model* model_ = nullptr;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<DataLoader> loader_;
  std::unique_ptr<WeightAverage> average_;  // null: none wanted
  TrainingState state_;
  TrainingResult result_;
  double flops_per_token_ = 0;
  double peak_flops_ = 0;
  double seconds_per_step_ = 0;
};

void Run::open_model(const std::optional<std::string>& checkpoint) {
  if (config_.lora_r > 0) {
    lora_ = open_lora_run(config_, checkpoint);
    source_.files = companions(config_.model);
    std::erase_if(source_.files, [](const CompanionFile& file) { return file.name == "config.json"; });
    add_tokenizer(config_, source_.files);
    model_ = lora_->model.get();
    flops_per_token_ = lora_flops_per_token(*model_, config_.seq_len);
    std::int64_t trained = 0;
    for (const models::Parameter& parameter : lora_->parameters) trained += parameter.tensor.elements();
    note(fmt::format("LoRA: {} parameters in {} modules are trained, the model is frozen", trained,
                     lora_->parameters.size() / 2));
    return;
  }
  source_ = open_source(config_, checkpoint, data_.train->vocabulary_size(), group_.is_first());
  add_tokenizer(config_, source_.files);
  own_model_ = models::create_model(*source_.weights, {.weight_form = models::WeightForm::trainable});
  model_ = own_model_.get();
  flops_per_token_ = training_flops_per_token(*model_, config_.seq_len);
}

void Run::open() {
  check_training_config(config_);
  TrainerOptions options = trainer_options(config_);
  if (options.precision == ops::MatmulPrecision::bf16 && !ops::has_fast_bf16()) {
    note("this CPU has no fast bf16 products: float32 instead");
    options.precision = ops::MatmulPrecision::f32;
  }
  data_ = open_data(config_);
  loader_ = std::make_unique<DataLoader>(*data_.train, share_of_batches(config_, group_));
  fs::create_directories(config_.out);
  std::vector<std::string> rejected;
  const std::optional<std::string> checkpoint =
      config_.resume ? newest_checkpoint(config_.out, &rejected) : std::nullopt;
  for (const std::string& reason : rejected) note(fmt::format("passed over: {}", reason));
  if (!config_.resume && newest_checkpoint(config_.out)) {
    fail(ErrorKind::bad_usage, "{}: expected an empty folder, found checkpoints: --resume goes on from them",
         config_.out);
  }
  open_model(checkpoint);
  check_model(*model_, config_, data_);
  trainer_ =
      std::make_unique<Trainer>(*model_, options, lora_ ? lora_->parameters : model_->parameters(), &group_);
  state_.seed = config_.seed;
  if (config_.ema > 0) average_ = std::make_unique<WeightAverage>(model_->parameters(), config_.ema);
  if (checkpoint) resume_from(*checkpoint);
  if (group_.is_first()) {
    peak_flops_ = ops::measure_machine_peak(std::size_t{1} << 20U).flops_per_second * group_.size();
  }
  note(fmt::format("{} parameters, {} tokens to train on, {} windows of {}", model_->parameter_count(),
                   data_.train->token_count(), data_.train->size(), config_.seq_len));
}

void Run::resume_from(const std::string& checkpoint) {
  state_ = read_training_state(checkpoint);
  restore_optimizer(checkpoint, trainer_->optimizer(), state_.step);
  loader_->restore(state_.data);
  note(fmt::format("resumes at step {} from {}", state_.step, checkpoint));
  if (!average_) return;
  const fs::path folder = fs::path(checkpoint) / "ema";
  if (state_.average_updates == 0) {
    note("the checkpoint has no averaged weights: the average begins here");
    return;
  }
  const formats::ModelFiles files = formats::open_model_files(folder.string());
  average_->restore(formats::require_weights(files), state_.average_updates);
}

// Rank 0 before the others, so that they find what it has written in the folder of the run.
void Run::open_on_all_ranks() {
  group_.together([this] {
    if (group_.is_first()) open();
  });
  group_.together([this] {
    if (!group_.is_first()) open();
  });
  std::vector<std::int64_t> steps{state_.step};
  group_.broadcast(std::as_writable_bytes(std::span(steps)), 0);
  group_.together([&] {
    if (steps.front() == state_.step) return;
    fail(ErrorKind::io,
         "{}: expected the checkpoint of step {} that rank 0 resumes from, found one of step {}", config_.out,
         steps.front(), state_.step);
  });
  for (const models::Parameter& parameter : model_->parameters()) {
    Tensor values = parameter.tensor;
    group_.broadcast({values.mutable_raw(), values.bytes()}, 0);
  }
}

// When one rank was asked to, all stop after the same step.
bool Run::asked_to_stop() const {
  const bool asked = stop_ != nullptr && *stop_;
  return group_.sum(asked ? 1.0 : 0.0) > 0;
}

void Run::next_batch(Batch& batch) {
  if (loader_->next(batch)) return;
  loader_->reset(loader_->state().epoch + 1);
  if (!loader_->next(batch)) fail(ErrorKind::internal, "training: an epoch without a batch");
}

double Run::evaluate_now() {
  const std::int64_t rows = std::max<std::int64_t>(1, 8192 / config_.seq_len);
  const auto progress = [&](std::int64_t done, std::int64_t all) {
    if (events_.evaluating) events_.evaluating(done, all);
  };
  return evaluate(*model_, *data_.validation, rows, progress, &group_);
}

// The loss on the validation file, of the weights and of their average; the better one counts for patience.
void Run::measure(StepLine& line) {
  line.validation_loss = result_.validation_loss = evaluate_now();
  double watched = *line.validation_loss;
  if (average_) {
    const AveragedWeightsScope averaged(*average_);
    line.average_validation_loss = result_.average_validation_loss = evaluate_now();
    watched = std::min(watched, *line.average_validation_loss);
  }
  ++state_.measurements_since_best;
  if (state_.best_validation_loss == 0 || watched < state_.best_validation_loss) {
    state_.best_validation_loss = watched;
    state_.best_step = line.result.step;
    state_.measurements_since_best = 0;
  }
}

SampleLine Run::write_sample() const {
  SampleRequest request{.model = *model_,
                        .prompt = config_.sample_prompt,
                        .tokens = config_.sample_tokens,
                        .temperature = config_.sample_temperature,
                        .seed = config_.seed + static_cast<std::uint64_t>(trainer_->steps_taken()),
                        .lora = lora_ ? kTrainedLora : nn::kNoLora};
  for (const CompanionFile& file : source_.files) {
    if (file.name == "tokenizer.json") request.tokenizer_json = file.path;
    if (file.name == "tokenizer_config.json") request.tokenizer_config = file.path;
  }
  if (request.tokenizer_json.empty()) {
    fail(ErrorKind::bad_usage, "sample-every: expected a tokenizer.json (--tokenizer), found none");
  }
  return {trainer_->steps_taken(), config_.sample_prompt, events_.continue_text(request)};
}

void Run::tell_sample(StepLog& log, const SampleLine& sample) const {
  log.add(sample_json(sample));
  if (events_.sample) events_.sample(sample);
}

void Run::save() {
  state_.step = trainer_->steps_taken();
  state_.data = loader_->state();
  state_.average_updates = average_ ? average_->updates() : 0;
  std::vector<formats::TensorToWrite> optimizer_state = trainer_->optimizer_state();
  if (!group_.is_first()) return;
  const WeightsWriter write =
      lora_ ? [this](const std::string& folder) { write_lora(folder, *lora_); } : weights_writer(*model_);
  result_.checkpoint =
      write_checkpoint(config_.out, write, std::move(optimizer_state), state_, source_.files,
                       average_ ? average_->averages() : std::span<const models::Parameter>());
  if (config_.patience > 0 && state_.best_step == state_.step) mark_best_checkpoint(config_.out, state_.step);
  remove_old_checkpoints(config_.out, config_.keep);
  if (events_.checkpoint) events_.checkpoint(result_.checkpoint);
}

StepLine Run::train_step() {
  const auto start = Clock::now();
  const StepResult result = trainer_->step([&](Batch& batch) { next_batch(batch); });
  if (average_) average_->update();
  const double seconds = seconds_since(start);
  result_.training_seconds += seconds;
  // A mean that forgets: about the last twenty steps.
  seconds_per_step_ = seconds_per_step_ == 0 ? seconds : 0.95 * seconds_per_step_ + 0.05 * seconds;
  state_.tokens += result.tokens;
  result_.last_loss = result.loss;
  return line_of(result);
}

StepLine Run::line_of(const StepResult& result) {
  StepLine line;
  line.result = result;
  line.steps = config_.steps;
  line.tokens_per_second = static_cast<double>(result.tokens) / seconds_per_step_;
  line.share_of_peak = line.tokens_per_second * flops_per_token_ / peak_flops_;
  line.seconds_left = seconds_per_step_ * static_cast<double>(config_.steps - result.step);
  return line;
}

TrainingResult Run::run() {
  open_on_all_ranks();
  const nn::LoraScope adapter(lora_ ? kTrainedLora : nn::kNoLora);
  std::optional<StepLog> metrics;
  if (group_.is_first()) metrics.emplace(log_path("metrics.jsonl"), state_.step);
  if (events_.begin) events_.begin(state_.step);
  std::optional<StepLog> samples;
  if (wants_samples()) {
    // Before anything is trained: a prompt that cannot be written would be found after many steps.
    const SampleLine first = write_sample();
    samples.emplace(log_path("samples.jsonl"), state_.step);
    if (state_.step == 0) tell_sample(*samples, first);
  }
  while (trainer_->steps_taken() < config_.steps && !out_of_patience()) {
    StepLine line = train_step();
    const bool measured = data_.validation && due(config_.evaluate_every);
    if (measured) measure(line);
    if (metrics) metrics->add(metrics_line(line));
    if (events_.step) events_.step(line);
    if (samples && due(config_.sample_every)) tell_sample(*samples, write_sample());
    result_.stopped = asked_to_stop() && trainer_->steps_taken() < config_.steps;
    const bool best = config_.patience > 0 && measured && state_.measurements_since_best == 0;
    if (due(config_.save_every) || best || result_.stopped || out_of_patience()) save();
    if (result_.stopped) break;
  }
  result_.steps = trainer_->steps_taken();
  result_.out_of_patience = out_of_patience();
  if (state_.best_validation_loss != 0) result_.best_validation_loss = state_.best_validation_loss;
  return result_;
}

}  // namespace

TrainingResult run_training(const TrainingConfig& config, const TrainingEvents& events,
                            const std::atomic<bool>* stop, ProcessGroup* group) {
  const std::unique_ptr<ProcessGroup> alone = world_of_one();
  return Run(config, events, stop, group != nullptr ? *group : *alone).run();
}

}  // namespace tessera::train
