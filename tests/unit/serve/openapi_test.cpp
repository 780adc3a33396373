// The description that the server gives of itself is walked, and the server held to it.
#include "serve/openapi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/near_names.h"
#include "toy_service.h"

namespace tessera::serve {
namespace {

using testing::answer_of;
using testing::post;

class OpenApiTest : public ::testing::Test {
 protected:
  OpenApiTest() : backend_(testing::toy_backend()), service_(testing::served_by(*backend_), {}) {
    HttpRequest request{
        .method = "GET", .path = "/openapi.json", .query = "", .headers = {{"host", "localhost"}}};
    document_ = Json::parse(answer_of(service_, request).head->body);
    session_ = Json::parse(answer_of(service_, post("/api/sessions", "{}")).head->body)["id"].dump();
  }
  ~OpenApiTest() override { backend_->stop(); }

  const Json& resolved(const Json& schema) const {
    if (!schema.contains("$ref")) return schema;
    return document_.at(Json::json_pointer(schema["$ref"].get<std::string>().substr(1)));
  }
  static bool has_body(const Route& route) { return route.method == "POST" || route.method == "PATCH"; }
  const Json& request_schema(const Route& route) const {
    return resolved(document_["paths"][route.path][to_lower_ascii(route.method)]["requestBody"]["content"]
                             ["application/json"]["schema"]);
  }
  // The least that a request needs.
  static Json minimal(const Route& route) {
    if (route.path == "/v1/completions") return {{"prompt", "x"}};
    if (route.path == "/chat") return {{"user_id", "ada"}, {"user_input", "x"}};
    if (route.path == "/tokenize") return {{"content", "x"}};
    if (route.path == "/detokenize") return {{"tokens", {97}}};
    if (route.path == "/api/import") {
      return {{"format", "tessera-sessions"}, {"version", 1}, {"sessions", Json::array()}};
    }
    if (route.path.ends_with("/messages") && route.path.starts_with("/api/")) {
      return {{"role", "user"}, {"content", "x"}};
    }
    if (route.path.ends_with("/reply")) return {{"content", "x"}};
    if (route.path.ends_with("/leaf")) return {{"message", nullptr}};
    if (route.path.starts_with("/api/")) return Json::object();
    return {{"messages", Json::array({{{"role", "user"}, {"content", "x"}}})}};
  }
  Json error_of(const Route& route, const Json& body) {
    std::string path = route.path;
    if (const std::size_t id = path.find("{id}"); id != std::string::npos) path.replace(id, 4, session_);
    HttpRequest request = post(path, body.dump());
    request.method = route.method;
    const auto answer = answer_of(service_, std::move(request));
    return answer.head->status < 300 ? Json() : Json::parse(answer.head->body)["error"];
  }

  std::unique_ptr<EngineBackend> backend_;
  Service service_;
  Json document_;
  std::string session_;
};

TEST_F(OpenApiTest, EveryRouteIsDescribedAndNothingElse) {
  std::size_t described = 0;
  for (const auto& [path, methods] : document_["paths"].items()) described += methods.size();
  EXPECT_EQ(described, service_.routes().routes().size());
  for (const Route& route : service_.routes().routes()) {
    const std::string method = to_lower_ascii(route.method);
    const Json& operation = document_["paths"][route.path][method];
    EXPECT_FALSE(operation["summary"].get<std::string>().empty()) << route.path;
    EXPECT_EQ(operation.contains("requestBody"), has_body(route)) << route.path;
    EXPECT_EQ(operation.contains("security"), route.open) << route.path;
  }
}

TEST_F(OpenApiTest, EveryReferenceLeadsSomewhere) {
  const std::string text = document_.dump();
  for (std::size_t at = text.find("\"$ref\":\""); at != std::string::npos;
       at = text.find("\"$ref\":\"", at + 1)) {
    const std::size_t begin = at + 8;
    const std::string target = text.substr(begin, text.find('"', begin) - begin);
    EXPECT_TRUE(document_.contains(Json::json_pointer(target.substr(1)))) << target;
  }
}

TEST_F(OpenApiTest, RequiredFieldsAreRequired) {
  for (const Route& route : service_.routes().routes()) {
    if (!has_body(route)) continue;
    EXPECT_TRUE(error_of(route, minimal(route)).is_null()) << route.path << error_of(route, minimal(route));
    const Json required = request_schema(route).value("required", Json::array());
    for (const Json& name : required) {
      Json body = minimal(route);
      body.erase(name.get<std::string>());
      EXPECT_EQ(error_of(route, body)["param"], name) << route.path;
    }
  }
}

TEST_F(OpenApiTest, EveryFieldIsKnownAndEveryBoundIsHeld) {
  std::size_t bounds = 0;
  for (const Route& route : service_.routes().routes()) {
    if (!has_body(route)) continue;
    const Json properties = request_schema(route).value("properties", Json::object());
    for (const auto& [name, described] : properties.items()) {
      const auto error_with = [&, &field = name](const Json& value) {
        Json body = minimal(route);
        if (field == "top_logprobs") body["logprobs"] = true;
        body[field] = value;
        return error_of(route, body);
      };
      // Of no type that any field has: known fields complain about the value.
      const Json wrong = error_with(Json::array({Json::array({nullptr})}));
      EXPECT_TRUE(wrong.is_null() || wrong["code"] != "unknown_field") << route.path << " " << name;
      for (const char* bound : {"minimum", "maximum", "exclusiveMinimum"}) {
        if (!described.contains(bound)) continue;
        ++bounds;
        const bool excluded = std::string(bound) == "exclusiveMinimum";
        const Json inside = described[bound];
        const bool is_lower = std::string(bound) != "maximum";
        const Json beyond = excluded ? inside
                            : inside.is_number_integer()
                                ? Json(inside.get<std::int64_t>() + (is_lower ? -1 : 1))
                                : Json(inside.get<double>() + (is_lower ? -0.1 : 0.1));
        EXPECT_EQ(error_with(beyond)["param"], name) << route.path << " " << beyond;
        if (excluded || name == "n") continue;  // the toy's queue holds fewer than the most
        if (name == "parent" || name == "leaf" || name == "message") continue;  // ids of messages
        EXPECT_TRUE(error_with(inside).is_null()) << name << " " << error_with(inside);
      }
    }
  }
  EXPECT_GE(bounds, 40U);
}

}  // namespace
}  // namespace tessera::serve
