// What a repository of the hub holds at one commit, as its API lists it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hub/checksum.h"
#include "hub/http_client.h"
#include "hub/model_reference.h"

namespace tessera::hub {

struct HubFile {
  std::string path;  // inside the repository; checked to stay inside a folder it is joined to
  std::uint64_t size = 0;
  ExpectedChecksum checksum;
};

struct HubListing {
  std::string commit;  // downloads name it, so that a push in between changes nothing
  std::vector<HubFile> files;
};

// Two requests or more (the API gives pages). Error io: no connection, 401, 403, 404, each with what to do;
// bad_input: an answer that is not the hub's, or a file name that would leave its folder.
HubListing list_repository(HttpClient& client, const ModelReference& reference,
                           const HttpClient::Tick& tick = {});

// Error bad_input unless every part of `path` is a plain name.
void require_safe_path(const std::string& path, const std::string& repository);

// Throws the Error that a status other than 200 and 206, or no connection, means to the user.
[[noreturn]] void fail_for(const TransferOutcome& outcome, const ModelReference& reference,
                           const HttpClient& client, const std::string& what);

}  // namespace tessera::hub
