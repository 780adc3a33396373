#include "support/test_paths.h"

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace tessera::testing {

namespace fs = std::filesystem;

fs::path source_dir() { return TESSERA_SOURCE_DIR; }
fs::path golden_dir() { return source_dir() / "tests" / "golden"; }
std::string tessera_binary() { return TESSERA_BINARY; }

std::optional<fs::path> shared_dir() {
  const char* wanted = std::getenv("TESSERA_SHARED");
  fs::path folder = wanted != nullptr ? fs::path(wanted) : source_dir().parent_path() / "shared";
  if (fs::is_directory(folder / "models")) return folder;
  return std::nullopt;
}

std::optional<fs::path> default_model() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  fs::path base = cache != nullptr && *cache != '\0' ? fs::path(cache)
                                                     : fs::path(home != nullptr ? home : "/") / ".cache";
  fs::path model = base / "tessera" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (fs::is_regular_file(model)) return model;
  return std::nullopt;
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (fs::temp_directory_path() / "tessera-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace tessera::testing
