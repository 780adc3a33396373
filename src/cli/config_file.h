// The configuration file: flags by their long names, for every command (top of the file) or for one ([chat]).
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::cli {

struct ConfigEntry {
  std::string section;              // a command's name; empty: every command that has the flag
  std::string key;                  // "ctx-size"; underscores are taken as dashes
  std::vector<std::string> values;  // several for an array
  int line = 0;
};

// The part of TOML 1.0 that flags need: comments, [section], key = string (basic, literal), integer, float,
// boolean, or an array of those in one line. Error bad_usage naming file, line, what was expected and found.
std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& path);

// Makes `app` read its --config file: values reach the chosen command's flags unless the command line or a
// TESSERA_* variable gives them. A section or key that no command has is an Error bad_usage with the nearest
// one.
void add_config_file(CLI::App& app);

}  // namespace tessera::cli
