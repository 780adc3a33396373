#include "train/training_run.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/open_model_files.h"
#include "ops/machine_peak.h"
#include "train/initial_weights.h"

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
    if (fs::exists(folder / name)) files.push_back({(folder / name).string(), name});
  }
  return files;
}

void add_tokenizer(const TrainingConfig& c, std::vector<CompanionFile>& files) {
  fs::path place = c.tokenizer.empty() ? fs::path(c.data) : fs::path(c.tokenizer);
  if (place.empty()) return;
  if (fs::is_regular_file(place)) {
    std::erase_if(files, [](const CompanionFile& file) { return file.name == "tokenizer.json"; });
    files.push_back({place.string(), "tokenizer.json"});
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
                   std::int64_t vocabulary) {
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
    write_file_atomically(config_path, model_config_json(c, vocabulary));
  }
  return {std::make_shared<InitialWeights>(config_path, c.seed), {{config_path, "config.json"}}};
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

// metrics.jsonl: a line a step. After a resume the lines of steps that are done again go.
class MetricsFile {
 public:
  MetricsFile(const std::string& folder, std::int64_t steps_done)
      : path_((fs::path(folder) / "metrics.jsonl").string()) {
    std::string kept;
    if (steps_done > 0 && fs::exists(path_)) {
      std::ifstream old(path_);
      for (std::string line; std::getline(old, line);) {
        const nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
        if (entry.is_object() && entry.value("step", std::int64_t{0}) <= steps_done) kept += line + "\n";
      }
    }
    write_file_atomically(path_, kept);
    out_.open(path_, std::ios::app);
  }
  void add(const StepLine& line) {
    nlohmann::ordered_json entry{{"step", line.result.step},
                                 {"loss", line.result.loss},
                                 {"learning_rate", line.result.learning_rate},
                                 {"gradient_norm", line.result.gradient_norm},
                                 {"tokens", line.result.tokens},
                                 {"tokens_per_second", line.tokens_per_second},
                                 {"share_of_peak", line.share_of_peak}};
    if (line.validation_loss) entry["validation_loss"] = *line.validation_loss;
    out_ << entry.dump() << "\n" << std::flush;
    if (!out_) fail(ErrorKind::io, "{}: cannot write", path_);
  }

 private:
  std::string path_;
  std::ofstream out_;
};

class Run {
 public:
  Run(const TrainingConfig& config, const TrainingEvents& events, const std::atomic<bool>* stop)
      : config_(config), events_(events), stop_(stop) {}

  TrainingResult run();

 private:
  void open();
  void note(const std::string& text) const {
    if (events_.note) events_.note(text);
  }
  void next_batch(Batch& batch);
  double evaluate_now();
  void save();
  bool due(std::int64_t every) const {
    const std::int64_t step = trainer_->steps_taken();
    return step == config_.steps || (every > 0 && step % every == 0);
  }
  StepLine line_of(const StepResult& result);

  const TrainingConfig& config_;
  const TrainingEvents& events_;
  const std::atomic<bool>* stop_;
  Datasets data_;
  Source source_;
  std::unique_ptr<models::Model> model_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<DataLoader> loader_;
  TrainingState state_;
  TrainingResult result_;
  double flops_per_token_ = 0;
  double peak_flops_ = 0;
  double seconds_per_step_ = 0;
};

void Run::open() {
  check_training_config(config_);
  TrainerOptions options = trainer_options(config_);
  if (options.precision == ops::MatmulPrecision::bf16 && !ops::has_fast_bf16()) {
    note("this CPU has no fast bf16 products: float32 instead");
    options.precision = ops::MatmulPrecision::f32;
  }
  data_ = open_data(config_);
  loader_ = std::make_unique<DataLoader>(
      *data_.train, DataLoaderOptions{.batch_size = config_.batch_size, .seed = config_.seed});
  fs::create_directories(config_.out);
  std::vector<std::string> rejected;
  const std::optional<std::string> checkpoint =
      config_.resume ? newest_checkpoint(config_.out, &rejected) : std::nullopt;
  for (const std::string& reason : rejected) note(fmt::format("passed over: {}", reason));
  if (!config_.resume && newest_checkpoint(config_.out)) {
    fail(ErrorKind::bad_usage, "{}: expected an empty folder, found checkpoints: --resume goes on from them",
         config_.out);
  }
  source_ = open_source(config_, checkpoint, data_.train->vocabulary_size());
  add_tokenizer(config_, source_.files);
  model_ = models::create_model(*source_.weights, {.weight_form = models::WeightForm::trainable});
  check_model(*model_, config_, data_);
  trainer_ = std::make_unique<Trainer>(*model_, options);
  state_.seed = config_.seed;
  if (checkpoint) {
    state_ = read_training_state(*checkpoint);
    restore_optimizer(*checkpoint, trainer_->optimizer(), state_.step);
    loader_->restore(state_.data);
    note(fmt::format("resumes at step {} from {}", state_.step, *checkpoint));
  }
  flops_per_token_ = training_flops_per_token(*model_, config_.seq_len);
  peak_flops_ = ops::measure_machine_peak(std::size_t{1} << 20U).flops_per_second;
  note(fmt::format("{} parameters, {} tokens to train on, {} windows of {}", model_->parameter_count(),
                   data_.train->token_count(), data_.train->size(), config_.seq_len));
}

void Run::next_batch(Batch& batch) {
  if (loader_->next(batch)) return;
  loader_->reset(loader_->state().epoch + 1);
  if (!loader_->next(batch)) fail(ErrorKind::internal, "training: an epoch without a batch");
}

double Run::evaluate_now() {
  const std::int64_t rows = std::max<std::int64_t>(1, 8192 / config_.seq_len);
  return evaluate(*model_, *data_.validation, rows, [&](std::int64_t done, std::int64_t all) {
    if (events_.evaluating) events_.evaluating(done, all);
  });
}

void Run::save() {
  state_.step = trainer_->steps_taken();
  state_.data = loader_->state();
  result_.checkpoint = write_checkpoint(config_.out, *model_, trainer_->optimizer(), state_, source_.files);
  remove_old_checkpoints(config_.out, config_.keep);
  if (events_.checkpoint) events_.checkpoint(result_.checkpoint);
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
  open();
  MetricsFile metrics(config_.out, state_.step);
  while (trainer_->steps_taken() < config_.steps) {
    const auto start = Clock::now();
    const StepResult result = trainer_->step([&](Batch& batch) { next_batch(batch); });
    const double seconds = seconds_since(start);
    result_.training_seconds += seconds;
    // A mean that forgets: about the last twenty steps.
    seconds_per_step_ = seconds_per_step_ == 0 ? seconds : 0.95 * seconds_per_step_ + 0.05 * seconds;
    state_.tokens += result.tokens;
    StepLine line = line_of(result);
    if (data_.validation && due(config_.evaluate_every)) {
      line.validation_loss = result_.validation_loss = evaluate_now();
      if (state_.best_validation_loss == 0 || *line.validation_loss < state_.best_validation_loss) {
        state_.best_validation_loss = *line.validation_loss;
      }
    }
    metrics.add(line);
    if (events_.step) events_.step(line);
    result_.last_loss = result.loss;
    result_.stopped = stop_ != nullptr && *stop_ && trainer_->steps_taken() < config_.steps;
    if (due(config_.save_every) || result_.stopped) save();
    if (result_.stopped) break;
  }
  result_.steps = trainer_->steps_taken();
  return result_;
}

}  // namespace

TrainingResult run_training(const TrainingConfig& config, const TrainingEvents& events,
                            const std::atomic<bool>* stop) {
  return Run(config, events, stop).run();
}

}  // namespace tessera::train
