#include "train/corpus.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/error.h"
#include "base/near_names.h"

namespace tessera::train {
namespace {

constexpr std::array<std::string_view, 3> kTextEndings = {".txt", ".text", ".md"};
constexpr std::array<std::string_view, 2> kJsonLinesEndings = {".jsonl", ".ndjson"};
constexpr std::string_view kChatMlEnding = ".chatml";
constexpr std::string_view kTurnEnd = "<|im_end|>";
constexpr std::string_view kSystemTurn = "<|im_start|>system\n";
constexpr std::string_view kBlanks = " \t\r\n";

bool is_one_of(std::string_view ending, std::span<const std::string_view> endings) {
  return std::ranges::find(endings, ending) != endings.end();
}

std::string ending_of(const std::string& path) {
  return to_lower_ascii(std::filesystem::path(path).extension().string());
}

std::string_view first_line(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find('\n', begin) - begin);
}

// Conversations and texts are told apart by the first line; every other line must then be of its kind.
CorpusFormat json_lines_format(std::string_view text) {
  const std::string_view line = first_line(text);
  const bool chat = line.find("\"messages\"") != line.npos || line.find("\"conversations\"") != line.npos;
  return chat ? CorpusFormat::chat : CorpusFormat::jsonl;
}

CorpusFormat format_of(const MappedFile& file) {
  const std::string ending = ending_of(file.path());
  if (ending == kChatMlEnding) return CorpusFormat::chatml;
  return is_one_of(ending, kJsonLinesEndings) ? json_lines_format(file.text()) : CorpusFormat::text;
}

std::vector<std::string> readable_files(const std::string& folder) {
  namespace fs = std::filesystem;
  std::vector<std::string> paths;
  try {
    for (const auto& entry :
         fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied)) {
      if (!entry.is_regular_file()) continue;
      const std::string ending = ending_of(entry.path().string());
      if (is_one_of(ending, kTextEndings) || is_one_of(ending, kJsonLinesEndings) ||
          ending == kChatMlEnding) {
        paths.push_back(entry.path().string());
      }
    }
  } catch (const fs::filesystem_error& error) {
    fail(ErrorKind::io, "{}: cannot read the folder: {}", folder, error.code().message());
  }
  std::ranges::sort(paths);
  return paths;
}

// Where the ChatML conversation that begins at `begin` ends.
std::size_t conversation_end(std::string_view text, std::size_t begin) {
  std::size_t at = begin + 1;
  while (true) {
    const std::size_t end = text.find(kTurnEnd, at);
    if (end == text.npos) return text.size();
    at = end + kTurnEnd.size();
    const std::size_t next = text.find_first_not_of(kBlanks, at);
    if (next == text.npos) return text.size();
    const auto lines = std::ranges::count(text.substr(at, next - at), '\n');
    if (lines > 1 || text.substr(next).starts_with(kSystemTurn)) return next;
  }
}

}  // namespace

std::string RawDocument::where() const { return fmt::format("{}: line {}", *path, line); }

CorpusFormat corpus_format(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kNames = {"auto", "text", "jsonl", "chat", "chatml"};
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) {
    fail(ErrorKind::bad_usage, "format: expected one of {}, found '{}'", fmt::join(kNames, ", "),
         printable(name));
  }
  return static_cast<CorpusFormat>(found - kNames.begin());
}

Corpus::Corpus(const std::vector<std::string>& paths, const CorpusOptions& options) : options_(options) {
  for (const std::string& path : paths) add_path(path);
}

void Corpus::add_path(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) {
    add_file(path);
    return;
  }
  const std::vector<std::string> found = readable_files(path);
  if (found.empty()) {
    fail(ErrorKind::bad_input,
         "{}: expected .txt, .text, .md, .jsonl, .ndjson or .chatml files in the folder, found none", path);
  }
  for (const std::string& file : found) add_file(file);
}

void Corpus::add_file(const std::string& path) {
  File file{MappedFile::open(path), options_.format};
  if (file.format == CorpusFormat::automatic) file.format = format_of(*file.file);
  if (file.file->text().find_first_not_of(kBlanks) == std::string_view::npos) return;
  files_.push_back(std::move(file));
}

bool Corpus::has_chat() const {
  return std::ranges::any_of(files_, [](const File& file) {
    return file.format == CorpusFormat::chat || file.format == CorpusFormat::chatml;
  });
}

std::uint64_t Corpus::bytes() const {
  std::uint64_t total = 0;
  for (const File& file : files_) total += file.file->bytes().size();
  return total;
}

std::uint64_t Corpus::count_documents() const {
  Reader reader(*this);
  RawDocument document;
  std::uint64_t count = 0;
  while (reader.next(document)) ++count;
  return count;
}

bool Corpus::Reader::next(RawDocument& document) {
  while (file_ < corpus_->files_.size()) {
    while (next_in_file(document)) {
      if (document.bytes.find_first_not_of(kBlanks) != std::string_view::npos) return true;
    }
    ++file_;
    position_ = 0;
    line_ = 1;
  }
  return false;
}

bool Corpus::Reader::next_in_file(RawDocument& document) {
  const File& file = corpus_->files_[file_];
  const std::string_view text = file.file->text();
  if (position_ >= text.size()) return false;
  std::size_t end = text.size();
  std::size_t separator = 0;
  if (file.format == CorpusFormat::chatml) {
    end = conversation_end(text, position_);
  } else if (file.format != CorpusFormat::text) {
    separator = 1;
    end = std::min(text.find('\n', position_), text.size());
  } else if (!corpus_->options_.document_separator.empty()) {
    separator = corpus_->options_.document_separator.size();
    end = std::min(text.find(corpus_->options_.document_separator, position_), text.size());
  }
  document = {.bytes = text.substr(position_, end - position_),
              .format = file.format,
              .path = &file.file->path(),
              .offset = position_,
              .line = line_};
  const std::size_t next = std::min(end + separator, text.size());
  line_ += static_cast<std::uint64_t>(std::ranges::count(text.substr(position_, next - position_), '\n'));
  position_ = next;
  return true;
}

}  // namespace tessera::train
