// Tensors that a script wrote as text: "name rows columns", then the rows.
#pragma once
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "support/test_paths.h"

namespace tessera::kernels {

using GoldenTensors = std::map<std::string, std::vector<double>>;

inline GoldenTensors read_golden_tensors(const std::string& name) {
  std::ifstream file(tessera::testing::golden_dir() / name);
  GoldenTensors tensors;
  std::string key;
  std::size_t rows = 0;
  std::size_t columns = 0;
  while (file >> key >> rows >> columns) {
    std::vector<double>& values = tensors[key];
    values.resize(rows * columns);
    for (double& value : values) file >> value;
  }
  EXPECT_FALSE(tensors.empty()) << name;
  return tensors;
}

}  // namespace tessera::kernels
