// What the tests of the store share: a store in a folder of its own, with a clock that never repeats.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "store/session_store.h"
#include "support/test_paths.h"

namespace tessera::store {

inline StoreOptions ticking_clock() {
  StoreOptions options;
  options.clock = [time = std::int64_t{1000}]() mutable { return ++time; };
  return options;
}

class StoreTest : public ::testing::Test {
 protected:
  std::string path() const { return (folder_.path() / "sessions.db").string(); }
  static std::vector<std::string> contents(const std::vector<Message>& messages) {
    std::vector<std::string> texts;
    for (const Message& message : messages) texts.push_back(message.content);
    return texts;
  }
  testing::TemporaryFolder folder_;
};

}  // namespace tessera::store
