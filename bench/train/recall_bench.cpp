// Multi-query associative recall (MQAR: Arora et al. 2024, "Zoology", figure 2): how well a mechanism of
// attention remembers. A text begins with pairs of a key and a value; later, among random tokens, keys come
// again, and the model must say their values. Two layers of attention with norms and nothing between them,
// one head. Trains one model and prints its accuracy on texts it has not seen, as one line of JSON.
//
//   recall_bench --attention gated_delta_rule --seq-len 64 --pairs 4 --hidden-size 64
//   recall_bench --attention flash,sliding_window --setting attention_window=16
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "base/atomic_file.h"
#include "base/error.h"
#include "models/decoder_model.h"
#include "models/linear_mixer_loader.h"
#include "nn/attention/attention_factory.h"
#include "ops/elementwise.h"
#include "train/initial_weights.h"
#include "train/trainer.h"

namespace tessera {
namespace {

struct Settings {
  std::string attention = "flash";
  std::vector<std::string> settings;  // key=value of config.json
  std::int64_t seq_len = 64;
  std::int64_t pairs = 4;
  std::int64_t hidden_size = 64;
  std::int64_t vocabulary = 8192;
  std::int64_t steps = 2000;
  std::int64_t batch_size = 64;
  double learning_rate = 3e-3;
  std::uint64_t seed = 1;
  std::int64_t examples = 1024;  // to measure on
  double enough = 0.999;         // accuracy at which training ends early
};

// Embeddings of tokens and places, attention with a norm before it, a last norm, the embeddings again.
class RecallModel final : public models::Model {
 public:
  explicit RecallModel(const WeightSource& source) {
    const models::ConfigReader config(source);
    models::WeightLoader weights(source, {}, models::WeightForm::trainable);
    const models::DecoderDimensions d = models::read_dimensions(config, weights, 1);
    config_ = models::to_model_config("recall", d);
    config_.attention = d.attention;
    const auto table = [&](const char* name, std::int64_t rows) {
      return nn::Embedding(weights.matrix(name, rows, d.hidden_size));
    };
    tokens_ = table("model.embed_tokens.weight", d.vocab_size);
    places_ = table("model.embed_positions.weight", d.max_position_embeddings);
    head_ = nn::Linear(tokens_.weight());
    for (std::int64_t layer = 0; layer < d.num_hidden_layers; ++layer) {
      norms_.push_back(weights.rms_norm(layer, "input_layernorm", d.hidden_size, d.rms_norm_eps));
      attention_.push_back(models::load_attention(weights, layer, d, {}));
      config_.layers.push_back(
          models::kept_of(attention_.back().linear_mixer.get(), {d.num_key_value_heads, d.head_dim}));
    }
    last_norm_ = weights.rms_norm(-1, "model.norm", d.hidden_size, d.rms_norm_eps);
    parameters_ = weights.parameters();
    parameter_count_ = weights.parameter_count();
  }

  const models::ModelConfig& config() const override { return config_; }
  Tensor forward(const RaggedBatch& batch, nn::AttentionMechanism& attention) const override {
    Tensor x = ops::add(tokens_(batch.tokens), places_(batch.positions));  // [T, C]
    for (std::size_t layer = 0; layer < attention_.size(); ++layer) {
      x = ops::add(x, attention_[layer](static_cast<int>(layer), norms_[layer](x), batch, attention));
    }
    return last_norm_(x);  // [T, C]
  }
  Tensor logits(const Tensor& hidden) const override { return head_(hidden); }
  models::OutputHead output_head() const override { return {head_.weight()}; }
  std::span<const models::Parameter> parameters() const override { return parameters_; }
  std::int64_t parameter_count() const override { return parameter_count_; }
  std::size_t parameter_bytes() const override {
    return static_cast<std::size_t>(parameter_count_) * sizeof(float);
  }

 private:
  models::ModelConfig config_;
  nn::Embedding tokens_;
  nn::Embedding places_;
  nn::Linear head_;
  std::vector<nn::RmsNorm> norms_;
  std::vector<nn::SelfAttention> attention_;
  nn::RmsNorm last_norm_;
  std::vector<models::Parameter> parameters_;
  std::int64_t parameter_count_ = 0;
};

// Texts as Zoology makes them: keys from the lower half of the vocabulary, values from the upper; the
// distance from the pairs to a key's return follows a power law (exponent 0.01 - 1); all else is random
// tokens.
class RecallTexts {
 public:
  RecallTexts(const Settings& settings, std::uint64_t seed) : s_(&settings), random_(seed) {
    const std::int64_t places = (settings.seq_len - 2 * settings.pairs) / 2;
    if (settings.pairs < 1 || places < settings.pairs || settings.vocabulary / 2 <= settings.pairs) {
      fail(ErrorKind::bad_usage, "recall: {} pairs and their keys again do not fit into {} tokens",
           settings.pairs, settings.seq_len);
    }
    for (std::int64_t place = 1; place <= places; ++place) {
      weights_.push_back(std::pow(static_cast<double>(place), -0.99));
    }
  }

  train::Batch batch(std::int64_t rows) {
    train::Batch batch{.B = rows, .T = s_->seq_len, .inputs = {}, .targets = {}, .documents = {}};
    for (std::int64_t row = 0; row < rows; ++row) add_text(batch);
    return batch;
  }

 private:
  std::int32_t token(std::int64_t low, std::int64_t high) {
    return static_cast<std::int32_t>(std::uniform_int_distribution<std::int64_t>(low, high - 1)(random_));
  }
  // `count` different ones of [low, high).
  std::vector<std::int32_t> different(std::int64_t count, std::int64_t low, std::int64_t high) {
    std::vector<std::int32_t> chosen;
    while (static_cast<std::int64_t>(chosen.size()) < count) {
      const std::int32_t candidate = token(low, high);
      if (std::ranges::find(chosen, candidate) == chosen.end()) chosen.push_back(candidate);
    }
    return chosen;
  }
  void add_text(train::Batch& batch) {
    const std::int64_t half = s_->vocabulary / 2;
    const auto begin = batch.inputs.size();
    for (std::int64_t t = 0; t < s_->seq_len; ++t) {
      batch.inputs.push_back(token(1, s_->vocabulary));
      batch.targets.push_back(train::kIgnoredTarget);
    }
    const auto keys = different(s_->pairs, 1, half);
    const auto values = different(s_->pairs, half, s_->vocabulary);
    std::vector<double> weights = weights_;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      batch.inputs[begin + 2 * i] = keys[i];
      batch.inputs[begin + 2 * i + 1] = values[i];
      std::discrete_distribution<std::size_t> distribution(weights.begin(), weights.end());
      const std::size_t place = distribution(random_);
      weights[place] = 0;  // taken
      const std::size_t at = begin + 2 * keys.size() + 2 * place;
      batch.inputs[at] = keys[i];
      batch.targets[at] = values[i];
    }
  }

  const Settings* s_;
  std::mt19937_64 random_;
  std::vector<double> weights_;
};

// The share of targets that the model finds likeliest.
double accuracy(const RecallModel& model, const train::Batch& batch) {
  const train::SequenceBatch sequences(batch);
  const auto attention = nn::make_attention_mechanism(model.config().attention);
  const Tensor hidden = model.forward(sequences.ragged(), *attention);
  std::vector<std::int32_t> asked;
  for (std::size_t i = 0; i < sequences.targets.size(); ++i) {
    if (sequences.targets[i] != train::kIgnoredTarget) asked.push_back(static_cast<std::int32_t>(i));
  }
  const Tensor logits = model.logits(ops::gather_rows(hidden, asked));
  const auto width = static_cast<std::size_t>(logits.dim(1));
  std::int64_t right = 0;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const auto row = logits.as<float>().subspan(i * width, width);
    const auto best = std::ranges::max_element(row) - row.begin();
    right += best == sequences.targets[static_cast<std::size_t>(asked[i])] ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(asked.size());
}

nlohmann::json config_of(const Settings& s) {
  nlohmann::json config = {
      {"architectures", {"LlamaForCausalLM"}}, {"vocab_size", s.vocabulary}, {"hidden_size", s.hidden_size},
      {"intermediate_size", s.hidden_size},    {"num_hidden_layers", 2},     {"num_attention_heads", 1},
      {"max_position_embeddings", s.seq_len},  {"rms_norm_eps", 1e-5},       {"initializer_range", 0.02}};
  const std::size_t comma = s.attention.find(',');
  if (comma == std::string::npos) {
    config["attention_mechanism"] = s.attention;
  } else {
    config["attention_mechanisms"] = {s.attention.substr(0, comma), s.attention.substr(comma + 1)};
  }
  for (const std::string& setting : s.settings) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos) fail(ErrorKind::bad_usage, "expected key=value, found '{}'", setting);
    config[setting.substr(0, equals)] = nlohmann::json::parse(setting.substr(equals + 1));
  }
  return config;
}

void run(const Settings& s) {
  const auto path =
      std::filesystem::temp_directory_path() / ("recall-" + std::to_string(std::random_device{}()));
  write_file_atomically(path.string(), config_of(s).dump());
  const train::InitialWeights weights(path.string(), s.seed);
  const RecallModel model(weights);
  std::filesystem::remove(path);
  train::TrainerOptions options;
  options.schedule = {.kind = train::schedule_from_name("cosine"),
                      .peak = s.learning_rate,
                      .minimum = s.learning_rate / 100,
                      .warmup_steps = s.steps / 20,
                      .total_steps = s.steps};
  options.optimizer.weight_decay = 0.1;
  options.optimizer.max_gradient_norm = 1.0;
  train::Trainer trainer(model, options);
  RecallTexts texts(s, s.seed);
  RecallTexts unseen(s, s.seed + 1'000'000);
  const train::Batch measured = unseen.batch(s.examples);
  const auto start = std::chrono::steady_clock::now();
  double best = 0;
  while (trainer.steps_taken() < s.steps && best < s.enough) {
    const auto result = trainer.step([&](train::Batch& batch) { batch = texts.batch(s.batch_size); });
    if (result.step % 100 != 0 && result.step != s.steps) continue;
    const double found = accuracy(model, measured);
    best = std::max(best, found);
    std::fprintf(stderr, "step %lld  loss %.4f  accuracy %.4f\n", static_cast<long long>(result.step),
                 result.loss, found);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const nlohmann::ordered_json line = {{"attention", s.attention},
                                       {"seq_len", s.seq_len},
                                       {"pairs", s.pairs},
                                       {"hidden_size", s.hidden_size},
                                       {"learning_rate", s.learning_rate},
                                       {"seed", s.seed},
                                       {"steps", trainer.steps_taken()},
                                       {"accuracy", best},
                                       {"seconds", std::round(seconds.count())}};
  std::printf("%s\n", line.dump().c_str());
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  CLI::App app("multi-query associative recall");
  tessera::Settings s;
  app.add_option("--attention", s.attention, "mechanism of both layers, or of each with a comma between");
  app.add_option("--setting", s.settings, "key=value for the mechanism, as config.json has it");
  app.add_option("--seq-len", s.seq_len, "tokens of a text");
  app.add_option("--pairs", s.pairs, "keys and values to remember");
  app.add_option("--hidden-size", s.hidden_size, "width, and that of the one head");
  app.add_option("--vocabulary", s.vocabulary, "tokens there are");
  app.add_option("--steps", s.steps, "at most");
  app.add_option("--batch-size", s.batch_size, "texts a step");
  app.add_option("--learning-rate", s.learning_rate, "the highest");
  app.add_option("--seed", s.seed, "of weights and texts");
  app.add_option("--examples", s.examples, "texts to measure on");
  CLI11_PARSE(app, argc, argv);
  try {
    tessera::run(s);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
