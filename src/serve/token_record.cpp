#include "serve/token_record.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "store/text_check.h"
#include "text/unicode.h"

namespace tessera::serve {
namespace {

constexpr char kVersion = 1;
constexpr double kSteps = 1000;         // of a logprob of one
constexpr double kLeastLogprob = 1000;  // negative; e^-1000 is nothing
constexpr std::size_t kMostBytes = std::size_t{8} << 20;

void put_number(std::string& bytes, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7U) bytes += static_cast<char>(0x80U | (number & 0x7fU));
  bytes += static_cast<char>(number);
}

void put_one(std::string& bytes, std::string_view text, double logprob) {
  put_number(bytes, text.size());
  bytes += text;
  const double steps = std::isnan(logprob) ? 0 : std::clamp(-logprob, 0.0, kLeastLogprob) * kSteps;
  put_number(bytes, static_cast<std::uint64_t>(std::llround(steps)));
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  bool well() const { return well_; }
  bool at_end() const { return rest_.empty(); }

  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 63 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
      if (byte < 0x80) return value;
    }
    well_ = false;
    return 0;
  }
  std::string text() {
    const std::uint64_t size = number();
    well_ = well_ && size <= rest_.size();
    if (!well_) return {};
    std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return text;
  }
  double logprob() { return -static_cast<double>(number()) / kSteps; }

 private:
  std::string_view rest_;
  bool well_ = true;
};

}  // namespace

std::vector<ShownToken> shown_tokens(const engine::GeneratedPiece& piece, const text::Tokenizer& tokenizer) {
  std::vector<ShownToken> shown;
  std::string_view rest = piece.text;
  std::string bytes;
  for (std::size_t i = 0; i < piece.tokens.size(); ++i) {
    const engine::SampledToken& token = piece.tokens[i];
    ShownToken& one = shown.emplace_back();
    one.logprob = token.logprob;
    bytes += tokenizer.token_bytes(token.token);
    if (i + 1 == piece.tokens.size()) {
      one.text = rest;
    } else if (store::valid_utf8_prefix(bytes) == bytes.size() && rest.starts_with(bytes)) {
      one.text = std::exchange(bytes, {});
      rest.remove_prefix(one.text.size());
    }
    for (const engine::TokenLogprob& other : token.top) {
      one.top.push_back({text::replace_ill_formed(tokenizer.token_bytes(other.token)), other.logprob});
    }
  }
  return shown;
}

Json token_json(const ShownToken& token) {
  Json top = Json::array();
  for (const ShownAlternative& other : token.top) {
    top.push_back({{"text", other.text}, {"logprob", other.logprob}});
  }
  return {{"text", token.text}, {"logprob", token.logprob}, {"top", std::move(top)}};
}

void TokenRecord::add(const std::vector<ShownToken>& tokens) {
  if (too_long_ || tokens.empty()) return;
  if (bytes_.empty()) bytes_ += kVersion;
  for (const ShownToken& token : tokens) {
    put_one(bytes_, token.text, token.logprob);
    put_number(bytes_, token.top.size());
    for (const ShownAlternative& other : token.top) put_one(bytes_, other.text, other.logprob);
  }
  too_long_ = bytes_.size() > kMostBytes;
  if (too_long_) bytes_.clear();
}

std::optional<std::vector<ShownToken>> read_token_record(std::string_view bytes) {
  if (!bytes.starts_with(kVersion)) return std::nullopt;
  Reader reader(bytes.substr(1));
  std::vector<ShownToken> tokens;
  while (reader.well() && !reader.at_end()) {
    ShownToken& token = tokens.emplace_back();
    token.text = reader.text();
    token.logprob = reader.logprob();
    for (std::uint64_t more = reader.number(); more > 0 && reader.well(); --more) {
      ShownAlternative& other = token.top.emplace_back();
      other.text = reader.text();
      other.logprob = reader.logprob();
    }
  }
  return reader.well() ? std::optional(std::move(tokens)) : std::nullopt;
}

}  // namespace tessera::serve
