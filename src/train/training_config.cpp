#include "train/training_config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/near_names.h"
#include "nn/attention/attention_factory.h"

namespace tessera::train {
namespace {

constexpr std::size_t kMostYamlBytes = 1 << 20;

template <typename Field>
const char* type_name() {
  if (std::is_same_v<Field, bool>) return "true or false";
  if (std::is_integral_v<Field>) return "a whole number";
  return std::is_floating_point_v<Field> ? "a number" : "a text";
}

void set_from_yaml(TrainingConfig& config, const std::string& key, const YAML::Node& value,
                   const std::string& where) {
  bool known = false;
  std::vector<std::string> names;
  for_each_setting(config, [&](const char* name, const char* /*help*/, auto& field) {
    names.emplace_back(name);
    if (key != name) return;
    known = true;
    using Field = std::remove_reference_t<decltype(field)>;
    try {
      field = value.as<Field>();
    } catch (const YAML::Exception&) {
      fail(ErrorKind::bad_input, "{}: key '{}': expected {}, found '{}'", where, key, type_name<Field>(),
           printable(value.IsScalar() ? value.Scalar() : "a list or mapping"));
    }
  });
  if (known) return;
  const std::vector<std::string> near = near_names(key, names);
  fail(ErrorKind::bad_input, "{}: unknown key '{}'{}", where, printable(key),
       near.empty() ? std::string() : fmt::format("; did you mean '{}'?", near.front()));
}

void expect_at_least(const char* name, std::int64_t value, std::int64_t least) {
  if (value < least) fail(ErrorKind::bad_usage, "{}: expected {} or more, found {}", name, least, value);
}

std::vector<std::string> names_in(const std::string& list) {
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    names.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  for (const std::string& name : names) (void)nn::attention_kind_from_name(name);
  return names;
}

// The names in --attention: none, one for all layers, or one for each.
std::vector<std::string> attention_names(const TrainingConfig& c) {
  std::vector<std::string> names = names_in(c.attention);
  if (names.size() > 1 && static_cast<std::int64_t>(names.size()) != c.layers) {
    fail(ErrorKind::bad_usage, "attention: expected one name, or one for each of {} layers, found {}",
         c.layers, names.size());
  }
  return names;
}

// The settings of sparse mechanisms that were given, as config.json has them.
nlohmann::ordered_json attention_settings(const TrainingConfig& c) {
  nlohmann::ordered_json settings = nlohmann::ordered_json::object();
  const auto number = [&](const char* key, std::int64_t value, std::int64_t when_absent) {
    if (value != when_absent) settings[key] = value;
  };
  if (!c.attention_heads.empty()) settings["attention_heads"] = names_in(c.attention_heads);
  number("attention_window", c.attention_window, 0);
  number("attention_stride", c.attention_stride, 0);
  number("attention_columns", c.attention_columns, -1);
  number("attention_block", c.attention_block, 0);
  number("attention_random_blocks", c.attention_random_blocks, -1);
  number("attention_seed", c.attention_seed, -1);
  return settings;
}

void expect_within(const char* name, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    fail(ErrorKind::bad_usage, "{}: expected a number from {} to {}, found {}", name, low, high, value);
  }
}

}  // namespace

void read_training_yaml(const std::string& path, TrainingConfig& config) {
  YAML::Node root;
  try {
    root = YAML::Load(read_file(path, kMostYamlBytes));
  } catch (const YAML::Exception& error) {
    fail(ErrorKind::bad_input, "{}: line {}: {}", path, error.mark.line + 1, error.msg);
  }
  if (root.IsNull()) return;
  if (!root.IsMap()) fail(ErrorKind::bad_input, "{}: expected keys and values", path);
  for (const auto& entry : root) {
    const std::string where = fmt::format("{}: line {}", path, entry.first.Mark().line + 1);
    if (!entry.first.IsScalar()) fail(ErrorKind::bad_input, "{}: expected a name as key", where);
    std::string key = entry.first.Scalar();
    std::ranges::replace(key, '_', '-');
    set_from_yaml(config, key, entry.second, where);
  }
}

void check_training_config(const TrainingConfig& c) {
  if (c.out.empty()) fail(ErrorKind::bad_usage, "expected a folder for the run: --out FOLDER");
  if (c.data.empty() && c.train_file.empty()) {
    fail(ErrorKind::bad_usage, "expected data: --data FOLDER (tessera data writes one)");
  }
  expect_at_least("steps", c.steps, 1);
  expect_at_least("batch-size", c.batch_size, 1);
  expect_at_least("seq-len", c.seq_len, 1);
  expect_at_least("stride", c.stride, 0);
  expect_at_least("accumulation", c.accumulation, 1);
  expect_at_least("warmup", c.warmup, 0);
  expect_at_least("decay-steps", c.decay_steps, 0);
  expect_at_least("evaluate-every", c.evaluate_every, 0);
  expect_at_least("save-every", c.save_every, 0);
  expect_at_least("keep", c.keep, 1);
  expect_at_least("layers", c.layers, 1);
  expect_at_least("heads", c.heads, 1);
  expect_at_least("hidden-size", c.hidden_size, 1);
  expect_at_least("key-value-heads", c.key_value_heads, 0);
  expect_at_least("intermediate-size", c.intermediate_size, 0);
  expect_at_least("patience", c.patience, 0);
  expect_at_least("sample-every", c.sample_every, 0);
  expect_at_least("sample-tokens", c.sample_tokens, 1);
  expect_within("sample-temperature", c.sample_temperature, 0, 100);
  expect_within("ema", c.ema, 0, 1 - 1e-9);
  expect_within("learning-rate", c.learning_rate, 0, 10);
  expect_within("minimum-learning-rate", c.minimum_learning_rate, 0, c.learning_rate);
  expect_within("beta1", c.beta1, 0, 1 - 1e-9);
  expect_within("beta2", c.beta2, 0, 1 - 1e-9);
  expect_within("weight-decay", c.weight_decay, 0, 10);
  expect_within("clip", c.clip, 0, 1e9);
  expect_within("dropout", c.dropout, 0, 0.999);
  expect_within("label-smoothing", c.label_smoothing, 0, 0.999);
  if (!c.model.empty() && (!c.attention.empty() || !attention_settings(c).empty())) {
    fail(ErrorKind::bad_usage,
         "attention: expected no choice beside --model, whose config.json says it (attention_mechanism), "
         "found '{}'",
         printable(c.attention));
  }
  (void)attention_names(c);
  expect_at_least("lora-r", c.lora_r, 0);
  expect_within("lora-alpha", c.lora_alpha, 1e-6, 1e6);
  expect_within("lora-dropout", c.lora_dropout, 0, 0.999);
  if (c.lora_r > 0 && c.ema > 0) {
    fail(ErrorKind::bad_usage, "ema: expected 0 beside lora-r, found {}: an adapter has no averages", c.ema);
  }
  if (c.precision != "f32" && c.precision != "bf16") {
    fail(ErrorKind::bad_usage, "precision: expected f32 or bf16, found '{}'", printable(c.precision));
  }
}

TrainerOptions trainer_options(const TrainingConfig& c) {
  TrainerOptions options;
  options.schedule = {.kind = schedule_from_name(c.schedule),
                      .peak = c.learning_rate,
                      .minimum = c.minimum_learning_rate,
                      .warmup_steps = c.warmup,
                      .total_steps = c.steps,
                      .decay_steps = c.decay_steps};
  options.optimizer = {.kind = optimizer_from_name(c.optimizer),
                       .beta1 = c.beta1,
                       .beta2 = c.beta2,
                       .weight_decay = c.weight_decay,
                       .max_gradient_norm = c.clip};
  options.accumulation = c.accumulation;
  options.label_smoothing = c.label_smoothing;
  options.dropout = c.dropout;
  options.lora_dropout = c.lora_dropout;
  options.seed = c.seed;
  options.activation_checkpointing = c.activation_checkpointing;
  options.precision = c.precision == "bf16" ? ops::MatmulPrecision::bf16 : ops::MatmulPrecision::f32;
  return options;
}

std::string model_config_json(const TrainingConfig& c, std::int64_t vocabulary) {
  if (c.hidden_size % c.heads != 0) {
    fail(ErrorKind::bad_usage, "heads: expected a divisor of the hidden size {}, found {}", c.hidden_size,
         c.heads);
  }
  nlohmann::ordered_json config;
  if (c.architecture == "gpt2") {
    // nanoGPT's variant (no biases, GELU by erf).
    config = {{"architectures", {"GPT2LMHeadModel"}},
              {"model_type", "gpt2"},
              {"vocab_size", vocabulary},
              {"n_embd", c.hidden_size},
              {"n_layer", c.layers},
              {"n_head", c.heads},
              {"n_inner", c.intermediate_size > 0 ? c.intermediate_size : 4 * c.hidden_size},
              {"n_positions", c.seq_len},
              {"layer_norm_epsilon", 1e-5},
              {"activation_function", "gelu"},
              {"bias", false},
              {"tie_word_embeddings", true}};
  } else if (c.architecture == "llama") {
    const std::int64_t two_thirds = (8 * c.hidden_size / 3 + 15) / 16 * 16;
    config = {{"architectures", {"LlamaForCausalLM"}},
              {"model_type", "llama"},
              {"vocab_size", vocabulary},
              {"hidden_size", c.hidden_size},
              {"intermediate_size", c.intermediate_size > 0 ? c.intermediate_size : two_thirds},
              {"num_hidden_layers", c.layers},
              {"num_attention_heads", c.heads},
              {"num_key_value_heads", c.key_value_heads > 0 ? c.key_value_heads : c.heads},
              {"max_position_embeddings", c.seq_len},
              {"rms_norm_eps", 1e-5},
              {"rope_theta", 10000.0},
              {"hidden_act", "silu"},
              {"tie_word_embeddings", true}};
  } else {
    fail(ErrorKind::bad_usage,
         "architecture: expected gpt2 or llama, found '{}' (for others give --model a config.json)",
         printable(c.architecture));
  }
  const std::vector<std::string> attention = attention_names(c);
  if (attention.size() == 1) config["attention_mechanism"] = attention.front();
  if (attention.size() > 1) config["attention_mechanisms"] = attention;
  config.update(attention_settings(c));
  config["torch_dtype"] = "float32";
  config["initializer_range"] = 0.02;
  return config.dump(1) + "\n";
}

}  // namespace tessera::train
