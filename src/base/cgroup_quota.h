// How many CPUs' worth of time Linux control groups (version 2) leave this process.
#pragma once
#include <filesystem>
#include <optional>

namespace tessera {

// The tightest cpu.max of the process's group and of those above it, in CPUs; nullopt when none sets one.
// `root` is where the hierarchy is mounted, `membership` a file as /proc/self/cgroup is ("0::/a/b"). What
// cannot be read or understood limits nothing.
std::optional<double> cgroup_cpu_quota(const std::filesystem::path& root = "/sys/fs/cgroup",
                                       const std::filesystem::path& membership = "/proc/self/cgroup");

}  // namespace tessera
