// How much memory this process may still take.
#pragma once
#include <cstdint>
#include <string>

namespace tessera {

// Bytes that can be had without swapping: the kernel's MemAvailable, bounded by what the cgroup leaves.
// UINT64_MAX when neither can be read.
std::uint64_t available_memory();

// "1.5 GB", "320 MB", "17 KB": decimal units, for messages.
std::string format_bytes(std::uint64_t bytes);

}  // namespace tessera
