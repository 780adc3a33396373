#include "cli/options.h"

#include <cctype>

namespace tessera::cli {

std::string environment_name(const std::string& flags) {
  const std::size_t dashes = flags.rfind("--");
  std::string name = "TESSERA_";
  for (const char c : flags.substr(dashes == std::string::npos ? 0 : dashes + 2)) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

CLI::Option* add_flag(CLI::App& app, const std::string& flags, bool& value, const std::string& help) {
  return app.add_flag(flags, value, help)->envname(environment_name(flags));
}

}  // namespace tessera::cli
