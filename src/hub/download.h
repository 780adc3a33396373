// One file from the hub to disk: continued where an earlier attempt ended, checked, and there only when
// whole.
#pragma once
#include <filesystem>
#include <string>

#include "hub/file_list.h"
#include "hub/http_client.h"
#include "hub/progress_meter.h"

namespace tessera::hub {

struct Download {
  ModelReference reference;
  std::string commit;
  HubFile file;
  std::filesystem::path destination;
};

// Bytes of an earlier attempt that can be used; 0 when there are none, or they are of another version of the
// file.
std::uint64_t resumable_bytes(const Download& download);

// Fetches, verifies and renames. A cut connection, 429 and 5xx are tried again with growing pauses; Error io
// when attempts run out (the .part file stays), bad_input when size or checksum differ (the .part file goes).
// Whatever `meter`'s sink throws ends it and leaves a .part file to continue from.
void download_file(HttpClient& client, const Download& download, ProgressMeter& meter);

// Does a finished file on disk hold what the hub has? Reads it whole.
bool matches(const std::filesystem::path& path, const HubFile& file, ProgressMeter& meter);

}  // namespace tessera::hub
