#include "base/standard_folders.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.h"

namespace tessera {

namespace fs = std::filesystem;

std::string environment_value(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

fs::path home_folder() {
  if (const std::string home = environment_value("HOME"); !home.empty()) return home;
  const passwd* account = ::getpwuid(::getuid());
  if (account == nullptr || account->pw_dir == nullptr || *account->pw_dir == '\0') {
    fail(ErrorKind::io, "no home folder: expected HOME to be set, found neither it nor an account; set HOME");
  }
  return account->pw_dir;
}

namespace {

fs::path xdg_folder(const char* variable, const char* below_home) {
  if (const fs::path folder = environment_value(variable); folder.is_absolute()) return folder;
  return home_folder() / below_home;
}

}  // namespace

fs::path cache_folder() { return xdg_folder("XDG_CACHE_HOME", ".cache"); }
fs::path config_folder() { return xdg_folder("XDG_CONFIG_HOME", ".config"); }
fs::path data_folder() { return xdg_folder("XDG_DATA_HOME", ".local/share"); }

}  // namespace tessera
