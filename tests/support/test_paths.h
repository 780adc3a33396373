// Where tests find the sources, the program, and optional material outside the project.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace tessera::testing {

std::filesystem::path source_dir();  // the checkout
std::filesystem::path golden_dir();  // tests/golden
std::string tessera_binary();        // the built program
// ../shared beside the checkout (or $TESSERA_SHARED); nullopt when absent: then GTEST_SKIP() with that
// reason.
std::optional<std::filesystem::path> shared_dir();
// The default model if set-up has fetched it; nullopt otherwise.
std::optional<std::filesystem::path> default_model();
// A fresh folder below the system's temporary folder, removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace tessera::testing
