// Who may ask: keys, host names, origins, and paths.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "serve/api_keys.h"
#include "serve/origin_rules.h"
#include "serve/route_table.h"
#include "support/error_of.h"
#include "support/test_paths.h"

namespace tessera::serve {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

HttpRequest with(const std::string& name, const std::string& value) {
  return {.method = "GET", .path = "/", .query = "", .headers = {{name, value}}};
}

TEST(ApiKeys, WithoutKeysEverybodyMayAsk) { EXPECT_EQ(ApiKeys().client_of(with("x", "y")), ""); }

TEST(ApiKeys, AcceptsExactlyItsKeys) {
  ApiKeys keys;
  keys.add("first-key-1", "test");
  keys.add("sha256:" + std::string("0f2fd0f98e8c3d0a5a92b0a24b0a2a8dcd7a4e7d3c8d4cb9b1c0b9a2d6f3e1a0"),
           "test");
  const auto client = keys.client_of(with("authorization", "Bearer first-key-1"));
  ASSERT_TRUE(client);
  EXPECT_FALSE(client->empty());
  EXPECT_THAT(*client, ::testing::Not(HasSubstr("first")));
  EXPECT_EQ(keys.client_of(with("x-api-key", "first-key-1")), client);
  EXPECT_EQ(keys.client_of(with("authorization", "bearer  first-key-1")), client);
  for (const char* wrong :
       {"Bearer first-key-", "Bearer first-key-11", "Bearer ", "", "Basic first-key-1",
        "Bearer sha256:0f2fd0f98e8c3d0a5a92b0a24b0a2a8dcd7a4e7d3c8d4cb9b1c0b9a2d6f3e1a0"}) {
    EXPECT_EQ(keys.client_of(with("authorization", wrong)), std::nullopt) << wrong;
  }
}

TEST(ApiKeys, AHashStandsForItsKey) {
  ApiKeys keys;  // SHA-256 of "abcdefgh", from sha256sum
  keys.add("sha256:9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab", "test");
  EXPECT_TRUE(keys.client_of(with("x-api-key", "abcdefgh")));
  EXPECT_FALSE(keys.client_of(with("x-api-key", "abcdefgi")));
}

TEST(ApiKeys, NamesAndPrioritiesStandBehindTheKey) {
  ApiKeys keys;
  keys.add("first-of-ada name=ada priority=3", "test");
  keys.add("next-of-ada  priority=-1 name=ada", "test");
  keys.add("of-nobody priority=-100", "test");
  EXPECT_EQ(keys.client_of(with("x-api-key", "first-of-ada")), "ada");
  EXPECT_EQ(keys.client_of(with("x-api-key", "next-of-ada")), "ada");
  EXPECT_EQ(keys.client_of(with("x-api-key", "first-of-ada name=ada priority=3")), std::nullopt);
  const auto nobody = *keys.client_of(with("x-api-key", "of-nobody"));
  EXPECT_EQ(keys.priorities(), (std::map<std::string, std::int32_t>{{"ada", 3}, {nobody, -100}}));
  for (const char* wrong : {"of-nobody priority=101", "of-nobody priority=x", "of-nobody name=",
                            "of-nobody ada", "of-nobody priority=1x", "of-nobody name=a\tb"}) {
    EXPECT_THAT(error_of([&] { keys.add(wrong, "here"); }), HasSubstr("here: expected name=NAME")) << wrong;
  }
}

TEST(ApiKeys, AFileHasOneKeyALineAndErrorsNameIt) {
  const testing::TemporaryFolder folder;
  const std::string path = (folder.path() / "keys").string();
  std::ofstream(path) << "# for the team\n\nkey-number-one\r\nkey-number-two\n";
  ApiKeys keys;
  keys.add_file(path);
  EXPECT_EQ(keys.size(), 2U);
  EXPECT_TRUE(keys.client_of(with("x-api-key", "key-number-one")));
  EXPECT_NE(keys.client_of(with("x-api-key", "key-number-one")),
            keys.client_of(with("x-api-key", "key-number-two")));
  std::ofstream(path) << "good-key-1\nshort\n";
  EXPECT_THAT(error_of([&] { keys.add_file(path); }), HasSubstr("line 2"));
  std::ofstream(path) << "# nothing\n";
  EXPECT_THAT(error_of([&] { keys.add_file(path); }), HasSubstr("found none"));
  EXPECT_THAT(error_of([&] { keys.add("sha256:12", "here"); }), HasSubstr("64 hexadecimal"));
}

TEST(OriginRules, OnlyAddressesAndKnownNamesAreHosts) {
  const OriginRules rules({"Chat.Example:443"}, {});
  for (const char* good :
       {"localhost", "LOCALHOST:8080", "127.0.0.1:1", "192.168.1.7", "[::1]:8080", "chat.example"}) {
    EXPECT_TRUE(rules.allows_host(good)) << good;
  }
  for (const char* bad : {"", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example",
                          "chat.example.evil", "[::1", "[evil]"}) {
    EXPECT_EQ(rules.allows_host(bad), std::string_view(bad) == "[::1") << bad;
  }
}

TEST(OriginRules, CorsIsClosedUnlessAskedFor) {
  const OriginRules closed({}, {});
  HttpRequest request = with("host", "127.0.0.1:8080");
  EXPECT_TRUE(closed.allows_origin(request));
  request.headers.emplace_back("origin", "http://127.0.0.1:8080");
  EXPECT_TRUE(closed.allows_origin(request));
  EXPECT_TRUE(closed.cors_headers(request).empty());
  for (const char* foreign :
       {"null", "https://evil.example", "http://127.0.0.1:8081", "http://127.0.0.1:8080.evil"}) {
    request.headers.back().second = foreign;
    EXPECT_FALSE(closed.allows_origin(request)) << foreign;
    EXPECT_TRUE(closed.cors_headers(request).empty());
  }
  const OriginRules open({}, {"https://chat.example/"});
  request.headers.back().second = "https://chat.example";
  EXPECT_TRUE(open.allows_origin(request));
  EXPECT_EQ(open.cors_headers(request).front().second, "https://chat.example");
}

TEST(RouteTable, MatchesWholePaths) {
  EXPECT_TRUE(path_matches("/v1/models", "/v1/models"));
  EXPECT_FALSE(path_matches("/v1/models", "/v1/models/"));
  EXPECT_TRUE(path_matches("/v1/models/{model}", "/v1/models/a.b"));
  EXPECT_FALSE(path_matches("/v1/models/{model}", "/v1/models/"));
  EXPECT_FALSE(path_matches("/v1/models/{model}", "/v1/models/a/b"));
}

}  // namespace
}  // namespace tessera::serve
