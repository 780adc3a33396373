// "Did you mean": which of some names are near to one that was not found.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

// Insertions, deletions, replacements and swaps of neighbours between two texts, upper and lower case alike
// (optimal string alignment distance). Time and memory O(|left| * |right|).
std::size_t edit_distance(std::string_view left, std::string_view right);

// At most `limit` of `names`, nearest first: those within a third of the length, or that contain what was
// asked for.
std::vector<std::string> near_names(std::string_view wanted, std::span<const std::string> names,
                                    std::size_t limit = 3);

std::string to_lower_ascii(std::string_view text);

}  // namespace tessera
