#include "hub/pull.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>

#include "base/error.h"
#include "hub/model_directory.h"
#include "support/fake_hub.h"
#include "support/test_paths.h"

namespace tessera::hub {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::string random_bytes(std::size_t size, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::string bytes(size, ' ');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

class PullTest : public ::testing::Test {
 protected:
  PullTest() {
    ::setenv("XDG_CACHE_HOME", folder_.path().c_str(), 1);
    ::setenv("HF_HOME", (folder_.path() / "hf").c_str(), 1);
    hub_.files["tiny-Q4_K_M.gguf"] = {random_bytes(300'000)};
    hub_.files["README.md"] = {"# Tiny", false};
  }

  HubSettings settings() const {
    HubSettings settings;
    settings.endpoint = hub_.url();
    settings.token = token_;
    settings.first_retry_seconds = 0.001;
    settings.attempts = 3;
    return settings;
  }

  PullPlan plan(const std::string& reference = "hf:user/tiny-GGUF", const std::string& name = {}) {
    HttpClient client(settings());
    return plan_pull(client, parse_model_reference(reference), name);
  }

  fs::path pull(const std::string& reference = "hf:user/tiny-GGUF", const ProgressSink& sink = {},
                const std::string& name = {}) {
    HttpClient client(settings());
    const PullPlan made = plan_pull(client, parse_model_reference(reference), name);
    execute_pull(client, made, sink);
    return made.path;
  }

  std::string error_of(const std::string& reference = "hf:user/tiny-GGUF", ErrorKind kind = ErrorKind::io) {
    try {
      pull(reference);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
      return error.what();
    }
    ADD_FAILURE() << "no error";
    return {};
  }

  // Stops a pull in the middle, as Ctrl-C does.
  void interrupt_after(std::uint64_t bytes) {
    hub_.switches.bytes_per_millisecond = 200;
    EXPECT_THROW(pull("hf:user/tiny-GGUF",
                      [bytes](const Progress& progress) {
                        if (progress.done >= bytes) fail(ErrorKind::cancelled, "stop");
                      }),
                 Error);
    hub_.switches.bytes_per_millisecond = 0;
  }

  std::vector<std::string> ranges_asked() const {
    std::vector<std::string> ranges;
    for (const auto& request : hub_.store_requests()) ranges.push_back(request.header("range"));
    return ranges;
  }

  fs::path models() const { return folder_.path() / "tessera" / "models"; }
  const std::string& content() { return hub_.files["tiny-Q4_K_M.gguf"].content; }

  testing::TemporaryFolder folder_;
  testing::FakeHub hub_;
  std::string token_;
};

TEST_F(PullTest, FollowsTheRedirectVerifiesAndRecords) {
  std::vector<Progress> reports;
  const fs::path path =
      pull("hf:user/tiny-GGUF", [&](const Progress& progress) { reports.push_back(progress); });
  EXPECT_EQ(path, models() / "tiny-Q4_K_M.gguf");
  EXPECT_EQ(content_of(path), content());
  EXPECT_FALSE(fs::exists(path.string() + ".part"));
  EXPECT_FALSE(fs::exists(path.string() + ".part.id"));
  ASSERT_FALSE(reports.empty());
  EXPECT_TRUE(reports.back().finished);
  EXPECT_EQ(reports.back().done, content().size());
  EXPECT_EQ(reports.back().total, content().size());
  EXPECT_EQ(list_models().at(0).source, "hf:user/tiny-GGUF@0123456789ab");
  EXPECT_EQ(resolve_model("hf:user/tiny-GGUF"), path.string());
}

TEST_F(PullTest, WhatIsThereIsNotFetchedAgain) {
  pull();
  const auto before = hub_.store_requests().size();
  EXPECT_EQ(plan().needed_bytes, 0U);
  pull();
  EXPECT_EQ(hub_.store_requests().size(), before);
}

TEST_F(PullTest, ACutConnectionIsContinued) {
  hub_.switches.cuts = 2;
  hub_.switches.cut_after = 100'000;
  const fs::path path = pull();
  EXPECT_EQ(content_of(path), content());
  EXPECT_THAT(ranges_asked(), ElementsAre("", "bytes=100000-", "bytes=200000-"));
}

TEST_F(PullTest, ACutBeforeAnyByteIsTriedAgainAndThenGivenUp) {
  hub_.switches.cuts = 2;
  hub_.switches.cut_after = 0;
  EXPECT_EQ(content_of(pull()), content());
  fs::remove(models() / "tiny-Q4_K_M.gguf");
  hub_.switches.cuts = 100;
  EXPECT_THAT(error_of(), HasSubstr("pull again"));
  EXPECT_FALSE(fs::exists(models() / "tiny-Q4_K_M.gguf"));
}

TEST_F(PullTest, AnInterruptedPullGoesOnInTheNextOne) {
  interrupt_after(50'000);
  const auto kept = fs::file_size(models() / "tiny-Q4_K_M.gguf.part");
  EXPECT_GE(kept, 50'000U);
  EXPECT_LT(kept, content().size());
  EXPECT_EQ(plan().needed_bytes, content().size() - kept);
  EXPECT_THAT(list_models(), IsEmpty());
  EXPECT_EQ(content_of(pull()), content());
  EXPECT_EQ(ranges_asked().back(), "bytes=" + std::to_string(kept) + "-");
}

TEST_F(PullTest, AServerThatIgnoresRangesSendsItWhole) {
  interrupt_after(50'000);
  hub_.switches.ignore_ranges = true;
  EXPECT_EQ(content_of(pull()), content());
}

TEST_F(PullTest, AServerThatRefusesTheRangeIsAskedForTheWhole) {
  interrupt_after(50'000);
  hub_.switches.refuse_ranges = true;
  EXPECT_EQ(content_of(pull()), content());
  EXPECT_EQ(ranges_asked().back(), "");
}

TEST_F(PullTest, AnotherRangeThanAskedForIsAnError) {
  interrupt_after(50'000);
  hub_.switches.wrong_range = true;
  EXPECT_THAT(error_of("hf:user/tiny-GGUF", ErrorKind::bad_input), HasSubstr("Content-Range"));
}

TEST_F(PullTest, ThePartOfAnOlderVersionIsNotContinued) {
  interrupt_after(50'000);
  hub_.files["tiny-Q4_K_M.gguf"].content = random_bytes(300'000, 2);
  EXPECT_EQ(plan().needed_bytes, 300'000U);
  EXPECT_EQ(content_of(pull()), content());
  EXPECT_EQ(ranges_asked().back(), "");
}

TEST_F(PullTest, WithoutChecksumsTheETagGuardsTheResume) {
  hub_.switches.without_checksums = true;
  interrupt_after(50'000);
  EXPECT_EQ(content_of(pull()), content());
  EXPECT_EQ(hub_.store_requests().back().header("if-range"), "\"v1\"");
  fs::remove(models() / "tiny-Q4_K_M.gguf");
  interrupt_after(50'000);
  hub_.files["tiny-Q4_K_M.gguf"].content = random_bytes(300'000, 3);
  hub_.switches.etag = "\"v2\"";
  EXPECT_EQ(content_of(pull()), content());
}

TEST_F(PullTest, AWrongChecksumLeavesNothingBehind) {
  hub_.files["tiny-Q4_K_M.gguf"].wrong_checksum = std::string(64, 'a');
  const std::string message = error_of("hf:user/tiny-GGUF", ErrorKind::bad_input);
  EXPECT_THAT(message,
              AllOf(HasSubstr("tiny-Q4_K_M.gguf"), HasSubstr("expected sha256:aaaa"), HasSubstr("found ")));
  for (const auto& entry : fs::recursive_directory_iterator(models()))
    EXPECT_FALSE(entry.is_regular_file()) << entry;
}

TEST_F(PullTest, ABusyServerIsAskedAgain) {
  for (const int status : {503, 429, 500}) {
    hub_.switches.busy_status = status;
    hub_.switches.busy = 2;
    EXPECT_EQ(content_of(pull()), content()) << status;
    fs::remove(models() / "tiny-Q4_K_M.gguf");
  }
  hub_.switches.busy = 100;
  EXPECT_THAT(error_of(), HasSubstr("500"));
}

TEST_F(PullTest, TheTokenGoesToTheHubOnly) {
  token_ = "hf_secret";
  hub_.switches.token = "hf_secret";
  EXPECT_EQ(content_of(pull()), content());
  ASSERT_FALSE(hub_.store_requests().empty());
  for (const auto& request : hub_.hub_requests())
    EXPECT_EQ(request.header("authorization"), "Bearer hf_secret");
  for (const auto& request : hub_.store_requests()) EXPECT_EQ(request.header("authorization"), "");
}

TEST_F(PullTest, RefusalsSayWhatToDo) {
  hub_.switches.token = "hf_secret";
  EXPECT_THAT(error_of(), AllOf(HasSubstr("401"), HasSubstr("set HF_TOKEN")));
  token_ = "hf_wrong";
  EXPECT_THAT(error_of(),
              AllOf(HasSubstr("401"), HasSubstr("HF_TOKEN is valid"), Not(HasSubstr("hf_wrong"))));
  hub_.switches.gated = true;
  EXPECT_THAT(error_of(),
              AllOf(HasSubstr("403"), HasSubstr("gated"), HasSubstr(hub_.url() + "/user/tiny-GGUF")));
}

TEST_F(PullTest, WhatDoesNotExistIsNamed) {
  EXPECT_THAT(error_of("hf:user/nothing"), AllOf(HasSubstr("404"), HasSubstr("hf:user/nothing")));
  EXPECT_THAT(error_of("hf:user/tiny-GGUF@nowhere"), AllOf(HasSubstr("404"), HasSubstr("revision")));
  EXPECT_THAT(error_of("hf:user/tiny-GGUF:Q2_K", ErrorKind::bad_usage),
              AllOf(HasSubstr("Q2_K"), HasSubstr("Q4_K_M")));
}

TEST_F(PullTest, NoServerNoNameAndOffline) {
  HubSettings nobody = settings();
  nobody.endpoint = "http://127.0.0.1:1";
  const auto message = [](const HubSettings& chosen) {
    try {
      HttpClient client(chosen);
      plan_pull(client, parse_model_reference("a/b"));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(message(nobody), HasSubstr("cannot connect to http://127.0.0.1:1"));
  nobody.endpoint = "http://no-such-host.invalid";
  EXPECT_THAT(message(nobody), HasSubstr("no-such-host.invalid"));
  nobody.offline = true;
  EXPECT_THAT(message(nobody), HasSubstr("HF_HUB_OFFLINE"));
}

TEST_F(PullTest, NamesThatLeaveTheFolderAreRefused) {
  for (const char* evil : {"../../evil.gguf", "/etc/evil.gguf", "a/../../evil.gguf", "a//b.gguf", "a\\b.gguf",
                           "./x.gguf", ".."}) {
    hub_.files = {{evil, {random_bytes(10)}}};
    EXPECT_THAT(error_of("hf:user/tiny-GGUF", ErrorKind::bad_input), HasSubstr("inside the repository"))
        << evil;
  }
}

TEST_F(PullTest, SplitFilesComeWithAllTheirParts) {
  hub_.files.clear();
  for (int part = 1; part <= 3; ++part) {
    hub_.files["Q8_0/big-Q8_0-0000" + std::to_string(part) + "-of-00003.gguf"] = {random_bytes(1000, part)};
  }
  hub_.switches.page_size = 2;  // the list comes in pages
  EXPECT_EQ(pull(), models() / "big-Q8_0-00001-of-00003.gguf");
  EXPECT_EQ(content_of(models() / "big-Q8_0-00003-of-00003.gguf"), random_bytes(1000, 3));
  EXPECT_EQ(list_models().at(0).bytes, 3000U);
  hub_.files.erase("Q8_0/big-Q8_0-00002-of-00003.gguf");
  EXPECT_THAT(error_of("hf:user/tiny-GGUF", ErrorKind::bad_input), HasSubstr("part 2 of 3"));
}

TEST_F(PullTest, ASafetensorsRepositoryBecomesAFolder) {
  hub_.files = {{"config.json", {"{}", false}},
                {"model-00001-of-00002.safetensors", {random_bytes(500)}},
                {"model-00002-of-00002.safetensors", {random_bytes(600)}},
                {"model.safetensors.index.json", {"{\"a\":1}", false}},
                {"tokenizer.json", {"{\"b\":2}", false}},
                {"consolidated.safetensors", {random_bytes(700)}},
                {"pytorch_model.bin", {random_bytes(700)}},
                {"onnx/model.safetensors", {random_bytes(700)}},
                {"empty.safetensors.index.json", {"", false}}};
  const fs::path folder = pull();
  EXPECT_EQ(folder, models() / "tiny-GGUF");
  EXPECT_EQ(content_of(folder / "model-00002-of-00002.safetensors"), random_bytes(600));
  EXPECT_EQ(content_of(folder / "tokenizer.json"), "{\"b\":2}");
  EXPECT_FALSE(fs::exists(folder / "consolidated.safetensors"));
  EXPECT_FALSE(fs::exists(folder / "pytorch_model.bin"));
  EXPECT_FALSE(fs::exists(folder / "onnx"));
  EXPECT_EQ(list_models().at(0).format, "safetensors");
  EXPECT_EQ(resolve_model("hf:user/tiny-GGUF"), folder.string());
}

TEST_F(PullTest, ANonLfsFileIsCheckedByGitsHash) {
  hub_.files = {{"config.json", {"{\"x\": 1}", false, std::string(40, 'b')}},
                {"model.safetensors", {random_bytes(9)}}};
  EXPECT_THAT(error_of("hf:user/tiny-GGUF", ErrorKind::bad_input), HasSubstr("expected git-sha1:bbbb"));
}

TEST_F(PullTest, ARepositoryWithoutAModelSaysWhatItFound) {
  hub_.files = {{"pytorch_model.bin", {random_bytes(10)}}, {"config.json", {"{}", false}}};
  EXPECT_THAT(error_of("hf:user/tiny-GGUF", ErrorKind::unsupported), HasSubstr(".bin"));
}

TEST_F(PullTest, AFileFromElsewhereIsNotOverwritten) {
  fs::create_directories(models());
  std::ofstream(models() / "tiny-Q4_K_M.gguf") << "mine";
  EXPECT_THAT(error_of("hf:user/tiny-GGUF", ErrorKind::bad_usage), HasSubstr("--name"));
  EXPECT_EQ(content_of(models() / "tiny-Q4_K_M.gguf"), "mine");
  EXPECT_EQ(pull("hf:user/tiny-GGUF", {}, "other"), models() / "other.gguf");
  EXPECT_EQ(content_of(models() / "other.gguf"), content());
  for (const char* bad : {"../up", "a/b", ".hidden", "a\nb"})
    EXPECT_THROW(plan("hf:user/tiny-GGUF", bad), Error) << bad;
}

TEST_F(PullTest, AnUpdatedRepositoryReplacesItsOwnFile) {
  pull();
  hub_.files["tiny-Q4_K_M.gguf"].content = random_bytes(300'000, 9);
  EXPECT_EQ(content_of(pull()), random_bytes(300'000, 9));
}

TEST_F(PullTest, AFileThatGrowsWhileItComesIsRefused) {
  const PullPlan made = plan();
  hub_.files["tiny-Q4_K_M.gguf"].content += "more";
  HttpClient client(settings());
  try {
    execute_pull(client, made);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_THAT(error.what(), HasSubstr("sends more"));
  }
}

TEST_F(PullTest, MoreThanTheDiskHoldsIsToldBeforeItStarts) {
  hub_.files["tiny-Q4_K_M.gguf"].content = "x";
  HttpClient client(settings());
  // The listing's size is what counts: a server of its own that claims an exabyte.
  testing::HttpServer liar([](const testing::HttpRequest& request) {
    testing::HttpAnswer answer;
    const bool is_tree = request.path.find("/tree/") != std::string::npos;
    answer.body = is_tree ? R"([{"type":"file","path":"m.gguf","size":1000000000000000000}])"
                          : std::string(R"({"sha":")") + testing::FakeHub::kCommit + "\"}";
    return answer;
  });
  HubSettings chosen = settings();
  chosen.endpoint = liar.url();
  HttpClient lied_to(chosen);
  try {
    plan_pull(lied_to, parse_model_reference("a/b"));
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::limit);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("needs 1000000000.0 GB"), HasSubstr("you have ")));
  }
}

TEST_F(PullTest, AnAnswerThatIsNotTheHubsIsAnError) {
  for (const char* text :
       {"<html>", "[]", "{\"sha\": 5}", "{\"sha\":\"../../x\"}", "null", "", "{\"sha\":null}", "[[[[[[[["}) {
    testing::HttpServer stranger([text](const testing::HttpRequest&) {
      testing::HttpAnswer answer;
      answer.body = text;
      return answer;
    });
    HubSettings chosen = settings();
    chosen.endpoint = stranger.url();
    HttpClient client(chosen);
    EXPECT_THROW(plan_pull(client, parse_model_reference("a/b")), Error) << text;
  }
}

}  // namespace
}  // namespace tessera::hub
