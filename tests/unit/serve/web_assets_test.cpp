// The embedded page: its pack, what is answered for each of its files, and the headers that keep texts
// harmless.
#include "serve/web_assets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serve/api_error.h"
#include "support/error_of.h"

namespace tessera::serve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kPack =
    "tessera-page 1\n"
    "/\ttext/html\taa\t0\t4\t0\t0\n"
    "/assets/page.js\ttext/javascript\tbb\t4\t6\t10\t3\n"
    "\n"
    "htmlscriptzip";

HttpRequest request(const std::string& path, HttpHeaders headers = {}) {
  return {.method = "GET", .path = path, .query = "", .headers = std::move(headers)};
}

std::string header(const HttpResponse& response, const std::string& name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "";
}

TEST(WebAssets, FilesComeAsTheyArePacked) {
  const WebAssets assets(kPack);
  ASSERT_EQ(assets.all().size(), 2U);
  EXPECT_EQ(web_response(assets, request("/")).body, "html");
  const HttpResponse script = web_response(assets, request("/assets/page.js"));
  EXPECT_EQ(script.body, "script");
  EXPECT_EQ(script.content_type, "text/javascript");
  EXPECT_EQ(header(script, "Content-Encoding"), "");
}

TEST(WebAssets, CompressedOnlyForThoseWhoTakeIt) {
  const WebAssets assets(kPack);
  for (const char* accepted : {"gzip", "br, gzip;q=0.5", "deflate,GZIP"}) {
    const HttpResponse answer =
        web_response(assets, request("/assets/page.js", {{"accept-encoding", accepted}}));
    EXPECT_EQ(answer.body, "zip") << accepted;
    EXPECT_EQ(header(answer, "Content-Encoding"), "gzip") << accepted;
    EXPECT_EQ(header(answer, "Vary"), "Accept-Encoding") << accepted;
  }
  for (const char* refused : {"", "br", "gzip;q=0", "gzip; q=0.000", "xgzip"}) {
    const HttpResponse answer =
        web_response(assets, request("/assets/page.js", {{"accept-encoding", refused}}));
    EXPECT_EQ(answer.body, "script") << refused;
  }
  EXPECT_EQ(web_response(assets, request("/", {{"accept-encoding", "gzip"}})).body, "html");
}

TEST(WebAssets, WhatTheClientHasIsNotSentAgain) {
  const WebAssets assets(kPack);
  const std::string tag = header(web_response(assets, request("/")), "ETag");
  const HttpResponse same = web_response(assets, request("/", {{"if-none-match", "\"x\", " + tag}}));
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
  EXPECT_EQ(web_response(assets, request("/", {{"if-none-match", "\"x\""}})).status, 200);
  // The compressed form is another representation.
  const HttpResponse plain = web_response(assets, request("/assets/page.js"));
  const HttpResponse zipped = web_response(assets, request("/assets/page.js", {{"accept-encoding", "gzip"}}));
  EXPECT_NE(header(plain, "ETag"), header(zipped, "ETag"));
}

TEST(WebAssets, NothingMayRunOrLoadButWhatIsServedHere) {
  for (const WebAssets& assets : {WebAssets(kPack), WebAssets("tessera-page 0\nno <npm> & co")}) {
    const HttpResponse page = web_response(assets, request("/"));
    const std::string policy = header(page, "Content-Security-Policy");
    EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
    EXPECT_THAT(policy, HasSubstr("script-src 'self';"));
    EXPECT_THAT(policy, HasSubstr("style-src 'self';"));
    EXPECT_THAT(policy, HasSubstr("require-trusted-types-for 'script'"));
    EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none'"));
    EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
    EXPECT_THAT(policy, Not(HasSubstr("http")));
    EXPECT_EQ(header(page, "X-DNS-Prefetch-Control"), "off");
    EXPECT_EQ(header(page, "Referrer-Policy"), "no-referrer");
    EXPECT_EQ(header(page, "X-Content-Type-Options"), "nosniff");
  }
}

TEST(WebAssets, UnknownFilesAre404) {
  const WebAssets assets(kPack);
  for (const char* path : {"/assets/", "/assets/other.js", "/assets/page.js/", "/assets/../page.js"}) {
    try {
      web_response(assets, request(path));
      ADD_FAILURE() << path;
    } catch (const ApiError& error) {
      EXPECT_EQ(error.status(), 404) << path;
    }
  }
}

TEST(WebAssets, AMissingPageSaysWhyAndHow) {
  const WebAssets assets("tessera-page 0\nno <npm> & co");
  const HttpResponse page = web_response(assets, request("/"));
  EXPECT_EQ(page.status, 501);
  EXPECT_THAT(page.body, HasSubstr("no &lt;npm> &amp; co"));
  EXPECT_THAT(page.body, HasSubstr("apt-get install nodejs npm"));
}

TEST(WebAssets, DamagedPacksAreErrors) {
  EXPECT_THAT(testing::error_of([] { WebAssets("other"); }), HasSubstr("tessera-page 1"));
  EXPECT_THAT(testing::error_of([] { WebAssets("tessera-page 1\n/\ttext"); }), HasSubstr("end"));
  EXPECT_THAT(testing::error_of([] { WebAssets("tessera-page 1\n/\ttext\n\n"); }), HasSubstr("breaks off"));
  EXPECT_THAT(testing::error_of([] { WebAssets("tessera-page 1\n/\tt\te\t0\t9\t0\t0\n\nhtml"); }),
              HasSubstr("byte 9 of 4"));
  EXPECT_THAT(testing::error_of([] { WebAssets("tessera-page 1\n/\tt\te\t0\t1\t0\tx\n\nhtml"); }),
              HasSubstr("expected a number"));
  EXPECT_THAT(
      testing::error_of([] { WebAssets("tessera-page 1\n/\tt\te\t18446744073709551615\t2\t0\t0\n\nhtml"); }),
      HasSubstr("of 4"));
}

// This build's own page, where it could be built.
TEST(WebAssets, TheEmbeddedPageIsWhole) {
  const WebAssets& assets = WebAssets::embedded();
  if (assets.all().empty()) GTEST_SKIP() << "built without the page: " << assets.missing_reason();
  const WebAsset* page = assets.find("/");
  ASSERT_NE(page, nullptr);
  // Every file that it names is there.
  std::size_t named = 0;
  for (std::size_t at = page->bytes.find("=\"/"); at != std::string_view::npos;
       at = page->bytes.find("=\"/", at + 1)) {
    const std::string_view path = page->bytes.substr(at + 2, page->bytes.find('"', at + 2) - at - 2);
    EXPECT_NE(assets.find(path), nullptr) << path;
    ++named;
  }
  EXPECT_EQ(named, 3U);  // two scripts, one style
  const WebAsset* licences = assets.find("/assets/licenses.txt");
  ASSERT_NE(licences, nullptr);
  for (const char* package : {"preact", "markdown-it", "katex", "highlight.js"}) {
    EXPECT_THAT(std::string(licences->bytes), HasSubstr(std::string(package) + " ")) << package;
  }
  EXPECT_THAT(std::string(licences->bytes), HasSubstr("SIL Open Font License"));
}

}  // namespace
}  // namespace tessera::serve
