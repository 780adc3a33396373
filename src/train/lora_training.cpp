#include "train/lora_training.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "formats/open_model_files.h"

namespace tessera::train {
namespace {

std::vector<std::string> split_names(const std::string& text) {
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::size_t first = text.find_first_not_of(' ', begin);
    if (first < end) names.push_back(text.substr(first, text.find_last_not_of(' ', end - 1) + 1 - first));
    begin = end + 1;
  }
  return names;
}

models::LoraOptions lora_options(const TrainingConfig& c) {
  models::LoraOptions options{.r = c.lora_r,
                              .alpha = c.lora_alpha,
                              .use_rslora = c.use_rslora,
                              .target_modules = split_names(c.target_modules)};
  if (options.target_modules.empty()) {
    fail(ErrorKind::bad_usage,
         "target-modules: expected names of modules, such as q_proj,v_proj, found none");
  }
  const bool head =
      std::ranges::any_of(options.target_modules, [](const std::string& name) { return name == "lm_head"; });
  if (head) {
    fail(ErrorKind::unsupported,
         "target-modules: expected layers within the model, found lm_head, beside which nothing is trained");
  }
  return options;
}

std::unique_ptr<models::Model> open_base(const std::string& path) {
  if (path.empty()) fail(ErrorKind::bad_usage, "expected a model to stand beside: --model MODEL");
  const formats::ModelFiles files = formats::open_model_files(path);
  const WeightSource& source = formats::require_weights(files);
  // Matrices of floats are multiplied fastest as float32, quantised ones as they run.
  const bool quantized = std::ranges::any_of(
      source.tensors(), [](const TensorInfo& tensor) { return traits(tensor.dtype).quantized; });
  return models::create_model(
      source, {.weight_form = quantized ? models::WeightForm::packed : models::WeightForm::trainable});
}

void check_same_settings(const formats::PeftConfig& saved, const TrainingConfig& c,
                         const std::string& checkpoint) {
  if (saved.r != c.lora_r || saved.lora_alpha != c.lora_alpha || saved.use_rslora != c.use_rslora) {
    fail(ErrorKind::bad_usage, "{}: expected an adapter of r {} and alpha {}, found r {} and alpha {}",
         checkpoint, c.lora_r, c.lora_alpha, saved.r, saved.lora_alpha);
  }
}

}  // namespace

LoraRun open_lora_run(const TrainingConfig& c, const std::optional<std::string>& checkpoint) {
  const models::LoraOptions options = lora_options(c);
  LoraRun run;
  run.model = open_base(c.model);
  if (checkpoint) {
    const formats::PeftAdapter saved = formats::read_peft_adapter(*checkpoint);
    check_same_settings(saved.config, c, *checkpoint);
    models::add_lora(*run.model, kTrainedLora, saved.adapter);
    run.parameters = models::lora_parameters(*run.model, kTrainedLora);
  } else {
    run.parameters = models::make_lora(*run.model, kTrainedLora, options, c.seed);
  }
  const bool all = std::ranges::find(options.target_modules, "all-linear") != options.target_modules.end();
  run.config = {.r = c.lora_r,
                .lora_alpha = c.lora_alpha,
                .lora_dropout = c.lora_dropout,
                .use_rslora = c.use_rslora,
                .fan_in_fan_out = run.model->config().architecture == "gpt2",
                .target_modules = all ? models::linear_module_names(*run.model) : options.target_modules,
                .base_model_name_or_path = c.model};
  return run;
}

void write_lora(const std::string& folder, const LoraRun& run) {
  formats::write_peft_adapter(folder, {run.config, models::lora_adapter(*run.model, kTrainedLora)});
}

double lora_flops_per_token(const models::Model& model, std::int64_t seq_len) {
  double attention = 0;
  for (const models::KeyValueShape& layer : model.config().layers) {
    attention += static_cast<double>(model.config().num_attention_heads * layer.head_dim) *
                 static_cast<double>(seq_len);
  }
  return 4.0 * static_cast<double>(models::linear_weight_count(model)) + 6.0 * attention;
}

}  // namespace tessera::train
