// Where a user's files live: the XDG base directory specification, and the one place that reads HOME.
#pragma once
#include <filesystem>
#include <string>

namespace tessera {

// The value of an environment variable; empty when unset.
std::string environment_value(const char* name);

// The home folder: HOME, else the account's. Error io when neither is known.
std::filesystem::path home_folder();

// ${XDG_CACHE_HOME:-~/.cache}, ${XDG_CONFIG_HOME:-~/.config}, ${XDG_DATA_HOME:-~/.local/share}. A relative
// value is ignored, as the specification demands.
std::filesystem::path cache_folder();
std::filesystem::path config_folder();
std::filesystem::path data_folder();

}  // namespace tessera
