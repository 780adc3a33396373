#include "text/unigram_trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/error.h"
#include "text/piece_trie.h"
#include "text/unicode.h"

namespace tessera::text {
namespace {

constexpr double kLeastExpected = 0.5;  // pieces expected less often than this are dropped in the M step
constexpr double kSurplus = 1.1;        // pruning stops this far above the goal; the last step takes the best
constexpr double kNever = -std::numeric_limits<double>::infinity();

// The derivative of ln Gamma, by its asymptotic series from 7 on (Abramowitz and Stegun 6.3.18).
double digamma(double x) {
  double result = 0;
  for (; x < 7; ++x) result -= 1 / x;
  x -= 0.5;
  const double square = 1 / (x * x);
  return result + std::log(x) + square * (1.0 / 24 - square * (7.0 / 960 - square * 31.0 / 8064));
}

double log_add(double a, double b) {
  if (a == kNever) return b;
  const double most = std::max(a, b);
  return most + std::log1p(std::exp(std::min(a, b) - most));
}

// The pieces that fit into a word, as edges from byte to byte in ascending order of their beginning.
struct Edge {
  std::size_t begin;
  std::size_t end;
  TokenId piece;
};

class UnigramTrainer {
 public:
  UnigramTrainer(std::span<const CountedWord> words, const UnigramTrainerOptions& options)
      : words_(words), options_(options) {
    count_characters();
    make_seeds();
  }

  std::vector<UnigramPiece> train(const std::function<void(std::size_t)>& step) {
    const auto wanted = static_cast<std::size_t>(static_cast<double>(options_.pieces) * kSurplus);
    while (true) {
      for (int i = 0; i < options_.sub_iterations; ++i) maximize(expect());
      if (step) step(pieces_.size());
      if (pieces_.size() <= wanted) break;
      const std::size_t before = pieces_.size();
      prune(wanted);
      if (pieces_.size() == before) break;
    }
    return finish();
  }

 private:
  void count_characters() {
    for (const CountedWord& word : words_) {
      for (std::size_t at = 0; at < word.bytes.size();) {
        const std::size_t length = character_length(word.bytes[at]);
        characters_[std::string(word.bytes.substr(at, length))] += word.count;
        at += length;
      }
    }
    if (characters_.size() > options_.pieces) {
      fail(ErrorKind::bad_usage, "vocabulary: expected room for the {} characters of the texts, found {}",
           characters_.size(), options_.pieces);
    }
  }

  // Every character, and the substrings within words that come twice or more, those that cover most of the
  // text first: suffixes in order bring equal substrings together, a length at a time.
  void make_seeds() {
    struct Suffix {
      std::string_view text;
      std::uint64_t count;
    };
    std::vector<Suffix> suffixes;
    for (const CountedWord& word : words_) {
      for (std::size_t at = 0; at < word.bytes.size(); at += character_length(word.bytes[at])) {
        suffixes.push_back({word.bytes.substr(at), word.count});
      }
    }
    std::ranges::sort(suffixes, {}, &Suffix::text);
    std::vector<UnigramPiece> seeds;
    for (std::size_t length = 2; length <= options_.most_characters; ++length) {
      std::string_view current;
      double count = 0;
      const auto close = [&] {
        if (count >= 2) seeds.push_back({std::string(current), count * static_cast<double>(length)});
      };
      for (const Suffix& suffix : suffixes) {
        const std::string_view prefix = first_characters(suffix.text, length);
        if (prefix.empty()) continue;
        if (prefix != current) {
          close();
          current = prefix;
          count = 0;
        }
        count += static_cast<double>(suffix.count);
      }
      close();
    }
    std::ranges::sort(seeds, by_score);
    if (seeds.size() > options_.seed_pieces) seeds.resize(options_.seed_pieces);
    for (const auto& [character, count] : characters_)
      pieces_.push_back({std::string(character), static_cast<double>(count)});
    pieces_.insert(pieces_.end(), seeds.begin(), seeds.end());
    double total = 0;
    for (const UnigramPiece& piece : pieces_) total += piece.score;
    for (UnigramPiece& piece : pieces_) piece.score = std::log(piece.score / total);
    rebuild();
  }

  static bool by_score(const UnigramPiece& left, const UnigramPiece& right) {
    return left.score != right.score ? left.score > right.score : left.text < right.text;
  }

  // Empty when there are fewer.
  static std::string_view first_characters(std::string_view text, std::size_t count) {
    std::size_t end = 0;
    for (; count > 0 && end < text.size(); --count) end += character_length(text[end]);
    return count == 0 ? text.substr(0, end) : std::string_view();
  }

  void rebuild() {
    trie_ = PieceTrie();
    for (std::size_t i = 0; i < pieces_.size(); ++i) trie_.insert(pieces_[i].text, static_cast<TokenId>(i));
  }

  void find_edges(std::string_view word) {
    edges_.clear();
    for (std::size_t at = 0; at < word.size(); at += character_length(word[at])) {
      trie_.for_each_prefix(word.substr(at),
                            [&](std::size_t length, TokenId id) { edges_.push_back({at, at + length, id}); });
    }
  }
  double score(const Edge& edge) const { return pieces_[static_cast<std::size_t>(edge.piece)].score; }

  // How often each piece is expected over all segmentations of all words: forward and backward sums.
  std::vector<double> expect() {
    std::vector<double> expected(pieces_.size());
    for (const CountedWord& word : words_) {
      find_edges(word.bytes);
      const std::size_t size = word.bytes.size();
      forward_.assign(size + 1, kNever);
      backward_.assign(size + 1, kNever);
      forward_[0] = backward_[size] = 0;
      for (const Edge& edge : edges_) {
        forward_[edge.end] = log_add(forward_[edge.end], forward_[edge.begin] + score(edge));
      }
      for (auto edge = edges_.rbegin(); edge != edges_.rend(); ++edge) {
        backward_[edge->begin] = log_add(backward_[edge->begin], backward_[edge->end] + score(*edge));
      }
      for (const Edge& edge : edges_) {
        const double posterior = forward_[edge.begin] + score(edge) + backward_[edge.end] - forward_[size];
        expected[static_cast<std::size_t>(edge.piece)] +=
            static_cast<double>(word.count) * std::exp(posterior);
      }
    }
    return expected;
  }

  // Bayesian: digamma instead of the logarithm makes rare pieces rarer. Characters stay, or words would have
  // no way.
  void maximize(const std::vector<double>& expected) {
    std::vector<UnigramPiece> kept;
    double total = 0;
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      const bool is_character = characters_.contains(pieces_[i].text);
      if (expected[i] < kLeastExpected && !is_character) continue;
      const double count = std::max(expected[i], is_character ? kLeastExpected : 0);
      kept.push_back({std::move(pieces_[i].text), count});
      total += count;
    }
    const double all = digamma(total);
    for (UnigramPiece& piece : kept) piece.score = digamma(piece.score) - all;
    pieces_ = std::move(kept);
    rebuild();
  }

  // The pieces of the best segmentation, without the piece `without` (-1: with all).
  std::vector<TokenId> best_pieces(std::string_view word, TokenId without) {
    find_edges(word);
    forward_.assign(word.size() + 1, kNever);
    std::vector<const Edge*> last(word.size() + 1);
    forward_[0] = 0;
    for (const Edge& edge : edges_) {
      const double total = forward_[edge.begin] + score(edge);
      if (edge.piece == without || total <= forward_[edge.end]) continue;
      forward_[edge.end] = total;
      last[edge.end] = &edge;
    }
    std::vector<TokenId> pieces;
    for (std::size_t end = word.size(); end > 0 && last[end] != nullptr; end = last[end]->begin) {
      pieces.push_back(last[end]->piece);
    }
    return pieces;
  }

  // Takes out the pieces whose loss to the text's likelihood is least, were each replaced by its next best
  // segmentation.
  void prune(std::size_t wanted) {
    std::vector<double> used(pieces_.size());
    double total = 0;
    for (const CountedWord& word : words_) {
      for (const TokenId piece : best_pieces(word.bytes, -1)) {
        used[static_cast<std::size_t>(piece)] += static_cast<double>(word.count);
        total += static_cast<double>(word.count);
      }
    }
    struct Candidate {
      std::size_t index;
      double loss;
    };
    std::vector<Candidate> candidates;
    std::vector<bool> keep(pieces_.size());
    std::size_t kept = 0;
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      keep[i] = characters_.contains(pieces_[i].text);
      kept += keep[i] ? 1 : 0;
      if (keep[i] || used[i] == 0) continue;
      const std::vector<TokenId> others = best_pieces(pieces_[i].text, static_cast<TokenId>(i));
      double other_log = 0;
      for (const TokenId other : others)
        other_log += std::log(used[static_cast<std::size_t>(other)] + used[i]);
      const double other_total = total + used[i] * (static_cast<double>(others.size()) - 1);
      const double loss = std::log(used[i]) - std::log(total) -
                          (other_log - static_cast<double>(others.size()) * std::log(other_total));
      candidates.push_back({i, used[i] / total * loss});
    }
    std::ranges::sort(candidates, [](const Candidate& left, const Candidate& right) {
      return left.loss != right.loss ? left.loss > right.loss : left.index < right.index;
    });
    const auto shrunk =
        static_cast<std::size_t>(static_cast<double>(pieces_.size()) * options_.shrinking_factor);
    const std::size_t goal = std::max(wanted, shrunk);
    for (const Candidate& candidate : candidates) {
      if (kept++ >= goal) break;
      keep[candidate.index] = true;
    }
    std::size_t index = 0;
    std::erase_if(pieces_, [&](const UnigramPiece&) { return !keep[index++]; });
    rebuild();
  }

  // Characters first, then the most probable others, as many as there is room for.
  std::vector<UnigramPiece> finish() {
    std::vector<UnigramPiece> result;
    std::vector<UnigramPiece> others;
    for (UnigramPiece& piece : pieces_) {
      (characters_.contains(piece.text) ? result : others).push_back(std::move(piece));
    }
    std::ranges::sort(others, by_score);
    others.resize(std::min(others.size(), options_.pieces - result.size()));
    result.insert(result.end(), others.begin(), others.end());
    std::ranges::sort(result, by_score);
    return result;
  }

  std::span<const CountedWord> words_;
  UnigramTrainerOptions options_;
  std::map<std::string, std::uint64_t, std::less<>> characters_;
  std::vector<UnigramPiece> pieces_;
  PieceTrie trie_;
  std::vector<Edge> edges_;
  std::vector<double> forward_;
  std::vector<double> backward_;
};

}  // namespace

std::vector<UnigramPiece> train_unigram(std::span<const CountedWord> words,
                                        const UnigramTrainerOptions& options,
                                        const std::function<void(std::size_t)>& step) {
  return UnigramTrainer(words, options).train(step);
}

}  // namespace tessera::text
