#include "base/error.h"

namespace tessera {

void throw_error(ErrorKind kind, const std::string& message) { throw Error(kind, message); }

std::string printable(std::string_view text, std::size_t limit) {
  std::string result;
  for (const char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      result += c;
    } else {
      result += fmt::format("\\x{:02x}", byte);
    }
  }
  if (text.size() > limit) result += "...";
  return result;
}

}  // namespace tessera
