// Flags that are environment variables too: --ctx-size is also TESSERA_CTX_SIZE; the flag wins.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <utility>

namespace tessera::cli {

// "TESSERA_CTX_SIZE" for "-c,--ctx-size": the last long name counts.
std::string environment_name(const std::string& flags);

template <typename Value>
CLI::Option* add_option(CLI::App& app, const std::string& flags, Value& value, const std::string& help) {
  return app.add_option(flags, value, help)->envname(environment_name(flags))->capture_default_str();
}

// A switch: --name.
CLI::Option* add_flag(CLI::App& app, const std::string& flags, bool& value, const std::string& help);

}  // namespace tessera::cli
