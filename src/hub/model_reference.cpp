#include "hub/model_reference.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"

namespace tessera::hub {
namespace {

bool is_alphanumeric(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The characters the hub allows in names; what a path could misuse (.., a leading dot, slashes) is not among
// them.
bool is_hub_name(std::string_view name) {
  if (name.empty() || name.size() > 96 || name.front() == '.' || name.front() == '-') return false;
  if (name.find("..") != std::string_view::npos) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

bool is_revision(std::string_view revision) {
  if (revision.empty() || revision.size() > 200 || revision.find("..") != std::string_view::npos)
    return false;
  return std::all_of(revision.begin(), revision.end(), [](char c) {
    return is_alphanumeric(c) || c == '-' || c == '_' || c == '.' || c == '/';
  });
}

// Does one dash- or dot-separated word of a file name look like the name of a quantisation?
bool is_quantization(std::string_view word) {
  static constexpr std::array kPlain = {"F16", "F32", "BF16", "FP16", "FP32", "MXFP4"};
  if (std::find(kPlain.begin(), kPlain.end(), word) != kPlain.end()) return true;
  std::size_t at = 0;
  for (const std::string_view start : {"IQ", "TQ", "Q"}) {
    if (word.substr(0, start.size()) == start) {
      at = start.size();
      break;
    }
  }
  if (at == 0 || at >= word.size() || !is_digit(word[at])) return false;
  return word.size() > at + 2 && word[at + 1] == '_';
}

}  // namespace

std::string ModelReference::text() const {
  std::string written = "hf:" + repository;
  if (!revision.empty()) written += "@" + revision;
  if (!quantization.empty()) written += ":" + quantization;
  return written;
}

ModelReference parse_model_reference(std::string_view text) {
  const std::string shown = printable(text);
  std::string_view rest = text;
  if (rest.substr(0, 3) == "hf:") rest.remove_prefix(3);
  ModelReference reference;
  if (const std::size_t colon = rest.find(':'); colon != std::string_view::npos) {
    reference.quantization = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!is_hub_name(reference.quantization)) {
      fail(ErrorKind::bad_usage, "'{}': expected a quantisation such as Q4_K_M after ':', found '{}'", shown,
           printable(reference.quantization));
    }
  }
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    reference.revision = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!is_revision(reference.revision)) {
      fail(ErrorKind::bad_usage, "'{}': expected a branch, tag or commit after '@', found '{}'", shown,
           printable(reference.revision));
    }
  }
  const std::size_t slash = rest.find('/');
  const bool two_names = slash != std::string_view::npos && is_hub_name(rest.substr(0, slash)) &&
                         is_hub_name(rest.substr(slash + 1));
  if (!two_names) {
    fail(ErrorKind::bad_usage,
         "'{}': expected hf:USER/REPO[:QUANT], e.g. hf:bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M", shown);
  }
  reference.repository = rest;
  return reference;
}

std::string quantization_of_file(std::string_view file_name) {
  const std::size_t slash = file_name.rfind('/');
  if (slash != std::string_view::npos) file_name.remove_prefix(slash + 1);
  std::string upper(file_name);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  std::string found;
  std::size_t begin = 0;
  while (begin < upper.size()) {
    const std::size_t end = std::min(upper.find_first_of("-. ", begin), upper.size());
    const std::string word = upper.substr(begin, end - begin);
    if (is_quantization(word)) found = word;  // the last one counts: "Model-F16-to-Q4_0.gguf"
    begin = end + 1;
  }
  return found;
}

std::optional<SplitName> split_name_of_file(std::string_view file_name) {
  constexpr std::string_view kPattern = "-00000-of-00000.gguf";
  if (file_name.size() <= kPattern.size()) return std::nullopt;
  const std::string_view tail = file_name.substr(file_name.size() - kPattern.size());
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    if (kPattern[i] == '0' ? !is_digit(tail[i]) : tail[i] != kPattern[i]) return std::nullopt;
  }
  SplitName split;
  split.prefix = file_name.substr(0, file_name.size() - kPattern.size());
  split.part = std::stoi(std::string(tail.substr(1, 5)));
  split.parts = std::stoi(std::string(tail.substr(10, 5)));
  if (split.part < 1 || split.part > split.parts) return std::nullopt;
  return split;
}

}  // namespace tessera::hub
