#include "hub/pull_record.h"

#include <nlohmann/json.hpp>
#include <system_error>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mapped_file.h"

namespace tessera::hub {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t kLargestRecord = std::size_t{4} << 20;

fs::path record_path(const fs::path& models, const std::string& name) {
  return models / ".sources" / (name + ".json");
}

}  // namespace

void write_pull_record(const fs::path& models, const PullRecord& record) {
  const fs::path path = record_path(models, record.name);
  std::error_code problem;
  fs::create_directories(path.parent_path(), problem);
  const Json json = {{"name", record.name},
                     {"repository", record.repository},
                     {"revision", record.revision},
                     {"commit", record.commit},
                     {"files", record.files}};
  write_file_atomically(path.string(), json.dump(1) + "\n");
}

std::optional<PullRecord> read_pull_record(const fs::path& models, const std::string& name) {
  const fs::path path = record_path(models, name);
  if (!fs::is_regular_file(path)) return std::nullopt;
  try {
    const Json json = Json::parse(read_file(path.string(), kLargestRecord));
    PullRecord record;
    record.name = name;
    record.repository = json.at("repository").get<std::string>();
    record.revision = json.value("revision", "");
    record.commit = json.value("commit", "");
    record.files = json.at("files").get<std::vector<std::string>>();
    return record;
  } catch (const std::exception& error) {
    log_line(LogLevel::warning, path.string() + ": not a record of a pull: " + printable(error.what(), 200));
    return std::nullopt;
  }
}

void remove_pull_record(const fs::path& models, const std::string& name) {
  std::error_code ignored;
  fs::remove(record_path(models, name), ignored);
}

}  // namespace tessera::hub
