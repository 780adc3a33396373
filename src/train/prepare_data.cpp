#include "train/prepare_data.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <exception>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/thread_pool.h"
#include "text/tokenizer_fingerprint.h"
#include "train/chat_data.h"
#include "train/corpus_texts.h"
#include "train/index_permutation.h"
#include "train/token_file_writer.h"

namespace tessera::train {
namespace {

constexpr std::size_t kBatchBytes = std::size_t{8} << 20U;
constexpr std::size_t kBatchDocuments = 4096;

// A document, or the part of one that goes into one of the two files.
struct Job {
  RawDocument document;
  bool validation = false;
  double keep_from = 0;  // the part of its characters that counts: [keep_from, keep_to)
  double keep_to = 1;
};

struct Encoded {
  std::vector<ChatExample> examples;
  std::uint64_t lost_bytes = 0;
  std::exception_ptr error;
};

bool is_chat(CorpusFormat format) { return format == CorpusFormat::chat || format == CorpusFormat::chatml; }

// The byte where character `number` begins; characters are counted as lead bytes.
std::size_t character_offset(std::string_view text, std::uint64_t number) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool begins = (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U;
    if (begins && number-- == 0) return at;
  }
  return text.size();
}

std::string_view characters_between(std::string_view text, double from, double to) {
  if (from <= 0 && to >= 1) return text;
  const auto count = static_cast<double>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
  const std::size_t begin = from <= 0 ? 0 : character_offset(text, static_cast<std::uint64_t>(count * from));
  const std::size_t end =
      to >= 1 ? text.size() : character_offset(text, static_cast<std::uint64_t>(count * to));
  return text.substr(begin, end - begin);
}

class DocumentEncoder {
 public:
  DocumentEncoder(const text::Tokenizer& tokenizer, const text::ChatTemplate* chat_template,
                  const PrepareDataOptions& options)
      : tokenizer_(&tokenizer), chat_template_(chat_template), options_(&options) {
    for (std::size_t id = 0; id < tokenizer.vocabulary_size(); ++id)
      bytes_of_.push_back(bytes_of(static_cast<TokenId>(id)));
    if (options.add_bos) bos_ = require(tokenizer.bos_token(), "bos");
    if (options.add_eos) eos_ = require(tokenizer.eos_token(), "eos");
  }

  Encoded encode(const Job& job) const {
    const RawDocument& document = job.document;
    if (is_chat(document.format)) {
      const std::string where = document.where();
      const auto messages = document.format == CorpusFormat::chat
                                ? read_json_conversation(document.bytes, where)
                                : read_chatml_conversation(document.bytes, where);
      return {encode_conversation(messages, *chat_template_, *tokenizer_, where), 0, {}};
    }
    if (document.format == CorpusFormat::text) return encode_text(document.bytes, job);
    return encode_text(json_line_text(document, options_->text_key), job);
  }

 private:
  static TokenId require(std::optional<TokenId> id, const char* name) {
    if (id) return *id;
    fail(ErrorKind::bad_usage, "--{}: expected a tokenizer with such a token, found none", name);
  }

  Encoded encode_text(std::string_view whole, const Job& job) const {
    const text::EncodeOptions options{.add_special_tokens = false, .parse_special = options_->parse_special};
    const std::string_view text = characters_between(whole, job.keep_from, job.keep_to);
    ChatExample example;
    example.ids = tokenizer_->encode(text, options);
    std::uint64_t bytes = 0;
    for (const TokenId id : example.ids) bytes += bytes_of_[static_cast<std::size_t>(id)];
    if (bos_) example.ids.insert(example.ids.begin(), *bos_);
    if (eos_) example.ids.push_back(*eos_);
    return {{std::move(example)}, text.size() > bytes ? text.size() - bytes : 0, {}};
  }

  // Nothing for an unknown character, and where the ids leave a hole.
  std::uint64_t bytes_of(TokenId id) const {
    try {
      return tokenizer_->token_kind(id) == text::TokenKind::unknown ? 0 : tokenizer_->token_bytes(id).size();
    } catch (const Error&) {
      return 0;
    }
  }

  const text::Tokenizer* tokenizer_;
  const text::ChatTemplate* chat_template_;
  const PrepareDataOptions* options_;
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;
  std::vector<std::uint64_t> bytes_of_;  // by id
};

class SplitWriter {
 public:
  SplitWriter(const std::string& path, const TokenFileInfo& info) : writer_(path, info) {
    split_.path = path;
  }

  void add(const std::vector<ChatExample>& examples) {
    for (const ChatExample& example : examples) {
      writer_.add_document(example.ids, example.counts_in_loss);
      split_.counted_tokens +=
          example.counts_in_loss.empty()
              ? example.ids.size()
              : static_cast<std::uint64_t>(std::ranges::count(example.counts_in_loss, 1));
    }
  }
  const TokenFileInfo& info() const { return writer_.info(); }
  WrittenSplit commit() {
    writer_.commit();
    split_.info = writer_.info();
    return split_;
  }

 private:
  TokenFileWriter writer_;
  WrittenSplit split_;
};

// Which documents, or which part of them, are kept from training.
class Splitter {
 public:
  Splitter(const Corpus& corpus, const PrepareDataOptions& options)
      : documents_(corpus.count_documents()), order_(documents_, options.seed, 0) {
    if (!options.validation_inputs.empty() || options.validation_fraction == 0) return;
    const bool single_text = documents_ == 1 && !corpus.has_chat();
    by_tail_ = options.split == SplitBy::tail || (options.split == SplitBy::automatic && single_text);
    if (by_tail_ && corpus.has_chat()) {
      fail(ErrorKind::bad_usage, "--split tail: expected texts, found conversations, which cannot be cut");
    }
    train_fraction_ = 1 - options.validation_fraction;
    const double wanted = std::round(static_cast<double>(documents_) * options.validation_fraction);
    chosen_ = by_tail_ ? 0 : std::max<std::uint64_t>(1, static_cast<std::uint64_t>(wanted));
    if (!by_tail_ && chosen_ >= documents_) {
      fail(ErrorKind::bad_input,
           "expected at least 2 documents to keep some for validation, found {}: --split tail cuts texts, "
           "--validation 0 keeps none",
           documents_);
    }
  }

  std::uint64_t documents() const { return documents_; }
  // Adds the one or two jobs of document `index`.
  void add_jobs(const RawDocument& document, std::uint64_t index, std::vector<Job>& jobs) const {
    if (by_tail_) {
      jobs.push_back({.document = document, .keep_to = train_fraction_});
      jobs.push_back({.document = document, .validation = true, .keep_from = train_fraction_});
    } else {
      jobs.push_back({.document = document, .validation = chosen_ > 0 && order_(index) < chosen_});
    }
  }

 private:
  std::uint64_t documents_;
  IndexPermutation order_;
  bool by_tail_ = false;
  double train_fraction_ = 1;
  std::uint64_t chosen_ = 0;
};

std::vector<Encoded> encode_all(const DocumentEncoder& encoder, const std::vector<Job>& jobs) {
  std::vector<Encoded> encoded(jobs.size());
  std::atomic<std::size_t> next{0};
  thread_pool().parallel_for(thread_pool().size(), 1, [&](std::int64_t, std::int64_t) {
    for (std::size_t i = next++; i < jobs.size(); i = next++) {
      try {
        encoded[i] = encoder.encode(jobs[i]);
      } catch (...) {
        encoded[i].error = std::current_exception();
      }
    }
  });
  return encoded;
}

class Preparation {
 public:
  Preparation(const DocumentEncoder& encoder, const ProgressSink& progress, std::uint64_t total_bytes)
      : encoder_(&encoder), progress_(&progress), begin_(std::chrono::steady_clock::now()) {
    record_.stage = "tokenize";
    record_.total = total_bytes;
  }

  // Every document of `corpus` in order, to `train` or, as the splitter says, to `validation`.
  void run(const Corpus& corpus, const Splitter* splitter, SplitWriter& train, SplitWriter* validation) {
    Corpus::Reader reader(corpus);
    RawDocument document;
    std::vector<Job> jobs;
    std::size_t bytes = 0;
    for (std::uint64_t index = 0; reader.next(document); ++index) {
      if (splitter != nullptr) {
        splitter->add_jobs(document, index, jobs);
      } else {
        jobs.push_back({.document = document});
      }
      bytes += document.bytes.size();
      if (bytes < kBatchBytes && jobs.size() < kBatchDocuments) continue;
      write(jobs, train, validation);
      bytes = 0;
    }
    write(jobs, train, validation);
  }

  std::uint64_t lost_bytes() const { return lost_bytes_; }

  void report(bool finished) {
    record_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    record_.per_second = record_.seconds > 0 ? static_cast<double>(record_.done) / record_.seconds : 0;
    record_.finished = finished;
    if (finished) record_.done = record_.total;
    if (*progress_) (*progress_)(record_);
  }

 private:
  void write(std::vector<Job>& jobs, SplitWriter& train, SplitWriter* validation) {
    const std::vector<Encoded> encoded = encode_all(*encoder_, jobs);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      if (encoded[i].error) std::rethrow_exception(encoded[i].error);
      (jobs[i].validation ? *validation : train).add(encoded[i].examples);
      lost_bytes_ += encoded[i].lost_bytes;
      if (!jobs[i].validation || jobs[i].keep_from == 0) record_.done += jobs[i].document.bytes.size();
      record_.subject = std::filesystem::path(*jobs[i].document.path).filename().string();
    }
    jobs.clear();
    report(false);
  }

  const DocumentEncoder* encoder_;
  const ProgressSink* progress_;
  Progress record_;
  std::chrono::steady_clock::time_point begin_;
  std::uint64_t lost_bytes_ = 0;
};

void check(const PrepareDataOptions& options) {
  const double fraction = options.validation_fraction;
  if (!(fraction >= 0 && fraction < 1)) {
    fail(ErrorKind::bad_usage, "validation: expected a fraction of 0 or more and below 1, found {}",
         fraction);
  }
  if (options.inputs.empty()) fail(ErrorKind::bad_usage, "expected files or folders to read, found none");
}

}  // namespace

PreparedData prepare_data(const text::Tokenizer& tokenizer, const text::ChatTemplate* chat_template,
                          const PrepareDataOptions& options, const std::string& folder,
                          const ProgressSink& progress) {
  check(options);
  const Corpus corpus(options.inputs, options.corpus);
  const Corpus validation_corpus(options.validation_inputs, options.corpus);
  const bool has_chat = corpus.has_chat() || validation_corpus.has_chat();
  if (has_chat && chat_template == nullptr) {
    fail(ErrorKind::bad_usage,
         "expected a chat template for conversations, found none: --chat-template FILE names one");
  }
  if (corpus.file_count() == 0)
    fail(ErrorKind::bad_input, "{}: expected text, found none", options.inputs.front());
  const DocumentEncoder encoder(tokenizer, chat_template, options);
  const Splitter splitter(corpus, options);
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) fail(ErrorKind::io, "{}: cannot make the folder: {}", folder, failed.message());

  const TokenFileInfo info{.vocabulary_size = tokenizer.vocabulary_size(),
                           .tokenizer_fingerprint = text::tokenizer_fingerprint(tokenizer),
                           .has_loss_mask = has_chat};
  SplitWriter train(folder + "/train.tokens", info);
  std::optional<SplitWriter> validation;
  if (options.validation_fraction > 0 || !options.validation_inputs.empty()) {
    validation.emplace(folder + "/validation.tokens", info);
  }
  Preparation preparation(encoder, progress, corpus.bytes() + validation_corpus.bytes());
  preparation.run(corpus, &splitter, train, validation ? &*validation : nullptr);
  if (!options.validation_inputs.empty()) preparation.run(validation_corpus, nullptr, *validation, nullptr);
  if (train.info().token_count == 0)
    fail(ErrorKind::bad_input, "{}: the tokenizer makes no token of this text", options.inputs.front());
  PreparedData prepared{.train = train.commit(),
                        .validation = {},
                        .documents = splitter.documents(),
                        .lost_bytes = preparation.lost_bytes()};
  if (validation) {
    prepared.validation.push_back(validation->commit());
  } else {
    std::filesystem::remove(folder + "/validation.tokens", failed);  // of an earlier run, no longer its pair
  }
  preparation.report(true);
  return prepared;
}

}  // namespace tessera::train
