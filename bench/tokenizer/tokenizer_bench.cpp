// MB/s of encoding and decoding, by the CPU time of one thread:
//   tokenizer_bench [--pre KIND] [--rounds N] [--piece BYTES] VOCABULARY TEXT...
// VOCABULARY is a GGUF file or a tokenizer.json; --pre takes another pre-tokenizer than the GGUF file names.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/gguf.h"
#include "text/tokenizer.h"

namespace {

using namespace tessera;

struct Arguments {
  std::string pre;
  std::size_t rounds = 5;
  std::size_t piece = 0;  // 0: the whole text in one call
  std::string vocabulary;
  std::vector<std::string> texts;
};

Arguments read_arguments(int count, char** values) {
  Arguments result;
  std::vector<std::string> names;
  for (int i = 1; i < count; ++i) {
    const std::string word = values[i];
    const bool has_value = i + 1 < count;
    if (word == "--pre" && has_value) {
      result.pre = values[++i];
    } else if (word == "--rounds" && has_value) {
      result.rounds = std::stoul(values[++i]);
    } else if (word == "--piece" && has_value) {
      result.piece = std::stoul(values[++i]);
    } else {
      names.push_back(word);
    }
  }
  if (names.size() < 2 || result.rounds == 0) {
    fail(ErrorKind::bad_input,
         "usage: tokenizer_bench [--pre KIND] [--rounds N] [--piece BYTES] VOCABULARY TEXT...");
  }
  result.vocabulary = names.front();
  result.texts.assign(names.begin() + 1, names.end());
  return result;
}

// The file's metadata with another pre-tokenizer.
Metadata with_pre(const Metadata& metadata, const std::string& kind) {
  Metadata result(metadata.origin(), nullptr);
  result.set_text("tokenizer.ggml.pre", kind);
  for (const auto& [key, entry] : metadata.entries()) result.set(key, entry.value, entry.offset);
  return result;
}

// The thread's own time on a CPU: what else the machine does meanwhile counts for less.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <typename Function>
std::vector<double> seconds_of(std::size_t rounds, Function&& function) {
  std::vector<double> seconds;
  for (std::size_t round = 0; round < rounds; ++round) {
    const double start = cpu_seconds();
    function();
    seconds.push_back(cpu_seconds() - start);
  }
  return seconds;
}

void report(const char* what, const std::string& text, std::size_t bytes, std::size_t tokens,
            std::vector<double> seconds) {
  const double first = seconds.front();
  std::sort(seconds.begin(), seconds.end());
  const double megabytes = static_cast<double>(bytes) / 1e6;
  std::printf("%-7s %-32s %9zu bytes %9zu tokens  first %7.1f MB/s  median %7.1f MB/s\n", what, text.c_str(),
              bytes, tokens, megabytes / first, megabytes / seconds[seconds.size() / 2]);
}

void run(const text::Tokenizer& tokenizer, const Arguments& arguments, const std::string& path) {
  const std::string content = read_file(path);
  const std::size_t piece = arguments.piece == 0 ? content.size() : arguments.piece;
  std::vector<TokenId> ids;
  const auto encode = seconds_of(arguments.rounds, [&] {
    ids.clear();
    for (std::size_t begin = 0; begin < content.size(); begin += piece) {
      const auto part =
          tokenizer.encode(std::string_view(content).substr(begin, piece), {.add_special_tokens = false});
      ids.insert(ids.end(), part.begin(), part.end());
    }
  });
  std::string name = path.substr(path.rfind('/') + 1);
  report("encode", name, content.size(), ids.size(), encode);
  std::size_t bytes = 0;
  const auto decode = seconds_of(arguments.rounds, [&] { bytes = tokenizer.decode(ids).size(); });
  report("decode", name, bytes, ids.size(), decode);
}

int run_all(int count, char** values) {
  const Arguments arguments = read_arguments(count, values);
  std::shared_ptr<const WeightSource> source;
  Metadata metadata;
  std::unique_ptr<text::Tokenizer> tokenizer;
  if (arguments.vocabulary.ends_with(".json")) {
    tokenizer = text::load_tokenizer_json(arguments.vocabulary);
  } else {
    source = formats::open_gguf(MappedFile::open(arguments.vocabulary));
    metadata =
        with_pre(source->metadata(),
                 arguments.pre.empty()
                     ? std::string(source->metadata().find_string("tokenizer.ggml.pre").value_or("default"))
                     : arguments.pre);
    tokenizer = text::load_gguf_tokenizer(metadata);
  }
  std::printf("%s: %s\n", arguments.vocabulary.c_str(), tokenizer->description().c_str());
  for (const std::string& text : arguments.texts) run(*tokenizer, arguments, text);
  return 0;
}

}  // namespace

int main(int count, char** values) {
  try {
    return run_all(count, values);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tokenizer_bench: %s\n", error.what());
    return 1;
  }
}
