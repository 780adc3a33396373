#include "hub/hub_settings.h"

#include <filesystem>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/near_names.h"
#include "base/standard_folders.h"

namespace tessera::hub {
namespace {

namespace fs = std::filesystem;

bool is_true(const std::string& value) {
  const std::string lower = to_lower_ascii(value);
  return lower == "1" || lower == "true" || lower == "yes" || lower == "on";
}

std::string without_line_breaks(std::string text) {
  std::erase_if(text, [](char c) { return c == '\n' || c == '\r' || c == ' ' || c == '\t'; });
  return text;
}

std::string token_from_environment() {
  for (const char* variable : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    if (const std::string token = without_line_breaks(environment_value(variable)); !token.empty())
      return token;
  }
  fs::path path = environment_value("HF_TOKEN_PATH");
  if (path.empty()) {
    const std::string home = environment_value("HF_HOME");
    path = (home.empty() ? cache_folder() / "huggingface" : fs::path(home)) / "token";
  }
  std::error_code problem;
  if (!fs::is_regular_file(path, problem)) return {};
  return without_line_breaks(read_file(path.string(), 4096));
}

}  // namespace

HubSettings hub_settings_from_environment() {
  HubSettings settings;
  if (std::string endpoint = environment_value("HF_ENDPOINT"); !endpoint.empty()) {
    while (endpoint.ends_with('/')) endpoint.pop_back();
    if (!endpoint.starts_with("https://") && !endpoint.starts_with("http://")) {
      fail(ErrorKind::bad_usage, "HF_ENDPOINT: expected https://HOST, found '{}'", printable(endpoint));
    }
    settings.endpoint = endpoint;
  }
  settings.token = token_from_environment();
  settings.offline = is_true(environment_value("HF_HUB_OFFLINE"));
  return settings;
}

}  // namespace tessera::hub
