#include "hub/model_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/error.h"
#include "hub/pull_record.h"
#include "support/test_paths.h"

namespace tessera::hub {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class ModelDirectoryTest : public ::testing::Test {
 protected:
  ModelDirectoryTest() {
    ::setenv("XDG_CACHE_HOME", folder_.path().c_str(), 1);
    ::unsetenv("HF_HUB_CACHE");
    ::unsetenv("HUGGINGFACE_HUB_CACHE");
    ::setenv("HF_HOME", (folder_.path() / "hf").c_str(), 1);
    fs::create_directories(models());
  }

  fs::path models() const { return folder_.path() / "tessera" / "models"; }
  fs::path cached(const std::string& repository) const { return folder_.path() / "hf" / "hub" / repository; }

  static fs::path put(const fs::path& path, const std::string& content = "x") {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << content;
    return path;
  }

  static std::string error_of(const std::string& name, ErrorKind kind) {
    try {
      const std::string path = resolve_model(name);
      ADD_FAILURE() << name << " became " << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
      return error.what();
    }
    return {};
  }

  testing::TemporaryFolder folder_;
};

TEST_F(ModelDirectoryTest, APathThatExistsIsTakenAsItIs) {
  const fs::path file = put(folder_.path() / "elsewhere" / "weights.bin");
  EXPECT_EQ(resolve_model(file.string()), file.string());
  const fs::path folder = put(folder_.path() / "checkpoint" / "config.json").parent_path();
  EXPECT_EQ(resolve_model(folder.string()), folder.string());
}

TEST_F(ModelDirectoryTest, AFolderWithOneGgufFileMeansThatFile) {
  const fs::path file = put(folder_.path() / "one" / "a.gguf");
  EXPECT_EQ(resolve_model(file.parent_path().string()), file.string());
}

TEST_F(ModelDirectoryTest, NamesAreExactOrWithoutEndingOrAnUniqueBeginning) {
  const fs::path small = put(models() / "SmolLM2-135M-Instruct.Q4_1.gguf");
  const fs::path big = put(models() / "SmolLM2-360M.gguf");
  EXPECT_EQ(resolve_model("SmolLM2-135M-Instruct.Q4_1.gguf"), small.string());
  EXPECT_EQ(resolve_model("SmolLM2-135M-Instruct.Q4_1"), small.string());
  EXPECT_EQ(resolve_model("smollm2-360m"), big.string());
  EXPECT_EQ(resolve_model("smollm2-1"), small.string());
  const std::string ambiguous = error_of("SmolLM2", ErrorKind::bad_usage);
  EXPECT_THAT(ambiguous, HasSubstr("SmolLM2-135M-Instruct.Q4_1"));
  EXPECT_THAT(ambiguous, HasSubstr("SmolLM2-360M"));
}

TEST_F(ModelDirectoryTest, AnExactNameWinsOverALongerOne) {
  const fs::path exact = put(models() / "qwen.gguf");
  put(models() / "qwen-big.gguf");
  EXPECT_EQ(resolve_model("Qwen"), exact.string());
}

TEST_F(ModelDirectoryTest, AMissingModelNamesTheNearestAndThePull) {
  put(models() / "SmolLM2-360M.gguf");
  const std::string message = error_of("SmolLM3-360M", ErrorKind::io);
  EXPECT_THAT(message, HasSubstr("did you mean SmolLM2-360M"));
  EXPECT_THAT(message, HasSubstr("tessera pull"));
  EXPECT_THAT(error_of("nothing-like-it", ErrorKind::io), Not(HasSubstr("did you mean")));
  EXPECT_THAT(error_of("/no/such/file.gguf", ErrorKind::io), HasSubstr("/no/such/file.gguf"));
  error_of("", ErrorKind::bad_usage);
  EXPECT_THAT(error_of("bad\nname\x1b[31m", ErrorKind::io), HasSubstr("bad\\x0a"));
}

TEST_F(ModelDirectoryTest, PulledModelsAreFoundByTheirReference) {
  const fs::path file = put(models() / "Tiny-Q8_0.gguf");
  write_pull_record(models(), {"Tiny-Q8_0.gguf", "some/Tiny-GGUF", "", "abc123def", {"Tiny-Q8_0.gguf"}});
  EXPECT_EQ(resolve_model("hf:some/Tiny-GGUF"), file.string());
  EXPECT_EQ(resolve_model("hf:some/tiny-gguf:q8_0"), file.string());
  EXPECT_EQ(resolve_model("some/Tiny-GGUF"), file.string());
  EXPECT_EQ(resolve_model("hf:some/Tiny-GGUF@abc123"), file.string());
  EXPECT_THAT(error_of("hf:some/Tiny-GGUF:Q4_K_M", ErrorKind::io),
              HasSubstr("tessera pull hf:some/Tiny-GGUF:Q4_K_M"));
  error_of("hf:some/Tiny-GGUF@other", ErrorKind::io);
  error_of("hf:nonsense", ErrorKind::bad_usage);
}

TEST_F(ModelDirectoryTest, TheHuggingFaceCacheIsRead) {
  const fs::path repository = cached("models--org--Small-Model");
  put(repository / "refs" / "main", "1111");
  put(repository / "snapshots" / "1111" / "config.json", "{}");
  put(repository / "snapshots" / "2222" / "config.json", "{}");
  EXPECT_EQ(resolve_model("hf:org/Small-Model"), (repository / "snapshots" / "1111").string());
  EXPECT_EQ(resolve_model("org/Small-Model"), (repository / "snapshots" / "1111").string());
  EXPECT_EQ(resolve_model("hf:org/Small-Model@2222"), (repository / "snapshots" / "2222").string());
  const fs::path gguf = put(cached("models--org--Small-GGUF") / "snapshots" / "3" / "small.Q4_0.gguf");
  EXPECT_EQ(resolve_model("hf:org/Small-GGUF:Q4_0"), gguf.string());
}

TEST_F(ModelDirectoryTest, AHostileReferenceDoesNotLeaveTheCache) {
  const fs::path repository = cached("models--org--evil");
  put(repository / "refs" / "main", "../../../../etc");
  put(repository / "snapshots" / "9" / "config.json", "{}");
  EXPECT_EQ(resolve_model("hf:org/evil"), (repository / "snapshots" / "9").string());
}

TEST_F(ModelDirectoryTest, TheListSumsPartsAndNamesSources) {
  put(models() / "Big-Q4_K_M-00001-of-00002.gguf", std::string(10, 'x'));
  put(models() / "Big-Q4_K_M-00002-of-00002.gguf", std::string(32, 'x'));
  put(models() / "folder-model" / "config.json", "{}");
  put(models() / "folder-model" / "model.safetensors", std::string(8, 'x'));
  put(models() / "unfinished.gguf.part");
  write_pull_record(models(), {"folder-model", "a/b", "", "", {"folder-model/config.json"}});
  const auto list = list_models();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].bytes, 42U);
  EXPECT_EQ(list[0].quantization, "Q4_K_M");
  EXPECT_EQ(list[0].format, "gguf");
  EXPECT_EQ(list[1].format, "safetensors");
  EXPECT_EQ(list[1].bytes, 10U);
  EXPECT_EQ(list[1].source, "hf:a/b");
}

TEST_F(ModelDirectoryTest, TheDefaultModelOrHowToGetIt) {
  try {
    default_model();
    FAIL() << "there is no model yet";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("./quickstart"));
  }
  const fs::path file = put(models() / std::string(kDefaultModelFile));
  EXPECT_EQ(default_model(), file.string());
}

TEST(ModelReferenceTest, IsReadAndWritten) {
  const ModelReference reference = parse_model_reference("hf:user/Repo.v2@refs/pr/1:Q4_K_M");
  EXPECT_EQ(reference.repository, "user/Repo.v2");
  EXPECT_EQ(reference.revision, "refs/pr/1");
  EXPECT_EQ(reference.quantization, "Q4_K_M");
  EXPECT_EQ(reference.text(), "hf:user/Repo.v2@refs/pr/1:Q4_K_M");
  EXPECT_EQ(parse_model_reference("user/repo").text(), "hf:user/repo");
  for (const char* bad : {"", "hf:", "hf:user", "hf:/repo", "hf:user/", "hf:a/b/c", "hf:../x", "hf:a/..",
                          "a/b:", "a/b@", "a/b@../..", "a/b:Q4/..", "a b/c", "hf:a/b\n"}) {
    EXPECT_THROW(parse_model_reference(bad), Error) << bad;
  }
}

TEST(ModelReferenceTest, FileNamesTellTheirQuantisation) {
  EXPECT_EQ(quantization_of_file("SmolLM2-135M-Instruct.Q4_1.gguf"), "Q4_1");
  EXPECT_EQ(quantization_of_file("dir/model-q4_k_m.gguf"), "Q4_K_M");
  EXPECT_EQ(quantization_of_file("Model-7B-IQ4_NL-00001-of-00003.gguf"), "IQ4_NL");
  EXPECT_EQ(quantization_of_file("Model-BF16.gguf"), "BF16");
  EXPECT_EQ(quantization_of_file("Model-F16-UD-Q5_K_XL.gguf"), "Q5_K_XL");
  EXPECT_EQ(quantization_of_file("Qwen3-0.6B.gguf"), "");
  EXPECT_EQ(quantization_of_file("model.gguf"), "");
}

TEST(ModelReferenceTest, SplitNames) {
  const auto split = split_name_of_file("a-00002-of-00010.gguf");
  ASSERT_TRUE(split.has_value());
  EXPECT_EQ(split->prefix, "a");
  EXPECT_EQ(split->part, 2);
  EXPECT_EQ(split->parts, 10);
  EXPECT_FALSE(split_name_of_file("a-00003-of-00002.gguf").has_value());
  EXPECT_FALSE(split_name_of_file("a-0000x-of-00002.gguf").has_value());
  EXPECT_FALSE(split_name_of_file("a.gguf").has_value());
}

}  // namespace
}  // namespace tessera::hub
