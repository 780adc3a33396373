// Search over titles and messages: FTS5's index of trigrams for words of three characters and more, a look at
// each text for shorter ones. Trigrams find parts of words, and work in scripts without spaces.
#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "store/rows.h"
#include "store/session_store.h"
#include "store/text_check.h"

namespace tessera::store {
namespace {

constexpr std::string_view kMarkBegin = "\x02";
constexpr std::string_view kMarkEnd = "\x03";
constexpr std::string_view kCut = "…";
constexpr int kSnippetTrigrams = 60;
constexpr std::size_t kSnippetBytesAround = 60;

struct Query {
  std::string match;                // FTS5: each word as a string, so that nothing in it is an operator
  std::vector<std::string> shorts;  // words without a trigram
  bool empty() const { return match.empty() && shorts.empty(); }
};

std::size_t count_characters(std::string_view word) {
  return static_cast<std::size_t>(
      std::ranges::count_if(word, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
}

Query parse_query(std::string_view words) {
  check_text(words, kLongestQuery, "the search");
  Query query;
  std::size_t count = 0;
  const auto is_space = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
  for (auto begin = words.begin(); begin != words.end();) {
    const auto end = std::find_if(begin, words.end(), is_space);
    const std::string_view word(begin, end);
    begin = std::find_if_not(end, words.end(), is_space);
    if (word.empty()) continue;
    if (++count > kMostSearchWords) {
      fail(ErrorKind::limit, "the search: expected at most {} words", kMostSearchWords);
    }
    if (count_characters(word) < 3) {
      query.shorts.emplace_back(word);
      continue;
    }
    query.match += query.match.empty() ? "\"" : " \"";
    for (const char c : word) query.match += c == '"' ? "\"\"" : std::string(1, c);
    query.match += '"';
  }
  return query;
}

std::string like_pattern(std::string_view word) {
  std::string pattern = "%";
  for (const char c : word) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + "%";
}

// Takes the marks out of what snippet() made. A text may hold such marks itself; then they are spans, too.
void take_marks(std::string_view marked, SearchHit& hit) {
  bool inside = false;
  for (const char c : marked) {
    if (c == kMarkBegin.front() && !inside) {
      hit.highlights.push_back({hit.snippet.size(), hit.snippet.size()});
      inside = true;
    } else if (c == kMarkEnd.front() && inside) {
      hit.highlights.back().end = hit.snippet.size();
      inside = false;
    } else if (c != kMarkBegin.front() && c != kMarkEnd.front()) {
      hit.snippet += c;
    }
  }
  if (inside) hit.highlights.back().end = hit.snippet.size();
}

// The place of a word as LIKE finds it: the case of Latin letters does not matter.
std::size_t find_word(std::string_view text, std::string_view word) {
  const auto same = [](char a, char b) {
    return a == b ||
           (static_cast<unsigned char>(a) < 0x80 && static_cast<unsigned char>(b) < 0x80 &&
            std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b)));
  };
  const auto place = std::search(text.begin(), text.end(), word.begin(), word.end(), same);
  return place == text.end() ? std::string_view::npos : static_cast<std::size_t>(place - text.begin());
}

void cut_around(std::string_view text, std::string_view word, SearchHit& hit) {
  const auto continues = [&](std::size_t i) {
    return i < text.size() && (static_cast<unsigned char>(text[i]) & 0xc0U) == 0x80;
  };
  const std::size_t found = find_word(text, word);
  const std::size_t place = found == std::string_view::npos ? 0 : found;
  std::size_t begin = place > kSnippetBytesAround ? place - kSnippetBytesAround : 0;
  std::size_t end = std::min(text.size(), place + word.size() + kSnippetBytesAround);
  while (continues(begin)) ++begin;
  while (continues(end)) ++end;
  hit.snippet = begin > 0 ? kCut : "";
  const std::size_t shift = hit.snippet.size();
  hit.snippet += text.substr(begin, end - begin);
  if (end < text.size()) hit.snippet += kCut;
  if (found != std::string_view::npos) {
    hit.highlights.push_back({place - begin + shift, place - begin + word.size() + shift});
  }
}

// SQL and its parameters for one of the two search tables, whose rows are those of t.
class SearchStatement {
 public:
  SearchStatement(Database& database, const Query& query, bool in_titles, UserId user,
                  const SearchOptions& options)
      : statement_(database, sql(query, in_titles)) {
    int index = 0;
    statement_.bind_integer(++index, number(user));
    statement_.bind_integer(++index, options.after && !in_titles ? number(*options.after) : INT64_MAX);
    if (!query.match.empty()) statement_.bind_text(++index, query.match);
    for (const std::string& word : query.shorts) statement_.bind_text(++index, like_pattern(word));
    statement_.bind_integer(++index, options.limit + 1);
  }
  Statement& get() { return statement_; }

 private:
  // Only literals of this file become SQL.
  static std::string sql(const Query& query, bool in_titles) {
    const std::string search = in_titles ? "title_search" : "message_search";
    const std::string column = in_titles ? "title" : "content";
    const bool indexed = !query.match.empty();
    std::string text = in_titles ? "SELECT s.id, s.title, NULL, '', s.updated_at, "
                                 : "SELECT s.id, s.title, t.id, t.role, t.created_at, ";
    text += indexed ? "snippet(" + search + ", 0, char(2), char(3), '…', " +
                          std::to_string(kSnippetTrigrams) + ")"
                    : "t." + column;
    text += std::string(" FROM ") + (indexed ? search + " JOIN " : "") +
            (in_titles ? "sessions" : "messages") + " t";
    if (indexed) text += " ON t.id = " + search + ".rowid";
    text += std::string(" JOIN sessions s ON s.id = t.") + (in_titles ? "id" : "session_id");
    text += " WHERE s.user_id = ? AND " + (indexed ? search + ".rowid" : std::string("t.id")) + " < ?";
    if (indexed) text += " AND " + search + " MATCH ?";
    for (std::size_t i = 0; i < query.shorts.size(); ++i) text += " AND t." + column + " LIKE ? ESCAPE '\\'";
    return text + " ORDER BY " + (indexed ? search + ".rowid" : std::string("t.id")) + " DESC LIMIT ?";
  }

  Statement statement_;
};

std::vector<SearchHit> find(Database& database, const Query& query, bool in_titles, UserId user,
                            const SearchOptions& options) {
  SearchStatement search(database, query, in_titles, user, options);
  Statement& row = search.get();
  std::vector<SearchHit> hits;
  while (row.step()) {
    SearchHit hit;
    hit.session = SessionId{row.integer(0)};
    hit.title = row.text(1);
    hit.message = message_id(row.optional_integer(2));
    hit.role = row.text(3);
    hit.created_at = row.integer(4);
    if (query.match.empty()) {
      cut_around(row.text(5), query.shorts.front(), hit);
    } else {
      take_marks(row.text(5), hit);
    }
    hits.push_back(std::move(hit));
  }
  return hits;
}

}  // namespace

SearchPage SessionStore::search(UserId user, std::string_view words, const SearchOptions& options) {
  if (options.limit < 1 || options.limit > kLongestPage) {
    fail(ErrorKind::bad_usage, "hits a page: expected 1 to {}, found {}", kLongestPage, options.limit);
  }
  const Query query = parse_query(words);
  SearchPage page;
  if (query.empty()) return page;
  const ReadTransaction transaction(database_);
  std::vector<SearchHit> found = find(database_, query, false, user, options);
  if (static_cast<std::int64_t>(found.size()) > options.limit) {
    found.pop_back();
    page.next = found.back().message;
  }
  if (!options.after) {
    page.hits = find(database_, query, true, user, options);
    if (static_cast<std::int64_t>(page.hits.size()) > options.limit) page.hits.pop_back();
  }
  std::ranges::move(found, std::back_inserter(page.hits));
  return page;
}

}  // namespace tessera::store
