#include "cli/model_report.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "engine/key_value_cache.h"
#include "text/tokenizer.h"

namespace tessera::cli {
namespace {

namespace fs = std::filesystem;

void collect_tensors(const WeightSource& weights, ModelReport& report) {
  for (const TensorInfo& info : weights.tensors()) {
    report.tensors.push_back(
        {info.name, std::string(name(info.dtype)), info.shape, info.file, info.offset, info.bytes, true});
  }
  for (const UnsupportedTensor& tensor : weights.unsupported_tensors()) {
    report.tensors.push_back(
        {tensor.name, tensor.type, tensor.shape, tensor.file, tensor.offset, tensor.bytes, false});
  }
  std::map<std::string, TypeTotal> totals;
  for (const TensorRow& row : report.tensors) {
    TypeTotal& total = totals[row.type];
    total.type = row.type;
    total.tensors += 1;
    total.parameters += row.shape.elements();
    total.bytes += row.bytes;
    report.parameters += row.shape.elements();
    report.weight_bytes += row.bytes;
  }
  for (auto& [type, total] : totals) report.types.push_back(std::move(total));
  std::ranges::sort(report.types, std::ranges::greater{}, &TypeTotal::bytes);
}

void collect_files(const std::string& path, ModelReport& report) {
  std::set<std::string> files;
  for (const TensorRow& row : report.tensors) files.insert(row.file);
  if (files.empty()) files.insert(fs::is_directory(path) ? report.files.tokenizer_json : path);
  for (const std::string& file : files) {
    std::error_code error;
    const std::uintmax_t bytes = fs::file_size(file, error);
    report.file_bytes[file] = error ? 0 : bytes;
  }
}

std::optional<std::int64_t> stated_context_length(const WeightSource& weights) {
  const Metadata& metadata = weights.metadata();
  if (weights.naming() == NamingScheme::gguf) {
    return metadata.find_int(std::string(weights.architecture()) + ".context_length");
  }
  for (const char* key : {"max_position_embeddings", "n_positions", "text_config.max_position_embeddings"}) {
    if (const auto length = metadata.find_int(key)) return length;
  }
  return std::nullopt;
}

// config.json may promise another dtype than the file holds; the file's own is what runs.
std::string differing_dtype(const WeightSource& weights, const std::vector<TypeTotal>& types) {
  for (const char* key : {"dtype", "torch_dtype", "text_config.torch_dtype"}) {
    const auto declared = weights.metadata().find_string(key);
    if (!declared || types.empty()) continue;
    const auto dtype = dtype_from_name(*declared);
    if (!dtype || name(*dtype) != types.front().type) return std::string(*declared);
    return "";
  }
  return "";
}

void collect_model(const WeightSource& weights, ModelReport& report) {
  try {
    formats::require_weights(report.files);
    const auto model = models::create_model(weights);
    report.config = model->config();
    report.parameters = model->parameter_count();
    report.weight_bytes = model->parameter_bytes();
    report.key_value_type = engine::default_key_value_type(*model);
    report.key_value_bytes = engine::key_value_bytes_per_token(report.config->layers, report.key_value_type,
                                                               report.key_value_type);
    report.context_length = report.config->max_position_embeddings;
  } catch (const Error& error) {
    report.why_not_run = error.what();
    report.damaged = error.kind() == ErrorKind::bad_input && report.files.no_weights_reason.empty();
    report.context_length = stated_context_length(weights);
  }
}

std::optional<TokenizerReport> read_tokenizer(const formats::ModelFiles& files) {
  std::unique_ptr<text::Tokenizer> tokenizer;
  if (!files.tokenizer_json.empty()) {
    tokenizer = text::load_tokenizer_json(files.tokenizer_json, files.tokenizer_config);
  } else if (files.weights != nullptr && files.weights->metadata().contains("tokenizer.ggml.model")) {
    tokenizer = text::load_gguf_tokenizer(files.weights->metadata());
  } else {
    return std::nullopt;
  }
  TokenizerReport report;
  report.description = tokenizer->description();
  report.vocabulary_size = tokenizer->vocabulary_size();
  report.bos_token = tokenizer->bos_token();
  report.eos_token = tokenizer->eos_token();
  const auto ends = tokenizer->end_of_generation_tokens();
  report.end_of_generation.assign(ends.begin(), ends.end());
  return report;
}

}  // namespace

ModelReport make_model_report(const std::string& path) {
  ModelReport report;
  report.path = path;
  report.files = formats::open_model_files(path);
  if (report.files.weights != nullptr) {
    const WeightSource& weights = *report.files.weights;
    report.format = weights.naming() == NamingScheme::gguf ? "GGUF" : "safetensors";
    report.architecture = weights.architecture();
    collect_tensors(weights, report);
    report.declared_dtype = differing_dtype(weights, report.types);
    collect_model(weights, report);
  } else {
    report.format = "tokenizer.json";
    report.why_not_run = report.files.no_weights_reason;
  }
  collect_files(path, report);
  try {
    report.tokenizer = read_tokenizer(report.files);
    if (!report.tokenizer) report.why_no_tokenizer = "none";
  } catch (const Error& error) {
    report.why_no_tokenizer = std::string("cannot be read: ") + error.what();
  }
  return report;
}

std::string main_type(const ModelReport& report) {
  if (report.types.empty()) return "none";
  return report.types.size() == 1 ? report.types.front().type : report.types.front().type + " (mostly)";
}

}  // namespace tessera::cli
