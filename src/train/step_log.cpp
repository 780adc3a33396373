#include "train/step_log.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"

namespace tessera::train {

StepLog::StepLog(std::string path, std::int64_t steps_done) : path_(std::move(path)) {
  std::string kept;
  if (steps_done > 0 && std::filesystem::exists(path_)) {
    std::ifstream old(path_);
    for (std::string line; std::getline(old, line);) {
      const nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
      const auto step = entry.is_object() ? entry.find("step") : entry.end();
      if (step == entry.end() || !step->is_number_integer()) continue;
      if (step->get<std::int64_t>() <= steps_done) kept += line + "\n";
    }
  }
  write_file_atomically(path_, kept);
  out_.open(path_, std::ios::app);
}

void StepLog::add(const std::string& line) {
  out_ << line << "\n" << std::flush;
  if (!out_) fail(ErrorKind::io, "{}: cannot write", path_);
}

}  // namespace tessera::train
