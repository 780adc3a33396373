// /api/sessions and its neighbours on a store of their own: shapes, errors that name the field, owners.
#include "serve/session_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/test_paths.h"
#include "toy_service.h"

namespace tessera::serve {
namespace {

using testing::answer_of;
using ::testing::HasSubstr;

class SessionApiTest : public ::testing::Test {
 protected:
  SessionApiTest() : backend_(testing::toy_backend()), service_(testing::served_by(*backend_), keys()) {}
  ~SessionApiTest() override { backend_->stop(); }

  static ServiceOptions keys() {
    ServiceOptions options;
    options.keys.add("key-of-ada", "test");
    options.keys.add("key-of-bob", "test");
    return options;
  }
  HttpResponse send(const std::string& method, const std::string& target, const Json& body = nullptr) {
    HttpRequest request =
        testing::post(target.substr(0, target.find('?')), body.is_null() ? "" : body.dump());
    request.method = method;
    if (target.find('?') != std::string::npos) request.query = target.substr(target.find('?') + 1);
    request.headers.emplace_back("authorization", "Bearer " + key_);
    const auto answer = answer_of(service_, std::move(request));
    EXPECT_TRUE(answer.ended) << method << target;
    return *answer.head;
  }
  Json ask(const std::string& method, const std::string& target, const Json& body = nullptr,
           int status = 200) {
    const HttpResponse answer = send(method, target, body);
    EXPECT_EQ(answer.status, status) << method << " " << target << " " << body << " -> " << answer.body;
    return answer.body.empty() ? Json() : Json::parse(answer.body, nullptr, false);
  }
  Json error_of(const std::string& method, const std::string& target, const Json& body = nullptr,
                int status = 400) {
    return ask(method, target, body, status)["error"];
  }
  std::string new_session(const Json& body = Json::object()) {
    return "/api/sessions/" + ask("POST", "/api/sessions", body, 201)["id"].dump();
  }
  Json say(const std::string& session, const Json& parent, const std::string& role,
           const std::string& content) {
    return ask("POST", session + "/messages", {{"parent", parent}, {"role", role}, {"content", content}},
               201);
  }

  std::unique_ptr<EngineBackend> backend_;
  Service service_;
  std::string key_ = "key-of-ada";
};

TEST_F(SessionApiTest, ASessionHasTheShapeOfTheContract) {
  const Json made =
      ask("POST", "/api/sessions", {{"title", "Capitals"}, {"parameters", {{"temperature", 0.5}}}}, 201);
  EXPECT_EQ(made["title"], "Capitals");
  EXPECT_EQ(made["model"], "");  // until something is answered
  EXPECT_EQ(made["parameters"], Json({{"temperature", 0.5}}));
  EXPECT_EQ(made["archived"], false);
  EXPECT_TRUE(made["leaf"].is_null());
  EXPECT_EQ(made["message_count"], 0);
  EXPECT_GT(made["created_at"].get<std::int64_t>(), 1'500'000'000'000);
  const std::string path = "/api/sessions/" + made["id"].dump();
  const Json message = say(path, nullptr, "user", "Hello");
  EXPECT_TRUE(message["parent"].is_null());
  EXPECT_TRUE(message["prompt_tokens"].is_null());
  EXPECT_EQ(message["model"], "");
  const Json whole = ask("GET", path);
  EXPECT_EQ(whole["session"]["leaf"], message["id"]);
  EXPECT_EQ(whole["messages"], Json::array({message}));
}

TEST_F(SessionApiTest, UndoAndBranchesMoveTheLeafAndLoseNothing) {
  const std::string path = new_session();
  const Json question = say(path, nullptr, "user", "Capital of France?");
  const Json answer = say(path, question["id"], "assistant", "Paris.");
  const Json next = say(path, answer["id"], "user", "Of Germany?");
  EXPECT_EQ(ask("PATCH", path + "/leaf", {{"message", question["id"]}})["leaf"], question["id"]);
  const Json other = say(path, question["id"], "assistant", "It is Paris.");
  EXPECT_EQ(ask("PATCH", path + "/leaf", {{"message", answer["id"]}, {"newest_below", true}})["leaf"],
            next["id"]);
  EXPECT_EQ(ask("PATCH", path, {{"leaf", other["id"]}})["leaf"], other["id"]);
  EXPECT_TRUE(ask("PATCH", path, {{"leaf", nullptr}})["leaf"].is_null());
  EXPECT_TRUE(ask("PATCH", path + "/leaf", {{"message", nullptr}})["leaf"].is_null());
  EXPECT_EQ(ask("GET", path)["messages"].size(), 4U);
  EXPECT_EQ(ask("DELETE", path + "/messages/" + answer["id"].dump())["deleted"], 2);
  EXPECT_EQ(ask("GET", path)["messages"], Json::array({question, other}));
}

TEST_F(SessionApiTest, ChangesAreMadeTogether) {
  const std::string path = new_session({{"title", "before"}});
  const Json changed =
      ask("PATCH", path, {{"title", "after"}, {"archived", true}, {"parameters", {{"system", "Be brief."}}}});
  EXPECT_EQ(changed["title"], "after");
  EXPECT_EQ(changed["archived"], true);
  EXPECT_EQ(changed["parameters"]["system"], "Be brief.");
  // One wrong field: none is changed.
  EXPECT_EQ(error_of("PATCH", path, {{"title", "no"}, {"leaf", 12345}})["param"], "leaf");
  EXPECT_EQ(ask("GET", path)["session"]["title"], "after");
  EXPECT_TRUE(ask("GET", "/api/sessions")["sessions"].empty());
  EXPECT_EQ(ask("GET", "/api/sessions?archived=true")["sessions"].size(), 1U);
  EXPECT_EQ(send("DELETE", path).status, 204);
  error_of("GET", path, nullptr, 404);
}

TEST_F(SessionApiTest, TheListComesInPages) {
  for (int i = 0; i < 5; ++i) new_session({{"title", std::to_string(i)}});
  std::string titles;
  std::string after;
  for (int page = 0; page < 3; ++page) {
    const Json list = ask("GET", "/api/sessions?limit=2" + after);
    for (const Json& session : list["sessions"]) titles += session["title"].get<std::string>();
    EXPECT_EQ(list["next"].is_null(), page == 2);
    if (!list["next"].is_null()) after = "&after=" + list["next"].get<std::string>();
  }
  EXPECT_EQ(titles, "43210");
}

// The terminal's sessions belong to whoever needs no key; no name of a key is theirs.
TEST(SessionOwners, AKeyNamedLocalDoesNotOwnTheTerminalsSessions) {
  const tessera::testing::TemporaryFolder folder;
  const std::string path = (folder.path() / "sessions.db").string();
  store::SessionStore terminal(path);
  terminal.create(terminal.user(store::kLocalUser), {.title = "of the terminal"});
  const auto titles = [&](const std::string& key_line) {
    ServiceOptions options{.sessions = {.path = path}};
    if (!key_line.empty()) options.keys.add(key_line, "test");
    const auto backend = testing::toy_backend();
    Service service(testing::served_by(*backend), options);
    HttpRequest request = testing::post("/api/sessions", "");
    request.method = "GET";
    request.headers.emplace_back("authorization", "Bearer a-key-of-theirs");
    const Json list = Json::parse(answer_of(service, request).head->body)["sessions"];
    backend->stop();
    std::string all;
    for (const Json& session : list) all += session["title"].get<std::string>();
    return all;
  };
  EXPECT_EQ(titles(""), "of the terminal");
  EXPECT_EQ(titles("a-key-of-theirs name=local"), "");
  EXPECT_EQ(titles("a-key-of-theirs name=key:local"), "");
}

TEST_F(SessionApiTest, ASessionOfAnotherUserDoesNotExist) {
  const std::string path = new_session({{"title", "secret plan"}});
  const Json message = say(path, nullptr, "user", "the secret word");
  const std::string missing = "/api/sessions/999999";
  key_ = "key-of-bob";
  EXPECT_TRUE(ask("GET", "/api/sessions")["sessions"].empty());
  EXPECT_TRUE(ask("GET", "/api/search?q=secret")["hits"].empty());
  EXPECT_TRUE(ask("GET", "/api/export")["sessions"].empty());
  const Json body = {{"role", "user"}, {"content", "x"}};
  for (const auto& [method, rest, content] : std::vector<std::tuple<std::string, std::string, Json>>{
           {"GET", "", nullptr},
           {"PATCH", "", {{"title", "mine"}}},
           {"DELETE", "", nullptr},
           {"POST", "/messages", body},
           {"PATCH", "/leaf", {{"message", message["id"]}}},
           {"DELETE", "/messages/" + message["id"].dump(), nullptr},
           {"GET", "/export", nullptr}}) {
    const std::string theirs = error_of(method, path + rest, content, 404)["message"];
    std::string none = error_of(method, missing + rest, content, 404)["message"];
    none.replace(none.find("999999"), 6, path.substr(path.rfind('/') + 1));
    EXPECT_EQ(theirs, none) << method << rest;
  }
  key_ = "key-of-ada";
  EXPECT_EQ(ask("GET", path)["messages"].size(), 1U);
}

TEST_F(SessionApiTest, WrongFieldsAreNamed) {
  const std::string path = new_session();
  struct Case {
    const char* method;
    std::string target;
    const char* body;
    const char* param;
  };
  std::vector<Case> cases = {
      {"GET", "/api/sessions?limit=0", "", "limit"},
      {"GET", "/api/sessions?limit=1001", "", "limit"},
      {"GET", "/api/sessions?limit=NaN", "", "limit"},
      {"GET", "/api/sessions?limit=-1", "", "limit"},
      {"GET", "/api/sessions?after=x", "", "after"},
      {"GET", "/api/sessions?archived=1", "", "archived"},
      {"GET", "/api/sessions?colour=red", "", "colour"},
      {"GET", "/api/sessions?limit=1&limit=2", "", "limit"},
      {"GET", "/api/search", "", "q"},
      {"GET", "/api/search?q=a&after=-1", "", "after"},
      {"GET", "/api/search?q=%FF", "", "q"},
      {"GET", path + "/export?format=pdf", "", "format"},
      {"POST", "/api/sessions", R"({"title": 3})", "title"},
      {"POST", "/api/sessions", R"({"colour": 3})", "colour"},
      {"POST", "/api/sessions", R"({"parameters": []})", "parameters"},
      {"PATCH", path, R"({"archived": 1})", "archived"},
      {"PATCH", path, R"({"leaf": "x"})", "leaf"},
      {"PATCH", path, R"({"leaf": 9007199254740993.0})", "leaf"},
      {"PATCH", path + "/leaf", R"({})", "message"},
      {"PATCH", path + "/leaf", R"({"message": 0})", "message"},
      {"PATCH", path + "/leaf", R"({"message": 77777})", "message"},
      {"PATCH", path + "/leaf", R"({"message": null, "newest_below": 2})", "newest_below"},
      {"POST", path + "/messages", R"({"content": "x"})", "role"},
      {"POST", path + "/messages", R"({"role": "user"})", "content"},
      {"POST", path + "/messages", R"({"role": "wizard", "content": "x"})", "role"},
      {"POST", path + "/messages", R"({"role": "user", "content": "x", "parent": 77777})", "parent"},
      {"POST", path + "/messages", R"({"role": "user", "content": "x", "parent": -1})", "parent"},
  };
  for (const char* number :
       {"temperature", "top_k", "top_p", "min_p", "typical_p", "repeat_penalty", "repeat_last_n",
        "frequency_penalty", "presence_penalty", "max_tokens", "seed"}) {
    for (const char* value : {"-3", "1e300", "\"1\"", "[1]", "true"}) {
      static std::deque<std::string> kept;
      kept.push_back(fmt::format(R"({{"parameters": {{"{}": {}}}}})", number, value));
      kept.push_back(std::string("parameters.") + number);
      cases.push_back({"PATCH", path, kept[kept.size() - 2].c_str(), kept.back().c_str()});
    }
  }
  for (const Case& c : {Case{"", "", R"({"mode": "poem"})", "parameters.mode"},
                        Case{"", "", R"({"system": 1})", "parameters.system"},
                        Case{"", "", R"({"stop": ["a", ""]})", "parameters.stop[1]"},
                        Case{"", "", R"({"stop": "a"})", "parameters.stop"},
                        Case{"", "", R"({"max_tokens": 0})", "parameters.max_tokens"},
                        Case{"", "", R"({"temperatur": 1})", "parameters.temperatur"}}) {
    static std::deque<std::string> kept;
    kept.push_back(fmt::format(R"({{"parameters": {}}})", c.body));
    cases.push_back({"POST", "/api/sessions", kept.back().c_str(), c.param});
  }
  for (const Case& c : cases) {
    const Json body = *c.body == '\0' ? Json() : Json::parse(c.body);
    EXPECT_EQ(error_of(c.method, c.target, body)["param"], c.param) << c.target << c.body;
  }
  EXPECT_EQ(ask("GET", path)["session"]["parameters"], Json::object());
  for (const char* id : {"abc", "-1", "1x", "99999999999999999999", "%31"}) {
    error_of("GET", "/api/sessions/" + std::string(id), nullptr, 404);
  }
}

TEST_F(SessionApiTest, SearchCountsCharactersAndGivesPages) {
  const std::string path = new_session({{"title", "Ärger"}});
  Json last;
  for (int i = 0; i < 3; ++i) last = say(path, last["id"], "user", "日本語の Türen " + std::to_string(i));
  const Json first = ask("GET", "/api/search?q=T%C3%BCren&limit=2");
  ASSERT_EQ(first["hits"].size(), 2U);
  EXPECT_EQ(first["hits"][0]["message"], last["id"]);
  EXPECT_EQ(first["hits"][0]["snippet"], "日本語の Türen 2");
  EXPECT_EQ(first["hits"][0]["highlights"], Json::array({{5, 10}}));
  const Json second = ask("GET", "/api/search?q=T%C3%BCren&limit=2&after=" + first["next"].dump());
  EXPECT_EQ(second["hits"].size(), 1U);
  EXPECT_TRUE(second["next"].is_null());
  EXPECT_TRUE(ask("GET", "/api/search?q=%C3%84rger")["hits"][0]["message"].is_null());
}

TEST_F(SessionApiTest, AnExportImportedIsTheSame) {
  const std::string path = new_session({{"title", "Capitals"}, {"parameters", {{"mode", "story"}}}});
  const Json question = say(path, nullptr, "user", "France?");
  say(path, question["id"], "assistant", "Paris.");
  say(path, question["id"], "assistant", "It is Paris.");
  const HttpResponse file = send("GET", path + "/export");
  EXPECT_THAT(file.headers.front().second, HasSubstr("attachment; filename=\"session-"));
  const Json exported = Json::parse(file.body);
  const Json imported = ask("POST", "/api/import", exported);
  ASSERT_EQ(imported["sessions"].size(), 1U);
  const std::string copy = "/api/sessions/" + imported["sessions"][0].dump();
  EXPECT_NE(copy, path);
  EXPECT_EQ(Json::parse(send("GET", copy + "/export").body), exported);
  EXPECT_EQ(ask("GET", "/api/export")["sessions"].size(), 2U);
  const HttpResponse markdown = send("GET", path + "/export?format=markdown");
  EXPECT_EQ(markdown.content_type, "text/markdown; charset=utf-8");
  EXPECT_THAT(markdown.body, HasSubstr("## Assistant\n\nIt is Paris."));
  EXPECT_THAT(error_of("POST", "/api/import", {{"x", 1}})["message"].get<std::string>(),
              HasSubstr("the import"));
}

// The description is held to the answers: every field of a described answer is there, and no other.
TEST_F(SessionApiTest, AnswersHaveTheDescribedFields) {
  const Json schemas = ask("GET", "/openapi.json")["components"]["schemas"];
  const std::string path = new_session();
  const Json message = say(path, nullptr, "user", "some words");
  const auto names = [](const Json& object) {
    std::set<std::string> all;
    for (const auto& [name, value] : object.items()) all.insert(name);
    return all;
  };
  const auto described = [&](const char* schema) { return names(schemas[schema]["properties"]); };
  const Json list = ask("GET", "/api/sessions");
  EXPECT_EQ(names(list), described("SessionList"));
  EXPECT_EQ(names(list["sessions"][0]), described("Session"));
  EXPECT_EQ(names(message), described("SessionMessage"));
  EXPECT_EQ(names(ask("GET", path)), described("SessionWithMessages"));
  const Json found = ask("GET", "/api/search?q=words");
  EXPECT_EQ(names(found), described("SearchResults"));
  EXPECT_EQ(names(found["hits"][0]),
            names(schemas["SearchResults"]["properties"]["hits"]["items"]["properties"]));
}

TEST(StoreWorkersTest, ATemporaryStoreGoesWithTheWorkers) {
  std::string path;
  {
    StoreWorkers workers({});
    path = workers.path();
    int done = 0;
    std::mutex mutex;
    for (int i = 0; i < 20; ++i) {
      workers.submit([&](store::SessionStore& store) {
        store.create(store.user("ada"), {.title = "x"});
        const std::lock_guard lock(mutex);
        ++done;
      });
    }
    workers.wait_until_idle();
    EXPECT_EQ(done, 20);
    EXPECT_TRUE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(path).parent_path()));
}

TEST(StoreWorkersTest, ALongQueueIsRefusedButWhatIsOwedIsDone) {
  std::atomic<int> owed = 0;
  {
    StoreWorkers workers({.threads = 1, .most_waiting = 2});
    std::mutex held;
    held.lock();
    std::atomic<bool> begun = false;
    workers.submit([&](store::SessionStore&) {
      begun = true;
      const std::lock_guard lock(held);
    });
    while (!begun) std::this_thread::yield();
    workers.submit([](store::SessionStore&) {});
    workers.submit([](store::SessionStore&) {});
    EXPECT_THROW(workers.submit([](store::SessionStore&) {}), ApiError);
    for (int i = 0; i < 5; ++i) workers.submit_owed([&](store::SessionStore&) { ++owed; });
    held.unlock();
  }
  EXPECT_EQ(owed, 5);
}

}  // namespace
}  // namespace tessera::serve
