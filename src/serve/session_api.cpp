#include "serve/session_api.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"
#include "serve/openai_format.h"
#include "serve/query_fields.h"
#include "serve/session_access.h"
#include "serve/session_format.h"
#include "serve/session_parameters.h"
#include "serve/token_record.h"
#include "store/session_files.h"
#include "store/text_check.h"

namespace tessera::serve {
namespace {

constexpr std::int64_t kUsualPage = 50;

HttpResponse json_response(const Json& body, int status = 200) {
  return {.status = status, .body = to_text(body)};
}

HttpResponse file_response(std::string content, const std::string& type, const std::string& name) {
  return {.content_type = type,
          .body = std::move(content),
          .headers = {{"Content-Disposition", fmt::format("attachment; filename=\"{}\"", name)}}};
}

std::string parameters_text(JsonFields& fields) {
  const Json* given = fields.find("parameters");
  if (given == nullptr) return "{}";
  check_session_parameters(*given);
  return given->dump();
}

std::optional<store::MessageId> existing_message(const SessionCall& call, store::SessionId session,
                                                 JsonFields& fields, const std::string& name) {
  const auto id = read_message_id(fields, name);
  if (id && !call.has_message(session, *id)) {
    refuse_field(fields.path_of(name), "session {} has no message {}", number(session), number(*id));
  }
  return id;
}

// --- sessions

HttpResponse list_sessions(const SessionCall& call) {
  QueryFields query(call.request.query);
  store::ListOptions options;
  options.limit = query.integer("limit", 1, store::kLongestPage).value_or(kUsualPage);
  options.archived = query.boolean("archived").value_or(false);
  if (const auto after = query.text("after")) options.after = read_cursor(*after);
  query.finish();
  const store::SessionPage page = call.store.list(call.user, options);
  Json sessions = Json::array();
  for (const store::Session& session : page.sessions) sessions.push_back(session_json(session));
  return json_response(
      {{"sessions", std::move(sessions)}, {"next", page.next ? Json(cursor_text(*page.next)) : Json()}});
}

HttpResponse create_session(const SessionCall& call) {
  const Json body = parse_body(call.request.body);
  JsonFields fields(body, "");
  const std::string title = fields.string("title", store::kLongestTitle).value_or("");
  const std::string parameters = parameters_text(fields);
  fields.finish();
  const store::SessionId id = call.store.create(call.user, {.title = title, .parameters = parameters});
  return json_response(session_json(call.store.session(id)), 201);
}

HttpResponse show_session(const SessionCall& call) {
  QueryFields(call.request.query).finish();
  const store::Session session = call.session();
  Json messages = Json::array();
  for (const store::Message& message : call.store.messages(session.id)) {
    messages.push_back(message_json(message));
  }
  return json_response({{"session", session_json(session)}, {"messages", std::move(messages)}});
}

HttpResponse change_session(const SessionCall& call) {
  const store::Session session = call.session();
  const Json body = parse_body(call.request.body);
  JsonFields fields(body, "");
  store::SessionChange change;
  change.title = fields.string("title", store::kLongestTitle);
  if (fields.find("parameters") != nullptr) change.parameters = parameters_text(fields);
  change.archived = fields.boolean("archived");
  // null is a value here: no message is shown.
  if (body.contains("leaf")) change.leaf = existing_message(call, session.id, fields, "leaf");
  fields.finish();
  call.store.change(session.id, change);
  return json_response(session_json(call.store.session(session.id)));
}

HttpResponse delete_session(const SessionCall& call) {
  call.store.erase(call.session().id);
  return {.status = 204, .content_type = "", .body = ""};
}

// --- messages

HttpResponse add_message(const SessionCall& call) {
  const store::Session session = call.session();
  const Json body = parse_body(call.request.body);
  JsonFields fields(body, "");
  const auto parent = existing_message(call, session.id, fields, "parent");
  fields.require("role");
  fields.require("content");
  const std::string role = *fields.string("role");
  constexpr std::array<std::string_view, 4> kRoles = {"system", "user", "assistant", "tool"};
  if (std::ranges::find(kRoles, role) == kRoles.end()) {
    refuse_field("role", "expected system, user, assistant or tool, found '{}'", printable(role, 40));
  }
  const std::string content = *fields.string("content", store::kLongestContent);
  fields.finish();
  const store::MessageId id = call.store.append(session.id, parent, {.role = role, .content = content});
  return json_response(message_json(call.store.message(session.id, id)), 201);
}

HttpResponse move_leaf(const SessionCall& call) {
  const store::Session session = call.session();
  const Json body = parse_body(call.request.body);
  JsonFields fields(body, "");
  if (!body.contains("message")) throw ApiError(400, "message: is required", "message", "missing_field");
  auto leaf = existing_message(call, session.id, fields, "message");
  const bool newest_below = fields.boolean("newest_below").value_or(false);
  fields.finish();
  if (leaf && newest_below) leaf = call.store.newest_below(session.id, *leaf);
  call.store.set_leaf(session.id, leaf);
  return json_response(session_json(call.store.session(session.id)));
}

// The message that the path names. ApiError 404.
store::MessageId named_message(const SessionCall& call, store::SessionId session) {
  const std::string text = path_part(call.request.path, 5);
  const auto id = decimal_number(text);
  if (id && call.has_message(session, store::MessageId{*id})) return store::MessageId{*id};
  throw ApiError(404, fmt::format("session {} has no message {}", number(session), printable(text, 40)), "",
                 "not_found");
}

HttpResponse delete_message(const SessionCall& call) {
  const store::SessionId session = call.session().id;
  return json_response({{"deleted", call.store.erase_branch(session, named_message(call, session))}});
}

HttpResponse message_tokens(const SessionCall& call) {
  const store::SessionId session = call.session().id;
  QueryFields(call.request.query).finish();
  const auto stored = read_token_record(call.store.token_record(session, named_message(call, session)));
  Json tokens = Json::array();
  for (const ShownToken& token : stored.value_or(std::vector<ShownToken>()))
    tokens.push_back(token_json(token));
  return json_response({{"tokens", std::move(tokens)}});
}

// --- files and search

HttpResponse export_session(const SessionCall& call) {
  const store::Session session = call.session();
  QueryFields query(call.request.query);
  const std::string format = query.text("format").value_or("json");
  query.finish();
  if (format != "json" && format != "markdown") {
    refuse_field("format", "expected json or markdown, found '{}'", printable(format, 40));
  }
  const store::SessionTree tree = call.store.tree(session.id);
  const std::string name = fmt::format("session-{}", number(session.id));
  if (format == "json")
    return file_response(store::sessions_as_json({&tree, 1}), "application/json", name + ".json");
  return file_response(store::session_as_markdown(tree), "text/markdown; charset=utf-8", name + ".md");
}

HttpResponse export_all(const SessionCall& call) {
  QueryFields(call.request.query).finish();
  std::vector<store::SessionTree> trees;
  for (const bool archived : {false, true}) {
    store::ListOptions options{.limit = store::kLongestPage, .archived = archived};
    do {
      const store::SessionPage page = call.store.list(call.user, options);
      for (const store::Session& session : page.sessions) trees.push_back(call.store.tree(session.id));
      options.after = page.next;
    } while (options.after);
  }
  return file_response(store::sessions_as_json(trees), "application/json", "tessera-sessions.json");
}

HttpResponse import_sessions(const SessionCall& call) {
  const auto trees = store::sessions_from_json(call.request.body, "the import", call.store.now());
  Json ids = Json::array();
  for (const store::SessionId id : call.store.add_trees(call.user, trees)) ids.push_back(number(id));
  return json_response({{"sessions", std::move(ids)}});
}

HttpResponse search_sessions(const SessionCall& call) {
  QueryFields query(call.request.query);
  const auto words = query.text("q");
  if (!words) throw ApiError(400, "q: is required", "q", "missing_field");
  if (store::valid_utf8_prefix(*words) != words->size()) refuse_field("q", "expected UTF-8");
  store::SearchOptions options;
  options.limit = query.integer("limit", 1, store::kLongestPage).value_or(kUsualPage);
  if (const auto after = query.integer("after", 0, std::numeric_limits<std::int64_t>::max())) {
    options.after = store::MessageId{*after};
  }
  query.finish();
  return json_response(search_json(call.store.search(call.user, *words, options)));
}

struct SessionRoute {
  Route described;
  HttpResponse (*answer)(const SessionCall&);
};

std::vector<SessionRoute> session_routes() {
  return {
      {{.method = "GET",
        .path = "/api/sessions",
        .summary = "The stored conversations, newest first.",
        .query = {{"limit", "integer", "1 to 1000; 50 when left out."},
                  {"after", "string", "The 'next' of the page before."},
                  {"archived", "boolean", "The archived ones instead of the others."}},
        .response_schema = "SessionList"},
       list_sessions},
      {{.method = "POST",
        .path = "/api/sessions",
        .summary = "Begins a conversation.",
        .request_schema = "NewSession",
        .response_schema = "Session"},
       create_session},
      {{.method = "GET",
        .path = "/api/sessions/{id}",
        .summary = "A conversation with all its branches.",
        .response_schema = "SessionWithMessages"},
       show_session},
      {{.method = "PATCH",
        .path = "/api/sessions/{id}",
        .summary = "Changes title, parameters, the archived mark, or where it stands.",
        .request_schema = "SessionChange",
        .response_schema = "Session"},
       change_session},
      {{.method = "DELETE",
        .path = "/api/sessions/{id}",
        .summary = "Deletes a conversation for good.",
        .response_type = ""},
       delete_session},
      {{.method = "POST",
        .path = "/api/sessions/{id}/messages",
        .summary = "Stores a message without an answer.",
        .request_schema = "NewMessage",
        .response_schema = "SessionMessage"},
       add_message},
      {{.method = "PATCH",
        .path = "/api/sessions/{id}/leaf",
        .summary = "Moves to another message: undo, or the switch to a branch.",
        .request_schema = "LeafChange",
        .response_schema = "Session"},
       move_leaf},
      {{.method = "GET",
        .path = "/api/sessions/{id}/messages/{message}/tokens",
        .summary = "The tokens of an answer that was made with logprobs; none of another.",
        .response_schema = "MessageTokens"},
       message_tokens},
      {{.method = "DELETE",
        .path = "/api/sessions/{id}/messages/{message}",
        .summary = "Deletes a message with everything below it.",
        .response_schema = "DeletedMessages"},
       delete_message},
      {{.method = "GET",
        .path = "/api/sessions/{id}/export",
        .summary = "A conversation as a file.",
        .query = {{"format", "string", "json, with every branch, or markdown, to be read."}},
        .response_schema = "SessionExport"},
       export_session},
      {{.method = "GET",
        .path = "/api/export",
        .summary = "All conversations as a file.",
        .response_schema = "SessionExport"},
       export_all},
      {{.method = "POST",
        .path = "/api/import",
        .summary = "Stores what an export holds: all of it or nothing.",
        .request_schema = "SessionExport",
        .response_schema = "ImportedSessions"},
       import_sessions},
      {{.method = "GET",
        .path = "/api/search",
        .summary = "Messages and titles with all of the words.",
        .query = {{"q", "string", "Words, or parts of words.", true},
                  {"limit", "integer", "1 to 1000; 50 when left out."},
                  {"after", "integer", "The 'next' of the page before."}},
        .response_schema = "SearchResults"},
       search_sessions},
  };
}

}  // namespace

std::string session_owner(const std::string& client) {
  return client.empty() ? std::string(store::kLocalUser) : store::key_user(client);
}

ApiError store_error(const Error& error) {
  return error.kind() == ErrorKind::io ? ApiError(500, error.what(), "", "storage_failed")
                                       : as_api_error(error);
}

void answer_safely(Exchange& exchange, const std::function<void()>& call) {
  try {
    return call();
  } catch (const ApiError& error) {
    exchange.respond(error_response(error));
  } catch (const Error& error) {
    exchange.respond(error_response(store_error(error)));
  } catch (const std::exception& error) {
    log_line(LogLevel::warning, fmt::format("{} {}: {}", exchange.request().method,
                                            printable(exchange.request().path), error.what()));
    exchange.respond(error_response({500, "internal error", "", "internal"}));
  }
  exchange.end();  // of a stream that had begun
}

void add_session_routes(RouteTable& routes, StoreWorkers& workers) {
  for (SessionRoute& route : session_routes()) {
    route.described.handle = [answer = route.answer, &workers](const std::shared_ptr<Exchange>& exchange) {
      workers.submit([answer, exchange](store::SessionStore& store) {
        if (exchange->abandoned()) return;
        answer_safely(*exchange, [&] {
          const HttpRequest& request = exchange->request();
          exchange->respond(answer({request, store, store.user(session_owner(request.client))}));
        });
      });
    };
    routes.add(std::move(route.described));
  }
}

}  // namespace tessera::serve
