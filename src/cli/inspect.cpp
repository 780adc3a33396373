#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/model_report.h"
#include "cli/options.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "hub/model_directory.h"

namespace tessera::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLongestListedArray = 64;  // longer ones (vocabularies) are given by kind and length

struct InspectOptions {
  std::string model;
  bool tensors = false;
  bool json = false;
};

// "134,515,008"
std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t place = text.size(); place > 3; place -= 3) text.insert(place - 3, ",");
  return text;
}

std::string short_count(std::int64_t count) {
  const auto value = static_cast<double>(count);
  if (value >= 1e9) return fmt::format("{:.3g} B", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.3g} M", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.3g} K", value / 1e3);
  return std::to_string(count);
}

// The KV heads of a model whose layers may differ: "3", or "1 to 8".
std::string key_value_heads(const models::ModelConfig& config) {
  if (config.layers.empty()) return "0";
  const auto [low, high] =
      std::ranges::minmax(config.layers, {}, &models::KeyValueShape::num_key_value_heads);
  if (low.num_key_value_heads == high.num_key_value_heads) return std::to_string(low.num_key_value_heads);
  return fmt::format("{} to {}", low.num_key_value_heads, high.num_key_value_heads);
}

void print_line(std::string_view label, const std::string& text) {
  fmt::print("{}\n", for_standard_output(fmt::format("  {:<14} {}", label, text)));
}

void print_weights(const ModelReport& report) {
  if (report.tensors.empty()) return;
  print_line("parameters", fmt::format("{} ({})", grouped(static_cast<std::uint64_t>(report.parameters)),
                                       short_count(report.parameters)));
  print_line("quantization", main_type(report));
  for (const TypeTotal& total : report.types) {
    print_line("", fmt::format("{:<8} {:>10} in {} tensor{}", total.type, bytes_text(total.bytes),
                               total.tensors, total.tensors == 1 ? "" : "s"));
  }
  if (!report.declared_dtype.empty()) {
    print_line("", fmt::format("config.json says {}; what the file holds is what runs",
                               printable(report.declared_dtype)));
  }
}

void print_model(const ModelReport& report) {
  if (report.context_length)
    print_line("context",
               fmt::format("{} tokens", grouped(static_cast<std::uint64_t>(*report.context_length))));
  if (report.config) {
    const models::ModelConfig& config = *report.config;
    print_line("layers", fmt::format("{}, hidden size {}, intermediate size {}", config.num_hidden_layers,
                                     config.hidden_size, config.intermediate_size));
    print_line("attention", fmt::format("{} heads, {} for keys and values", config.num_attention_heads,
                                        key_value_heads(config)));
    const auto sliding =
        std::ranges::count_if(config.layers, [](const auto& layer) { return layer.sliding_window > 0; });
    if (sliding > 0) {
      const auto widest = std::ranges::max(config.layers, {}, &models::KeyValueShape::sliding_window);
      print_line("", fmt::format("{} of {} layers see a window of {} tokens", sliding, config.layers.size(),
                                 widest.sliding_window));
    }
  }
  if (!report.tensors.empty())
    print_line("memory", fmt::format("{} of weights", bytes_text(report.weight_bytes)));
  if (report.key_value_bytes) {
    std::string text =
        fmt::format("{} bytes a token in {}", grouped(*report.key_value_bytes), name(report.key_value_type));
    if (report.context_length && *report.context_length > 0) {
      text += fmt::format(
          ", {} for the whole context",
          bytes_text(*report.key_value_bytes * static_cast<std::uint64_t>(*report.context_length)));
    }
    print_line("KV cache", text);
  }
}

void print_text_side(const ModelReport& report) {
  if (report.tokenizer) {
    const TokenizerReport& tokenizer = *report.tokenizer;
    print_line("tokenizer", tokenizer.description);
    std::string text = fmt::format("{} tokens", grouped(tokenizer.vocabulary_size));
    if (tokenizer.bos_token) text += fmt::format(", BOS {}", *tokenizer.bos_token);
    if (tokenizer.eos_token) text += fmt::format(", EOS {}", *tokenizer.eos_token);
    print_line("", text);
  } else {
    print_line("tokenizer", report.why_no_tokenizer);
  }
  print_line("chat template", report.files.chat_template
                                  ? fmt::format("yes, {} bytes", grouped(report.files.chat_template->size()))
                                  : "no");
}

void print_tensors(const ModelReport& report) {
  std::size_t name_width = 4;
  std::size_t shape_width = 5;
  for (const TensorRow& row : report.tensors) {
    name_width = std::max(name_width, row.name.size());
    shape_width = std::max(shape_width, row.shape.to_string().size());
  }
  const bool several = report.file_bytes.size() > 1;
  fmt::print("\n{:<{}}  {:<8}  {:<{}}  {:>14}  {:>14}{}\n", "TENSOR", name_width, "TYPE", "SHAPE",
             shape_width, "OFFSET", "BYTES", several ? "  FILE" : "");
  for (const TensorRow& row : report.tensors) {
    const std::string line =
        fmt::format("{:<{}}  {:<8}  {:<{}}  {:>14}  {:>14}{}", row.name, name_width, row.type,
                    row.shape.to_string(), shape_width, row.offset, row.bytes,
                    several ? "  " + std::filesystem::path(row.file).filename().string() : "");
    fmt::print("{}\n", for_standard_output(line));
  }
}

void print_report(const ModelReport& report, bool tensors) {
  std::uint64_t total = 0;
  for (const auto& [file, bytes] : report.file_bytes) total += bytes;
  fmt::print("{}\n", for_standard_output(report.path));
  print_line("format", fmt::format("{}, {} file{}, {}", report.format, report.file_bytes.size(),
                                   report.file_bytes.size() == 1 ? "" : "s", bytes_text(total)));
  if (report.files.weights != nullptr) print_line("architecture", report.architecture);
  print_weights(report);
  print_model(report);
  print_text_side(report);
  print_line("can be run", report.why_not_run.empty() ? "yes" : "no: " + report.why_not_run);
  if (tensors) print_tensors(report);
}

template <typename Element>
Json array_to_json(const std::vector<Element>& values) {
  if (values.size() > kLongestListedArray) return {{"length", values.size()}};
  Json list = Json::array();
  for (const auto& value : values) list.push_back(Element(value));
  return list;
}

struct ValueToJson {
  Json operator()(std::monostate) const { return nullptr; }
  Json operator()(std::string_view value) const { return std::string(value); }
  Json operator()(bool value) const { return value; }
  Json operator()(std::int64_t value) const { return value; }
  Json operator()(double value) const { return value; }
  Json operator()(const Metadata::StringArray& values) const {
    return array_to_json(std::vector<std::string>(values.begin(), values.end()));
  }
  template <typename Element>
  Json operator()(const std::vector<Element>& values) const {
    return array_to_json(values);
  }
};

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json config_to_json(const models::ModelConfig& config) {
  Json layers = Json::array();
  for (const models::KeyValueShape& layer : config.layers) {
    layers.push_back({{"num_key_value_heads", layer.num_key_value_heads},
                      {"head_dim", layer.head_dim},
                      {"sliding_window", layer.sliding_window}});
  }
  return {{"architecture", config.architecture},
          {"vocab_size", config.vocab_size},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"num_hidden_layers", config.num_hidden_layers},
          {"num_attention_heads", config.num_attention_heads},
          {"max_position_embeddings", config.max_position_embeddings},
          {"layers", std::move(layers)}};
}

Json tokenizer_to_json(const ModelReport& report) {
  if (!report.tokenizer) return {{"error", report.why_no_tokenizer}};
  const TokenizerReport& tokenizer = *report.tokenizer;
  return {{"description", tokenizer.description},
          {"vocabulary_size", tokenizer.vocabulary_size},
          {"bos_token", or_null(tokenizer.bos_token)},
          {"eos_token", or_null(tokenizer.eos_token)},
          {"end_of_generation_tokens", tokenizer.end_of_generation}};
}

Json tensors_to_json(const ModelReport& report) {
  Json list = Json::array();
  for (const TensorRow& row : report.tensors) {
    const auto dimensions = row.shape.dimensions();
    list.push_back({{"name", row.name},
                    {"type", row.type},
                    {"shape", std::vector<std::int64_t>(dimensions.begin(), dimensions.end())},
                    {"file", row.file},
                    {"offset", row.offset},
                    {"bytes", row.bytes},
                    {"supported", row.supported}});
  }
  return list;
}

Json report_to_json(const ModelReport& report, bool tensors) {
  Json files = Json::array();
  for (const auto& [file, bytes] : report.file_bytes) files.push_back({{"path", file}, {"bytes", bytes}});
  Json types = Json::array();
  for (const TypeTotal& total : report.types) {
    types.push_back({{"type", total.type},
                     {"tensors", total.tensors},
                     {"parameters", total.parameters},
                     {"bytes", total.bytes}});
  }
  Json result = {{"path", report.path},
                 {"format", report.format},
                 {"files", std::move(files)},
                 {"architecture", report.architecture},
                 {"can_be_run", report.why_not_run.empty()},
                 {"reason", report.why_not_run},
                 {"parameters", report.parameters},
                 {"quantization", main_type(report)},
                 {"types", std::move(types)},
                 {"declared_dtype", report.declared_dtype},
                 {"weight_bytes", report.weight_bytes},
                 {"context_length", or_null(report.context_length)},
                 {"key_value_bytes_per_token", or_null(report.key_value_bytes)},
                 {"key_value_type", name(report.key_value_type)},
                 {"config", report.config ? config_to_json(*report.config) : Json(nullptr)},
                 {"tokenizer", tokenizer_to_json(report)},
                 {"chat_template", or_null(report.files.chat_template)}};
  Json metadata = Json::object();
  if (report.files.weights != nullptr) {
    for (const auto& [key, entry] : report.files.weights->metadata().entries()) {
      if (key != "tokenizer.chat_template") metadata[key] = std::visit(ValueToJson{}, entry.value);
    }
  }
  result["metadata"] = std::move(metadata);
  if (tensors) result["tensors"] = tensors_to_json(report);
  return result;
}

void inspect(const InspectOptions& options) {
  const ModelReport report = make_model_report(hub::resolve_model(options.model));
  if (options.json) {
    // Names and texts of a file need not be UTF-8; JSON must be.
    fmt::print("{}\n",
               report_to_json(report, options.tensors).dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    print_report(report, options.tensors);
  }
  if (report.damaged) fail(ErrorKind::bad_input, "{}", report.why_not_run);
}

}  // namespace

void define_inspect(CLI::App& app) {
  const auto options = std::make_shared<InspectOptions>();
  app.add_option("MODEL", options->model,
                 "a GGUF file, a Hugging Face folder, a tokenizer.json, or a name of 'tessera models'")
      ->required();
  add_flag(app, "--tensors", options->tensors, "list every tensor: name, type, shape, offset and bytes");
  add_flag(app, "--json", options->json, "as one JSON object, with all metadata");
  app.callback([options] { inspect(*options); });
  app.footer(
      "\nA vocabulary without weights, or a model of an architecture that cannot be run here, is described "
      "as far\n"
      "as its files tell. Exit code 1: the file is damaged, or its tensors do not fit its configuration.");
}

}  // namespace tessera::cli
