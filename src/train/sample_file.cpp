#include "train/sample_file.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace tessera::train {

using nlohmann::json;

std::string sample_json(const SampleLine& sample) {
  const nlohmann::ordered_json entry{{"step", sample.step}, {"prompt", sample.prompt}, {"text", sample.text}};
  return entry.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::vector<SampleLine> read_samples(const std::string& run) {
  std::vector<SampleLine> samples;
  std::ifstream file(std::filesystem::path(run) / "samples.jsonl");
  for (std::string line; std::getline(file, line);) {
    const json entry = json::parse(line, nullptr, false);
    const auto is = [&](const char* key, bool (json::*check)() const noexcept) {
      return entry.contains(key) && (entry[key].*check)();
    };
    if (!entry.is_object() || !is("step", &json::is_number_integer) || !is("prompt", &json::is_string) ||
        !is("text", &json::is_string)) {
      continue;
    }
    samples.push_back({entry["step"].get<std::int64_t>(), entry["prompt"].get<std::string>(),
                       entry["text"].get<std::string>()});
  }
  return samples;
}

}  // namespace tessera::train
