// Which hub to ask, and as whom: the Hugging Face environment variables, which mean here what they mean
// elsewhere.
#pragma once
#include <string>

namespace tessera::hub {

struct HubSettings {
  std::string endpoint = "https://huggingface.co";  // HF_ENDPOINT, without a slash at the end
  std::string token;               // HF_TOKEN, else the file that `hf auth login` writes; may be empty
  bool offline = false;            // HF_HUB_OFFLINE
  double first_retry_seconds = 1;  // doubles with each attempt that brings nothing
  int attempts = 6;                // without a single new byte before giving up
  double stall_seconds = 30;       // a connection that brings nothing for so long is cut
};

// Error bad_usage: HF_ENDPOINT is not http(s)://HOST. HTTPS_PROXY and NO_PROXY are libcurl's to read.
HubSettings hub_settings_from_environment();

}  // namespace tessera::hub
