// What `pull` remembers of a model: where it came from. One small JSON file each, in the models directory's
// .sources.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tessera::hub {

struct PullRecord {
  std::string name;                // of the file or folder in the models directory
  std::string repository;          // "USER/REPO"
  std::string revision;            // what was asked for; empty: main
  std::string commit;              // what the hub said that was; empty: not told
  std::vector<std::string> files;  // paths below the models directory
};

void write_pull_record(const std::filesystem::path& models, const PullRecord& record);
// nullopt when there is none, or none that can be read (then the model only has no known source).
std::optional<PullRecord> read_pull_record(const std::filesystem::path& models, const std::string& name);
void remove_pull_record(const std::filesystem::path& models, const std::string& name);

}  // namespace tessera::hub
