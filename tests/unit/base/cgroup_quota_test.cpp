#include "base/cgroup_quota.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/test_paths.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

class CgroupQuota : public ::testing::Test {
 protected:
  void set(const std::string& group, const std::string& cpu_max) {
    fs::create_directories(folder_.path() / group);
    std::ofstream(folder_.path() / group / "cpu.max") << cpu_max << "\n";
  }
  void join(const std::string& line) { std::ofstream(folder_.path() / "membership") << line << "\n"; }
  std::optional<double> quota() const {
    return cgroup_cpu_quota(folder_.path(), folder_.path() / "membership");
  }

  testing::TemporaryFolder folder_;
};

TEST_F(CgroupQuota, NoFilesMeanNoLimit) { EXPECT_EQ(quota(), std::nullopt); }

TEST_F(CgroupQuota, TheRootLimitsAContainer) {
  set("", "150000 100000");
  join("0::/");
  EXPECT_DOUBLE_EQ(quota().value(), 1.5);
}

TEST_F(CgroupQuota, TheTightestGroupOnTheWayCounts) {
  set("user.slice", "200000 100000");
  set("user.slice/session", "max 100000");
  set("other", "50000 100000");
  join("0::/user.slice/session");
  EXPECT_DOUBLE_EQ(quota().value(), 2.0);
  set("user.slice/session", "75000 50000");
  EXPECT_DOUBLE_EQ(quota().value(), 1.5);
}

TEST_F(CgroupQuota, WhatCannotBeUnderstoodLimitsNothing) {
  join("0::/group");
  for (const char* text : {"", "max 100000", "0 100000", "-1 100000", "lots 100000", "100000", "100000 0"}) {
    set("group", text);
    EXPECT_EQ(quota(), std::nullopt) << text;
  }
  set("group", "100000 100000");
  join("0::/../outside");
  EXPECT_EQ(quota(), std::nullopt);
}

}  // namespace
}  // namespace tessera
