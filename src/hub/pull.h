// A model from the hub into the models directory: what it takes is told first, then it is fetched.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/progress.h"
#include "hub/download.h"

namespace tessera::hub {

struct PullPlan {
  ModelReference reference;
  std::string commit;
  std::string name;            // of the file or folder in the models directory
  std::filesystem::path path;  // what -m would open
  std::vector<Download> downloads;
  std::uint64_t total_bytes = 0;
  std::uint64_t needed_bytes = 0;     // still to fetch: without finished files and what .part files hold
  std::uint64_t available_bytes = 0;  // on that disk
};

// Asks the hub. `name` (may be empty) replaces the file's own. Error io: offline and what list_repository
// says; bad_usage: a quantisation or name that cannot be; limit: more bytes needed than available, with both
// numbers.
PullPlan plan_pull(HttpClient& client, const ModelReference& reference, const std::string& name = {},
                   const HttpClient::Tick& tick = {});

// Fetches what is missing; files that are there already are read and compared. One progress record for all.
// Error as download_file; bad_usage when a file of that name but from elsewhere is in the way.
void execute_pull(HttpClient& client, const PullPlan& plan, const ProgressSink& progress = {});

}  // namespace tessera::hub
