// What a reader found, in the words of tests/golden/formats/*.txt.
#pragma once
#include <fmt/core.h>

#include <fstream>
#include <sstream>
#include <string>

#include "support/test_paths.h"
#include "tensor/weight_source.h"

namespace tessera::formats {

inline std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

inline std::string hex(const Tensor& tensor) { return hex(std::span(tensor.raw(), tensor.bytes())); }

inline std::string golden_text(const std::string& name) {
  std::ifstream file(testing::golden_dir() / "formats" / name);
  EXPECT_TRUE(file.good()) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::string golden_path(const std::string& name) {
  return (testing::golden_dir() / "formats" / name).string();
}

}  // namespace tessera::formats
