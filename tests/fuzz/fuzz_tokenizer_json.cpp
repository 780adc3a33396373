// Any bytes as a tokenizer.json: an Error that names the file, or a tokenizer that takes any text and gives
// only ids of its own, none of them a control token.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "text/tokenizer_json.h"

namespace {

using namespace tessera;

void use(const text::Tokenizer& tokenizer, std::string_view bytes) {
  const std::string texts[] = {
      "", " Hello  wörld'S 123\n\n<s>\u0301中文\t", std::string(300, 'a') + "<unk> </s>",
      std::string(bytes.substr(bytes.size() - std::min<std::size_t>(bytes.size(), 64)))};
  for (const std::string& text : texts) {
    try {
      const auto ids = tokenizer.encode(text, {.add_special_tokens = false});
      if (ids.size() > 64 * text.size() + 64) std::abort();
      tokenizer.decode(ids);
      text::StreamDecoder stream(tokenizer, false, true);
      for (const TokenId id : ids) stream.push(id);
      stream.finish();
      tokenizer.encode(text, {.parse_special = true});
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::limit) std::abort();  // a regular expression that needs too many steps
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    use(*text::read_tokenizer_json(MappedFile::from_bytes("fuzz.json", bytes)), bytes);
  } catch (const Error& error) {
    const std::string_view line = error.what();
    if (line.find("fuzz.json") == line.npos || line.find('\n') != line.npos) std::abort();
  }
  return 0;
}
