#include "serve/session_format.h"

#include <algorithm>
#include <utility>

#include "serve/query_fields.h"

namespace tessera::serve {
namespace {

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

Json id_or_null(const std::optional<store::MessageId>& id) { return id ? Json(number(*id)) : Json(); }

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
}

}  // namespace

Json session_json(const store::Session& session) {
  return {{"id", number(session.id)},
          {"title", session.title},
          {"model", session.model},
          {"parameters", Json::parse(session.parameters)},
          {"created_at", session.created_at},
          {"updated_at", session.updated_at},
          {"archived", session.archived},
          {"leaf", id_or_null(session.leaf)},
          {"message_count", session.message_count}};
}

Json message_json(const store::Message& message) {
  return {{"id", number(message.id)},
          {"parent", id_or_null(message.parent)},
          {"role", message.role},
          {"content", message.content},
          {"model", message.model},
          {"finish_reason", message.finish_reason},
          {"prompt_tokens", or_null(message.prompt_tokens)},
          {"completion_tokens", or_null(message.completion_tokens)},
          {"prefill_seconds", or_null(message.prefill_seconds)},
          {"decode_seconds", or_null(message.decode_seconds)},
          {"created_at", message.created_at},
          {"has_tokens", message.has_tokens}};
}

Json search_json(const store::SearchPage& page) {
  Json hits = Json::array();
  for (const store::SearchHit& hit : page.hits) {
    Json highlights = Json::array();
    for (const store::TextSpan& span : hit.highlights) {
      const std::string_view text = hit.snippet;
      highlights.push_back({characters(text.substr(0, span.begin)), characters(text.substr(0, span.end))});
    }
    hits.push_back({{"session", number(hit.session)},
                    {"title", hit.title},
                    {"message", id_or_null(hit.message)},
                    {"role", hit.role},
                    {"created_at", hit.created_at},
                    {"snippet", hit.snippet},
                    {"highlights", std::move(highlights)}});
  }
  return {{"hits", std::move(hits)}, {"next", id_or_null(page.next)}};
}

std::string cursor_text(const store::ListCursor& cursor) {
  return fmt::format("{}-{}", cursor.updated_at, number(cursor.id));
}

store::ListCursor read_cursor(std::string_view text) {
  const std::size_t dash = std::min(text.find('-'), text.size());
  const auto time = decimal_number(text.substr(0, dash));
  const auto id = decimal_number(text.substr(std::min(dash + 1, text.size())));
  if (!time || !id) {
    refuse_field("after", "expected the 'next' of an earlier page, found '{}'", printable(text, 40));
  }
  return {*time, store::SessionId{*id}};
}

}  // namespace tessera::serve
